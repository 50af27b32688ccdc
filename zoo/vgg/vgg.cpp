#include "zoo/vgg/vgg.hpp"

#include "zoo/build.hpp"

namespace gradus::zoo {
namespace {

/// An entry of a column: a convolution with its ReLU, a max pool, or a response normalisation.
struct Entry {
  std::int64_t channels;
  std::int64_t kernel = 3;
};
constexpr Entry M{0}, LRN{-1};

// clang-format off
const std::vector<Entry>& column_of(VggColumn column) {
  static const std::vector<Entry>
      A    {{64}, M,       {128}, M,        {256}, {256}, M,                   {512}, {512}, M,                   {512}, {512}, M},
      A_LRN{{64}, LRN, M,  {128}, M,        {256}, {256}, M,                   {512}, {512}, M,                   {512}, {512}, M},
      B    {{64}, {64}, M, {128}, {128}, M, {256}, {256}, M,                   {512}, {512}, M,                   {512}, {512}, M},
      C    {{64}, {64}, M, {128}, {128}, M, {256}, {256}, {256, 1}, M,         {512}, {512}, {512, 1}, M,         {512}, {512}, {512, 1}, M},
      D    {{64}, {64}, M, {128}, {128}, M, {256}, {256}, {256}, M,            {512}, {512}, {512}, M,            {512}, {512}, {512}, M},
      E    {{64}, {64}, M, {128}, {128}, M, {256}, {256}, {256}, {256}, M,     {512}, {512}, {512}, {512}, M,     {512}, {512}, {512}, {512}, M};
  switch (column) {
    case VggColumn::A: return A;
    case VggColumn::A_LRN: return A_LRN;
    case VggColumn::B: return B;
    case VggColumn::C: return C;
    case VggColumn::D: return D;
    case VggColumn::E: return E;
  }
  fail("vgg: no column {}", static_cast<int>(column));
}
// clang-format on

Sequential convolutions(VggColumn column, bool batch_norm, const ModelOptions& options) {
  Sequential features;
  std::int64_t in = or_paper(options.image_channels, 3);
  for (const Entry& entry : column_of(column)) {
    if (entry.channels == M.channels) {
      features.add(MaxPool2d(2));
    } else if (entry.channels == LRN.channels) {
      features.add(LocalResponseNorm({.size = 5, .alpha = 5e-4, .beta = 0.75, .k = 2}));
    } else {
      features.add(Conv2d(in, entry.channels, {.kernel = entry.kernel, .padding = entry.kernel / 2}));
      if (batch_norm) features.add(BatchNorm2d(entry.channels));
      features.add(ReLU());
      in = entry.channels;
    }
  }
  return features;
}

}  // namespace

Vgg::Vgg(VggColumn column, bool batch_norm, const ModelOptions& options)
    : features(convolutions(column, batch_norm, options)), avgpool(7) {
  const double dropout = or_paper(options.dropout, 0.5);
  classifier.add(Linear(512 * 7 * 7, 4096));
  classifier.add(ReLU());
  classifier.add(Dropout(dropout));
  classifier.add(Linear(4096, 4096));
  classifier.add(ReLU());
  classifier.add(Dropout(dropout));
  classifier.add(Linear(4096, or_paper(options.classes, 1000)));

  // The paper's N(0, 0.01^2) (section 3.1) starts nets as deep as D only from a trained A; Kaiming's starts them all.
  if (options.init == Init::paper) init_normal(*this, 0.01);
  if (options.init == Init::published) {
    init_kaiming(*this, init::Fan::out);
    init_linear_normal(*this, 0.01);
  }
}

Tensor Vgg::forward(const Tensor& x) { return classifier(flatten(avgpool(features(x)))); }

CifarVgg::CifarVgg(VggColumn column, const ModelOptions& options)
    : features(convolutions(column, true, options)), classifier(512, or_paper(options.classes, 10)) {
  if (options.init != Init::framework) init_kaiming(*this, init::Fan::out);
}

Tensor CifarVgg::forward(const Tensor& x) { return classifier(flatten(avgpool(features(x)))); }

namespace {

template <VggColumn column, bool batch_norm>
std::unique_ptr<Classifier> vgg(const ModelOptions& options) {
  return std::make_unique<Vgg>(column, batch_norm, options);
}
std::unique_ptr<Classifier> cifar_vgg16_bn(const ModelOptions& options) {
  return std::make_unique<CifarVgg>(VggColumn::D, options);
}

}  // namespace

std::vector<ModelInfo> vgg_models() {
  std::vector<ModelInfo> rows;
  auto row = [&](const char* name, const char* title, double top1, double top5, auto build) {
    rows.push_back({.name = name,
                    .family = "vgg",
                    .title = title,
                    .year = 2014,
                    .paper = "Simonyan and Zisserman 2014, Very Deep Convolutional Networks for Large-Scale Image "
                             "Recognition, arXiv:1409.1556",
                    .input = 224,
                    .smallest = 32,
                    .classes = 1000,
                    .naming = "torchvision",
                    .top1_error = top1,
                    .top5_error = top5,
                    .build = build});
  };
  row("vgg11", "VGG A", 29.6, 10.4, vgg<VggColumn::A, false>);
  row("vgg11_lrn", "VGG A-LRN", 29.7, 10.5, vgg<VggColumn::A_LRN, false>);
  row("vgg13", "VGG B", 28.7, 9.9, vgg<VggColumn::B, false>);
  row("vgg16_c", "VGG C", 27.3, 8.8, vgg<VggColumn::C, false>);
  row("vgg16", "VGG D", 25.6, 8.1, vgg<VggColumn::D, false>);
  row("vgg19", "VGG E", 25.5, 8.0, vgg<VggColumn::E, false>);
  row("vgg11_bn", "VGG A with batch norm", -1, -1, vgg<VggColumn::A, true>);
  row("vgg13_bn", "VGG B with batch norm", -1, -1, vgg<VggColumn::B, true>);
  row("vgg16_bn", "VGG D with batch norm", -1, -1, vgg<VggColumn::D, true>);
  row("vgg19_bn", "VGG E with batch norm", -1, -1, vgg<VggColumn::E, true>);
  row("cifar_vgg16_bn", "VGG D with batch norm, one linear layer", -1, -1, cifar_vgg16_bn);
  rows.back().input = 32;
  rows.back().classes = 10;
  return rows;
}

}  // namespace gradus::zoo

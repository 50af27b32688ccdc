// gradus predict

#include <nlohmann/json.hpp>
#include <numeric>

#include "data/image.hpp"
#include "data/pipeline.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/view/view.hpp"
#include "tools/program.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/preprocess.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;

struct Options {
  std::string model, weights, classes, preprocess, device = "cpu";
  std::vector<std::string> images;
  int top = 5;
  bool as_json = false, quiet = false;
};

void predict(const Options& o) {
  const Device device = chosen_device(o.device);
  check<UsageError>(o.top > 0, "--top: must be positive, got {}", o.top);
  const LoadedModel net = load_model(o.model, o.weights, false);
  net.model->to(device);
  data::ClassList classes = net.notes.classes;
  if (!o.classes.empty()) {
    classes = data::read_class_list(o.classes);
    check<UsageError>(classes.size() == net.outputs, "--classes {}: lists {} classes, the network has {}", o.classes,
                      classes.size(), net.outputs);
  }
  std::string text = o.preprocess.empty() ? net.notes.preprocess : o.preprocess;
  if (normalization_of(text).empty()) text += (text.empty() ? "" : " | ") + normalization_of(net.notes.preprocess);
  text = for_any_picture(text, net.notes.size);
  const data::Pipeline pipeline = reading_options([&] { return data::Pipeline::parse(text); });
  const NoGrad no_grad;
  json all = json::array();
  for (const std::string& file : o.images) {
    data::Picture picture;
    data::read_image(file, picture.source());
    picture.reset();
    if (!o.quiet && all.empty()) show_preprocessing(pipeline.describe(), net.notes, o.preprocess);
    data::Random random(0, data::Purpose::kAugment, 0, 0);
    pipeline.apply(picture, random);
    const Tensor x = empty({1, 3, picture.height(), picture.width()}, {.format = Format::channels_last});
    picture.write(pipeline.normalization(), x.data<float>());
    const Tensor logits = (*net.model)(to(x, device));
    const std::vector<double> z = logits.to_vector<double>(), p = softmax(logits, 1).to_vector<double>();

    std::vector<std::size_t> order(p.size());
    std::iota(order.begin(), order.end(), 0);
    const auto shown = std::min(static_cast<std::size_t>(o.top), order.size());
    std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(shown), order.end(),
                      [&](std::size_t a, std::size_t b) { return p[a] > p[b] || (p[a] == p[b] && a < b); });
    json entry = {{"image", file}, {"classes", json::array()}};
    if (!o.as_json) fmt::print("{}\n", file);
    for (std::size_t i = 0; i < shown; ++i) {
      const std::size_t c = order[i];
      const std::string name = classes.empty() ? fmt::format("class {}", c) : classes.names()[c];
      entry["classes"].push_back({{"index", c}, {"name", name}, {"probability", p[c]}, {"logit", z[c]}});
      if (!o.as_json) fmt::print("  {:5.1f} %  {}\n", 100 * p[c], name);
    }
    all.push_back(std::move(entry));
  }
  if (o.as_json) fmt::print("{}\n", all.dump());
}

}  // namespace

void add_predict(Command app) {
  const Command command = app.add_command("predict", "Name what pictures show",
                                          "gradus predict --model resnet18 --weights resnet18.pth dog.jpg");
  auto o = std::make_shared<Options>();
  command.add_option("-w,--weights", o->weights, "weight file: safetensors, .pth, .pt, .th").required();
  command.add_option("-m,--model", o->model, "a name from `gradus models` (default: what the weights say)");
  command.add_option(
      "--preprocess", o->preprocess,
      "transforms, e.g. \"resize(256) | center_crop(224) | normalize(imagenet)\" (default: what the weights "
      "expect)");
  command.add_option("--classes", o->classes,
                     "file with lines \"folder <tab> label <tab> name\" (default: what the weights say; ImageNet's "
                     "1,000 are known)");
  command.add_option("--top", o->top, "classes to show").show_default();
  command.add_option("--device", o->device, "cpu or cuda").show_default();
  command.add_flag("-q,--quiet", o->quiet, "do not say how pictures are preprocessed");
  command.add_flag("--json", o->as_json, "print one JSON array");
  command.add_option("images", o->images, "JPEG, PNG, BMP, … files").required();
  command.callback([o] { predict(*o); });
}

}  // namespace gradus::program

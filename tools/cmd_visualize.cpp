// gradus visualize

#include <algorithm>
#include <cstdlib>
#include <optional>

#include "autograd/node.hpp"
#include "core/parallel.hpp"
#include "data/resize.hpp"
#include "ops/pointwise/unary.hpp"
#include "ops/softmax/softmax.hpp"
#include "ops/upsample/upsample.hpp"
#include "ops/view/view.hpp"
#include "tools/program.hpp"
#include "tools/train/data_sets.hpp"
#include "tools/train/interrupt.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/preprocess.hpp"
#include "tools/train/progress.hpp"
#include "tools/visualize/attribution.hpp"
#include "tools/visualize/canvas.hpp"
#include "tools/visualize/deconvnet.hpp"
#include "tools/visualize/embedding.hpp"
#include "tools/visualize/layers.hpp"
#include "tools/visualize/maximise.hpp"
#include "tools/visualize/scatter.hpp"

namespace gradus::program {
namespace {

constexpr int kSide = 224;  // small pictures are enlarged to about this

struct Options {
  std::string model, weights, layer, data, data_dir, classes, preprocess, out, device = "cpu";
  std::vector<std::string> images, features;
  std::int64_t target = -1, patch = 0, stride = 0, limit = 1000;
  int steps = 256, count = 16, threads = 0;
  std::uint64_t seed = 0;
  bool quiet = false;
};

/// A network with what its pictures look like.
struct Subject {
  LoadedModel net;
  std::string preprocess;
  data::Pipeline pipeline;
};

Subject subject_of(const Options& o, bool any_picture) {
  if (o.threads > 0) reading_options([&] { set_num_threads(o.threads); });
  const Device device = chosen_device(o.device);
  Subject s{.net = load_model(o.model, o.weights, o.data != "imagefolder"), .preprocess = "", .pipeline = {}};
  s.net.model->to(device);
  s.preprocess = o.preprocess.empty() ? s.net.notes.preprocess : o.preprocess;
  if (normalization_of(s.preprocess).empty())
    s.preprocess += (s.preprocess.empty() ? "" : " | ") + normalization_of(s.net.notes.preprocess);
  if (any_picture) s.preprocess = for_any_picture(s.preprocess, s.net.notes.size);
  s.pipeline = reading_options([&] { return data::Pipeline::parse(s.preprocess); });
  return s;
}

/// A picture as the network sees it.
struct Shown {
  std::string name;
  data::Image image;  // after crops and resizes
  Tensor x;           // [1, 3, H, W]
};

Shown show(const data::Pipeline& pipeline, data::Picture& picture, std::string name, Device device) {
  picture.reset();
  data::Random random(0, data::Purpose::kAugment, 0, 0);
  pipeline.apply(picture, random);
  Shown shown{.name = std::move(name), .image = {}, .x = {}};
  const Tensor x = empty({1, 3, picture.height(), picture.width()}, {.format = Format::channels_last});
  picture.write(pipeline.normalization(), x.data<float>());
  shown.x = to(x, device);
  shown.image = picture.pixels();
  return shown;
}

/// The pictures named on the command line, or those of a data set.
class Pictures {
 public:
  Pictures(const Options& o, const Subject& subject)
      : files_(o.images), pipeline_(subject.pipeline), device_(chosen_device(o.device)) {
    if (!files_.empty()) return;
    const std::string data = o.data.empty() ? subject.net.notes.data : o.data;
    check<UsageError>(!data.empty() && (data == "builtin" || !o.data_dir.empty()),
                      "visualize: needs pictures, or --data and --data-dir");
    DataRequest request;
    request.name = data;
    request.folder = o.data_dir;
    request.classes = o.classes;
    request.augment = "none";
    request.preprocess =
        data == "imagefolder" ? for_any_picture(subject.preprocess, subject.net.notes.size) : subject.preprocess;
    request.size = subject.net.notes.size;
    request.limit_val = o.limit;
    request.need_train = false;
    request.known = subject.net.notes.classes;
    request.outputs = subject.net.outputs;
    const DataSets sets = reading_options([&] { return open_data(request); });
    dataset_ = sets.validation;
    pipeline_ = sets.eval_pipeline;
  }
  std::int64_t size() const { return dataset_ ? dataset_->size() : std::ssize(files_); }
  Shown get(std::int64_t i) {
    if (dataset_) {
      check<FileError>(dataset_->get(i, picture_.source()), "{}: cannot be read", dataset_->origin(i));
      return show(pipeline_, picture_, dataset_->origin(i), device_);
    }
    const std::string& file = files_[static_cast<std::size_t>(i)];
    data::read_image(file, picture_.source());
    return show(pipeline_, picture_, file, device_);
  }
  /// Null where the pictures are files.
  const data::Dataset* dataset() const { return dataset_.get(); }

 private:
  std::vector<std::string> files_;
  data::Pipeline pipeline_;
  Device device_;
  std::shared_ptr<const data::Dataset> dataset_;
  data::Picture picture_;
};

std::string class_name(const LoadedModel& net, std::int64_t c) {
  const auto& names = net.notes.classes.names();
  return c < std::ssize(names) ? names[static_cast<std::size_t>(c)] : fmt::format("class {}", c);
}

/// The class asked for, or the likeliest, with its probability.
struct Target {
  std::int64_t index = 0;
  double probability = 0;
};
Target target_of(const Options& o, const LoadedModel& net, const Tensor& x) {
  const NoGrad no_grad;
  const std::vector<double> p = softmax((*net.model)(x), 1).to_vector<double>();
  const std::int64_t index = o.target >= 0 ? o.target : std::max_element(p.begin(), p.end()) - p.begin();
  check<UsageError>(index < std::ssize(p), "--class: {} is none of the {} classes", index, p.size());
  return {index, p[static_cast<std::size_t>(index)]};
}

data::Image to_side(const data::Image& image) { return enlarged(image, kSide); }

/// The map, its places brought to the picture's pixels by bilinear interpolation.
Tensor at_size_of(const Tensor& map, const data::Image& image) {
  const NoGrad no_grad;
  const Tensor x = reshape(contiguous(map), {1, 1, map.size(0), map.size(1)});
  InterpolateOptions options;
  options.size = Pair(image.height, image.width);
  options.mode = Interpolation::bilinear;
  return select(select(interpolate(x, options), 0, 0), 0, 0);
}

/// For every picture: the picture and what `draw` makes of it.
template <class Draw>
void for_each_picture(const Options& o, const std::string& title, const std::string& note, Draw&& draw) {
  Subject s = subject_of(o, true);
  check<UsageError>(!o.images.empty(), "visualize: needs pictures");
  Pictures pictures(o, s);
  std::vector<Figure> figures;
  for (std::int64_t i = 0; i < pictures.size(); ++i) {
    const Shown shown = pictures.get(i);
    if (i == 0 && !o.quiet) show_preprocessing(s.pipeline.describe(), s.net.notes, o.preprocess);
    const Target target = target_of(o, s.net, shown.x);
    figures.push_back({shown.name, to_side(shown.image)});
    figures.push_back({fmt::format("{}, {:.1f} %", class_name(s.net, target.index), 100 * target.probability),
                       to_side(draw(s, shown, target.index))});
  }
  write_figures(o.out, fmt::format("{} of {}", title, s.net.name), note, figures, 2);
  fmt::print("{}\n", o.out);
}

void saliency(const Options& o) {
  for_each_picture(o, "Saliency", "Largest magnitude over the colours of the class's gradient (Simonyan et al. 2013).",
                   [](Subject& s, const Shown& shown, std::int64_t target) {
                     return grey(saliency_map(input_gradient(*s.net.model, shown.x, target)));
                   });
}

void guided(const Options& o) {
  for_each_picture(o, "Guided backpropagation",
                   "The class's gradient, rectified on its way back (Springenberg et al. 2014).",
                   [](Subject& s, const Shown& shown, std::int64_t target) {
                     return stretched_picture(guided_gradient(*s.net.model, shown.x, target));
                   });
}

void gradcam(const Options& o) {
  for_each_picture(o, "Grad-CAM",
                   fmt::format("Where the class is seen in {} (Selvaraju et al. 2016).",
                               o.layer.empty() ? "the last maps" : o.layer),
                   [&](Subject& s, const Shown& shown, std::int64_t target) {
                     const Tensor map = grad_cam(*s.net.model, shown.x, target, o.layer);
                     return blend(shown.image, heat(at_size_of(map, shown.image)), 0.5);
                   });
}

void occlusion(const Options& o) {
  for_each_picture(
      o, "Occlusion", "Bright: covering this place takes away the class's probability (Zeiler and Fergus 2013).",
      [&](Subject& s, const Shown& shown, std::int64_t target) {
        const std::int64_t patch = o.patch > 0 ? o.patch : std::max<std::int64_t>(2, shown.x.size(2) / 7);
        const std::int64_t stride = o.stride > 0 ? o.stride : std::max<std::int64_t>(1, patch / 2);
        const NoGrad no_grad;
        const Tensor p = occlusion_map(*s.net.model, shown.x, target, patch, stride);
        const Tensor lost =
            affine(p, -1, softmax((*s.net.model)(shown.x), 1).to_vector<double>()[static_cast<std::size_t>(target)]);
        return blend(shown.image, heat(at_size_of(relu(lost), shown.image)), 0.5);
      });
}

void filters(const Options& o) {
  const Subject s = subject_of(o, false);
  std::vector<Figure> figures;
  for (const NamedParameter& p : s.net.model->named_parameters()) {
    const Tensor& w = *p.parameter;
    const bool wanted =
        o.layer.empty() ? w.rank() == 4 && w.size(1) == 3 && w.size(2) > 1 : p.name == o.layer + ".weight";
    if (!wanted) continue;
    check<UsageError>(w.rank() == 4, "--layer: {} is no convolution", o.layer);
    for (std::int64_t k = 0; k < w.size(0); ++k) {
      const Tensor filter = slice(w.detach(), 0, k, k + 1);
      const data::Image image = w.size(1) == 3 ? signed_picture(filter) : grey(select(select(filter, 0, 0), 0, 0));
      figures.push_back({fmt::format("{} {}", p.name, k), enlarged(image, 48)});
    }
    break;
  }
  check<UsageError>(!figures.empty(), "filters: {}",
                    o.layer.empty() ? "no convolution of this network sees colours"
                                    : fmt::format("this network has no convolution \"{}\"", o.layer));
  write_figures(o.out, "Filters of " + s.net.name, "Zero is grey; each filter has its own scale.", figures, 8);
  fmt::print("{}\n", o.out);
}

void maps(const Options& o) {
  Subject s = subject_of(o, true);
  check<UsageError>(o.images.size() == 1, "features: takes one picture");
  Pictures pictures(o, s);
  const Shown shown = pictures.get(0);
  const NoGrad no_grad;
  LayerOutputs layers;
  (*s.net.model)(shown.x);
  const std::string layer = o.layer.empty() ? layers.last_map(s.net.outputs) : o.layer;
  const Tensor y = reading_options([&] { return layers.at(layer); });
  check<UsageError>(y.rank() == 4, "--layer: {} gives no map", layer);
  std::vector<Figure> figures{{shown.name, scaled(shown.image, kSide / 2, kSide / 2)}};
  for (std::int64_t c = 0; c < std::min<std::int64_t>(y.size(1), 255); ++c)
    figures.push_back(
        {fmt::format("{} {}", layer, c), scaled(grey(select(select(y, 0, 0), 0, c)), kSide / 2, kSide / 2)});
  write_figures(o.out, fmt::format("Feature maps of {}, {}", s.net.name, layer), "Each map has its own scale.", figures,
                16);
  fmt::print("{}\n", o.out);
}

/// The features asked for, or the strongest.
std::vector<std::int64_t> chosen(const Options& o, const TopActivations& top) {
  if (o.features.empty()) return top.strongest(static_cast<std::size_t>(o.count));
  std::vector<std::int64_t> list;
  for (const std::string& text : o.features) {
    char* end = nullptr;
    const std::int64_t f = std::strtoll(text.c_str(), &end, 10);
    check<UsageError>(!text.empty() && *end == '\0' && f >= 0 && f < top.features(),
                      "--features: \"{}\" is none of the {} of layer {}", text, top.features(), o.layer);
    list.push_back(f);
  }
  return list;
}

void deconv(const Options& o) {
  check<UsageError>(!o.layer.empty(), "deconv: needs --layer");
  Subject s = subject_of(o, !o.images.empty());
  Pictures pictures(o, s);
  Progress progress(o.quiet);
  const InterruptGuard interrupt;
  TopActivations top(o.layer);
  progress.begin("looking for the strongest activations", pictures.size());
  for (std::int64_t i = 0; i < pictures.size(); ++i) {
    reading_options([&] { top.add(*s.net.model, pictures.get(i).x, i); });
    progress.update(i + 1, "");
    check<Interrupted>(!interrupt.asked(), "stopped");
  }
  progress.end();
  std::vector<Figure> figures;
  for (const std::int64_t feature : chosen(o, top)) {
    std::vector<data::Image> projections, patches;
    for (const Activation& a : top.of(feature)) {
      const Shown shown = pictures.get(a.sample);
      const Tensor projection = reading_options([&] { return deconvolve(*s.net.model, shown.x, o.layer, a.place); });
      const Extent e = extent_of(projection);
      const int height = static_cast<int>(e.bottom - e.top), width = static_cast<int>(e.right - e.left);
      data::Image patch;
      data::crop(shown.image, {static_cast<int>(e.top), static_cast<int>(e.left), height, width}, patch);
      const Tensor part = slice(slice(projection, 2, e.top, e.bottom), 3, e.left, e.right);
      constexpr int kCell = 72;
      projections.push_back(scaled(signed_picture(part), kCell, kCell));
      patches.push_back(scaled(patch, kCell, kCell));
    }
    if (projections.empty()) continue;  // a feature that nothing excites
    figures.push_back({fmt::format("feature {}, activations {:.3g} to {:.3g}", feature, top.of(feature).front().value,
                                   top.of(feature).back().value),
                       grid({grid(projections, 3), grid(patches, 3)}, 2, 6)});
  }
  check<Error>(!figures.empty(), "deconv: nothing excites layer {}", o.layer);
  write_figures(
      o.out, fmt::format("Deconvnet of {}, {}", s.net.name, o.layer),
      fmt::format("For each feature its nine strongest activations among {} pictures: what caused them, projected "
                  "back to the pixels (left), and the patches they look at (right; Zeiler and Fergus 2013).",
                  pictures.size()),
      figures, 3);
  fmt::print("{}\n", o.out);
}

void maximised(const Options& o) {
  const Subject s = subject_of(o, false);
  check<UsageError>(o.target >= 0 || !o.layer.empty(), "maximise: needs --class, or --layer with --features");
  Progress progress(o.quiet);
  const InterruptGuard interrupt;
  std::vector<Figure> figures;
  const auto draw = [&](const std::string& caption, const std::function<Tensor(const Tensor&)>& score) {
    progress.begin(caption, o.steps);
    double reached = 0;
    const Tensor x = reading_options([&] {
      const Device device = chosen_device(o.device);
      return maximise(score, {.size = s.net.notes.size, .steps = o.steps, .seed = o.seed, .device = device},
                      [&](int step, double value) {
                        reached = value;
                        progress.update(step + 1, fmt::format("{:.3g}", value));
                        return !interrupt.asked();
                      });
    });
    progress.end();
    figures.push_back({fmt::format("{}: {:.3g}", caption, reached), to_side(stretched_picture(x))});
  };
  if (o.target >= 0)
    draw(class_name(s.net, o.target), [&](const Tensor& x) { return class_score(*s.net.model, x, o.target); });
  for (const std::string& text : o.features)
    draw(fmt::format("{} {}", o.layer, text), [&](const Tensor& x) {
      return feature_score(*s.net.model, x, o.layer, std::strtoll(text.c_str(), nullptr, 10));
    });
  check<UsageError>(!figures.empty(), "maximise: --layer needs --features");
  write_figures(o.out, "What " + s.net.name + " likes best",
                "Pictures found by gradient ascent from noise, held smooth by a small blur and jitter.", figures, 4);
  fmt::print("{}\n", o.out);
}

/// The pictures' last features in the plane.
void embed(const Options& o, bool with_tsne) {
  Subject s = subject_of(o, false);
  check<UsageError>(o.images.empty(), "{}: takes a data set, not pictures", with_tsne ? "tsne" : "pca");
  Pictures pictures(o, s);
  Progress progress(o.quiet);
  const InterruptGuard interrupt;
  progress.begin("features", pictures.size());
  std::vector<float> features;
  std::vector<ScatterPoint> points;
  for (std::int64_t i = 0; i < pictures.size(); ++i) {
    const Shown shown = pictures.get(i);
    const std::vector<float> f = last_features(*s.net.model, shown.x, s.net.outputs).to_vector<float>();
    features.insert(features.end(), f.begin(), f.end());
    points.push_back({.at = {}, .label = pictures.dataset()->label(i), .caption = shown.name});
    progress.update(i + 1, "");
    check<Interrupted>(!interrupt.asked(), "stopped");
  }
  progress.end();
  const std::int64_t d = std::ssize(features) / std::max<std::int64_t>(1, std::ssize(points));
  const std::vector<Point> places = reading_options([&] { return with_tsne ? tsne(features, d) : pca(features, d); });
  for (std::size_t i = 0; i < points.size(); ++i) points[i].at = places[i];
  write_scatter(o.out,
                fmt::format("{} of {}'s last features", with_tsne ? "t-SNE" : "Principal components", s.net.name),
                fmt::format("{} pictures, {} features each; colours are true classes.", points.size(), d), points,
                pictures.dataset()->classes());
  fmt::print("{}\n", o.out);
}

/// The options that several methods share.
struct Method {
  Command command;
  std::shared_ptr<Options> options;

  Method(const Command& parent, const char* name, const char* text, const std::string& example)
      : command(parent.add_command(name, text, "gradus visualize " + std::string(name) + " " + example)),
        options(std::make_shared<Options>()) {
    Options& o = *options;
    command.add_option("-w,--weights", o.weights, "weight file: safetensors, .pth, .pt, .th").required();
    command.add_option("-m,--model", o.model, "a name from `gradus models` (default: what the weights say)");
    command.add_option("-o,--out", o.out, "the file to write: .png or .html").required();
    command.add_option("--threads", o.threads, "threads that compute (0: as the machine has)").show_default();
    command.add_option("--device", o.device, "cpu or cuda").show_default();
    command.add_flag("-q,--quiet", o.quiet, "show no progress");
  }
  Method& pictures() {
    command.add_option("images", options->images, "JPEG, PNG, BMP, … files");
    command.add_option("--preprocess", options->preprocess, "transforms (default: what the weights expect)");
    return *this;
  }
  Method& target() {
    command.add_option("--class", options->target, "index of the class to explain (-1: the likeliest)").show_default();
    return *this;
  }
  Method& layer(const char* text) {
    command.add_option("--layer", options->layer, text);
    return *this;
  }
  Method& dataset() {
    command.add_option("--data", options->data, "builtin, cifar10, cifar100 or imagefolder (default: the weights')");
    command.add_option("--data-dir", options->data_dir, "folder with the data");
    command.add_option("--classes", options->classes, "imagefolder: file that lists the classes");
    command.add_option("--limit", options->limit, "so many pictures, drawn evenly (0: all)").show_default();
    return *this;
  }
  void runs(void (*fn)(const Options&)) const {
    command.callback([fn, o = options] {
      check<UsageError>(o->out.ends_with(".png") || o->out.ends_with(".html"),
                        "--out: the ending of {} is neither .png nor .html", o->out);
      reading_options([&] { fn(*o); });
    });
  }
};

}  // namespace

void add_visualize(Command app) {
  const Command all =
      app.add_command("visualize", "Look inside a network",
                      "gradus visualize gradcam --model squeezenet1_1 --weights squeezenet1_1.pth dog.jpg "
                      "-o dog.png");
  all.require_command();
  const std::string net = "--model squeezenet1_1 --weights squeezenet1_1.pth ",
                    run = "--weights runs/r20/best.safetensors ";
  Method(all, "saliency", "Which pixels a class's score changes with", net + "dog.jpg -o saliency.png")
      .pictures()
      .target()
      .runs(saliency);
  Method(all, "guided", "Guided backpropagation", net + "dog.jpg -o guided.png").pictures().target().runs(guided);
  Method(all, "gradcam", "Where a class is seen (Grad-CAM)", net + "dog.jpg cat.jpg -o cam.html")
      .pictures()
      .target()
      .layer("whose maps to weigh (default: the last)")
      .runs(gradcam);
  Method occluded(all, "occlusion", "Which places a class's probability needs", net + "dog.jpg -o occlusion.png");
  occluded.pictures().target();
  occluded.command.add_option("--patch", occluded.options->patch, "side of the square that covers (0: a seventh)");
  occluded.command.add_option("--stride", occluded.options->stride, "how far it moves (0: half of it)");
  occluded.runs(occlusion);
  Method(all, "filters", "The filters of a convolution", run + "-o filters.png")
      .layer("the convolution (default: the first)")
      .runs(filters);
  Method(all, "features", "A layer's maps of one picture", net + "dog.jpg --layer features.3 -o maps.png")
      .pictures()
      .layer("whose maps (default: the last)")
      .runs(maps);
  Method deconvnet(all, "deconv", "What excites features most, and the pixels that did it (deconvnet)",
                   net + "--layer features.5 --data imagefolder --data-dir pictures -o deconv.html");
  deconvnet.pictures().layer("whose features").dataset();
  deconvnet.command.add_option("--features", deconvnet.options->features, "which, e.g. 1,17 (default: the strongest)")
      .comma_separated();
  deconvnet.command.add_option("--count", deconvnet.options->count, "how many of the strongest").show_default();
  deconvnet.runs(deconv);
  Method liked(all, "maximise", "The picture that a class or a feature likes best", net + "--class 281 -o tabby.png");
  liked.target().layer("with --features: of this layer");
  liked.command.add_option("--features", liked.options->features, "which features, e.g. 1,17").comma_separated();
  liked.command.add_option("--steps", liked.options->steps, "of gradient ascent").show_default();
  liked.command.add_option("--seed", liked.options->seed, "of the noise it begins with").show_default();
  liked.runs(maximised);
  Method(all, "pca", "Principal components of the last features", run + "--data-dir cifar-10-batches-bin -o pca.html")
      .dataset()
      .runs([](const Options& o) { embed(o, false); });
  Method(all, "tsne", "t-SNE of the last features", run + "--data-dir cifar-10-batches-bin -o tsne.html")
      .dataset()
      .runs([](const Options& o) { embed(o, true); });
}

}  // namespace gradus::program

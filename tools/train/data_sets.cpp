#include "tools/train/data_sets.hpp"

#include <array>
#include <filesystem>

#include "core/philox.hpp"
#include "data/arguments.hpp"
#include "data/cifar.hpp"
#include "data/image_folder.hpp"
#include "data/random.hpp"
#include "data/shapes.hpp"
#include "tools/train/class_choice.hpp"
#include "tools/train/preprocess.hpp"

namespace gradus::program {
namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kSmall = 32;  // height and width of CIFAR's pictures and of the built-in ones

/// Some samples of another data set, the same ones in every run.
class Subset final : public data::Dataset {
 public:
  Subset(std::shared_ptr<const data::Dataset> source, std::int64_t size) : source_(std::move(source)) {
    // The first `size` of a fixed permutation: data sets may be sorted by class.
    std::vector<std::int64_t> order(static_cast<std::size_t>(source_->size()));
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = static_cast<std::int64_t>(i);
    data::Random random(0, data::Purpose::kOrder, 0xffffffffu, 0);
    for (std::size_t i = 0; i < static_cast<std::size_t>(size); ++i)
      std::swap(order[i], order[i + random.below(static_cast<std::uint32_t>(order.size() - i))]);
    order.resize(static_cast<std::size_t>(size));
    indices_ = std::move(order);
  }
  std::int64_t size() const override { return static_cast<std::int64_t>(indices_.size()); }
  const std::vector<std::string>& classes() const override { return source_->classes(); }
  std::int64_t label(std::int64_t i) const override { return source_->label(at(i)); }
  bool get(std::int64_t i, data::Image& image) const override { return source_->get(at(i), image); }
  std::string origin(std::int64_t i) const override { return source_->origin(at(i)); }
  std::vector<std::string> skipped() const override { return source_->skipped(); }

 private:
  std::int64_t at(std::int64_t i) const {
    check_index("subset", i);
    return indices_[static_cast<std::size_t>(i)];
  }
  std::shared_ptr<const data::Dataset> source_;
  std::vector<std::int64_t> indices_;
};

std::shared_ptr<const data::Dataset> limited(std::shared_ptr<const data::Dataset> source, std::int64_t limit) {
  check(limit >= 0, "--limit: must not be negative, got {}", limit);
  if (limit == 0 || limit >= source->size()) return source;
  return std::make_shared<Subset>(std::move(source), limit);
}

/// The built-in pictures, drawn once; under a limit only those that are asked for.
std::shared_ptr<const data::Dataset> drawn(const data::ShapesOptions& options, std::int64_t limit) {
  return std::make_shared<data::MemoryDataset>(
      data::in_memory(*limited(std::make_shared<data::Shapes>(options), limit)));
}

/// The class list and the data sets of FOLDER/train and FOLDER/val, or of FOLDER alone.
void open_folders(const DataRequest& request, DataSets& sets) {
  const fs::path root = request.folder;
  check<FileError>(fs::is_directory(root), "{}: there is no such folder", root.string());
  const bool split = fs::is_directory(root / "val");
  check<FileError>(split || !request.need_train, "{}: imagefolder training needs the folders train and val in it",
                   root.string());
  const fs::path validation = split ? root / "val" : root;
  if (request.need_train) {
    const bool listed = !request.classes.empty();
    sets.classes = listed ? data::read_class_list(request.classes) : data::class_folders(root / "train");
    const data::ClassList held_out = data::class_folders(validation);
    check<FileError>(listed || held_out.folders() == sets.classes.folders(),
                     "{}: train and val do not hold the same classes ({} and {} of them)", root.string(),
                     sets.classes.size(), held_out.size());
    sets.train = std::make_shared<data::ImageFolder>(
        root / "train", data::ImageFolderOptions{.classes = sets.classes, .skip_bad = request.skip_bad});
  } else {
    sets.classes = choose_classes(validation.string(), request.classes, request.known, request.outputs);
  }
  sets.validation = std::make_shared<data::ImageFolder>(
      validation, data::ImageFolderOptions{.classes = sets.classes, .skip_bad = request.skip_bad});
}

/// The pipeline `text`, ended by the data set's normalisation unless it has one.
data::Pipeline pipeline(const std::string& text, const std::string& normalize) {
  if (text.empty()) return data::Pipeline::parse(normalize);
  return data::Pipeline::parse(text.find("normalize") != std::string::npos ? text : text + " | " + normalize);
}

}  // namespace

DataSets open_data(const DataRequest& request) {
  constexpr std::array<std::string_view, 4> known{"builtin", "cifar10", "cifar100", "imagefolder"};
  const std::string& name = request.name;
  check(std::find(known.begin(), known.end(), name) != known.end(),
        "--data: there is no \"{}\"; the nearest is {} (known: builtin, cifar10, cifar100, imagefolder)", name,
        data::nearest_name(name, known));
  check(name == "builtin" || !request.folder.empty(), "--data {}: needs --data-dir, the folder with its files{}", name,
        name == "imagefolder" ? "" : fmt::format(" (`gradus data download {}` fetches them)", name));

  DataSets sets;
  std::string standard, plain, normalize;
  if (name == "imagefolder") {
    const std::int64_t size = request.size > 0 ? request.size : 224;
    sets.size = size;
    standard = fmt::format("random_resized_crop({}) | flip", size);
    // The usual margin: 256 pixels for 224.
    plain = fmt::format("resize({}) | center_crop({})", size * 8 / 7, size);
    normalize = "normalize(imagenet)";
    open_folders(request, sets);
  } else {
    sets.size = request.size > 0 ? request.size : kSmall;
    sets.small = true;
    standard = "random_crop(32, padding=4) | flip";
    if (sets.size != kSmall) {
      plain = fmt::format("resize({0} {0})", sets.size);
      standard += " | " + plain;
    }
    if (name == "builtin") {
      normalize = "normalize(half)";
      if (request.need_train) sets.train = drawn({.size = 20'000}, request.limit);
      sets.validation = drawn({.size = 2'000, .train = false}, request.limit_val);
    } else {
      const data::Cifar kind = name == "cifar10" ? data::Cifar::k10 : data::Cifar::k100;
      normalize = "normalize(" + name + ")";
      if (request.need_train)
        sets.train = std::make_shared<data::MemoryDataset>(data::read_cifar(request.folder, kind, true));
      sets.validation = std::make_shared<data::MemoryDataset>(data::read_cifar(request.folder, kind, false));
    }
  }
  if (sets.train) sets.train = limited(sets.train, request.limit);
  sets.validation = limited(sets.validation, request.limit_val);

  const std::string& augment = request.augment;
  if (const std::string own = normalization_of(augment); !own.empty()) {
    normalize = own;
  } else if (!request.normalize.empty()) {
    normalize = request.normalize;
  }
  sets.eval_pipeline = pipeline(request.preprocess.empty() ? plain : request.preprocess, normalize);
  sets.train_pipeline = augment == "none"       ? pipeline(plain, normalize)
                        : augment == "standard" ? pipeline(standard, normalize)
                                                : pipeline(augment, normalize);
  if (request.mix.on()) sets.train_pipeline.set(request.mix);
  return sets;
}

}  // namespace gradus::program

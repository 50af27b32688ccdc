#pragma once
// Pictures in folders: one folder to a class, as ImageNet is kept (ROOT/n01440764/x.JPEG).

#include <filesystem>
#include <mutex>
#include <set>

#include "data/class_list.hpp"
#include "data/dataset.hpp"

namespace gradus::data {

struct ImageFolderOptions {
  /// All classes, so that labels mean the same whatever folders are there. Without it the folders are numbered in
  /// order of their names (class_folders()).
  ClassList classes{};
  /// Leave out files that cannot be decoded instead of stopping at the first; skipped() lists them.
  bool skip_bad = false;
};

/// The pictures below `root`, sorted by path; read and decoded when they are asked for. Files that do not end in .jpg
/// .jpeg .png .bmp .ppm .pgm .pnm (in any case) are passed over, and so are files and folders whose names begin with a
/// dot.
class ImageFolder final : public Dataset {
 public:
  /// FileError if `root` is missing, holds no class folder, or one of them holds no picture (named), or is not in
  /// options.classes.
  explicit ImageFolder(const std::filesystem::path& root, ImageFolderOptions options = {});

  std::int64_t size() const override { return static_cast<std::int64_t>(samples_.size()); }
  const std::vector<std::string>& classes() const override { return classes_.names(); }
  const ClassList& class_list() const { return classes_; }
  std::int64_t label(std::int64_t index) const override;
  bool get(std::int64_t index, Image& image) const override;
  std::string origin(std::int64_t index) const override;  // the path
  std::vector<std::string> skipped() const override;

 private:
  struct Sample {
    std::filesystem::path file;
    std::int64_t label;
  };
  std::vector<Sample> samples_;
  ClassList classes_;
  bool skip_bad_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> skipped_;
};

}  // namespace gradus::data

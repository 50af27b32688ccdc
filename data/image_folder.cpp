#include "data/image_folder.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"

namespace gradus::data {
namespace {

namespace fs = std::filesystem;

bool is_picture(const fs::path& file) {
  constexpr std::array<std::string_view, 7> kEndings = {".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".pgm", ".pnm"};
  std::string ending = file.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(), [](unsigned char c) { return std::tolower(c); });
  return std::find(kEndings.begin(), kEndings.end(), ending) != kEndings.end();
}

bool hidden(const fs::path& path) { return path.filename().string().starts_with('.'); }

/// The entries of a folder in order of their names.
std::vector<fs::path> list(const fs::path& folder) {
  std::vector<fs::path> entries;
  std::error_code error;
  for (fs::directory_iterator i(folder, error), end; !error && i != end; i.increment(error))
    if (!hidden(i->path())) entries.push_back(i->path());
  check<FileError>(!error, "{}: the folder cannot be read ({})", folder.string(), error.message());
  std::sort(entries.begin(), entries.end());
  return entries;
}

}  // namespace

ImageFolder::ImageFolder(const fs::path& root, ImageFolderOptions options)
    : classes_(std::move(options.classes)), skip_bad_(options.skip_bad) {
  std::error_code error;
  check<FileError>(fs::is_directory(root, error), "image folder: there is no folder {}", root.string());
  if (classes_.empty()) classes_ = class_folders(root);
  for (const fs::path& folder : list(root)) {
    if (!fs::is_directory(folder, error)) continue;
    const std::int64_t label = classes_.label(folder.filename().string());
    check<FileError>(label >= 0, "image folder: {} is not a class of {}", folder.string(), classes_.source());
    const std::size_t before = samples_.size();
    std::vector<fs::path> open{folder};  // folders within the class' folder, depth first
    while (!open.empty()) {
      const fs::path current = std::move(open.back());
      open.pop_back();
      for (const fs::path& entry : list(current)) {
        if (fs::is_directory(entry, error)) {
          if (!fs::is_symlink(entry, error)) open.push_back(entry);  // a link may lead round in a circle
        } else if (is_picture(entry)) {
          samples_.push_back({entry, label});
        }
      }
    }
    check<FileError>(samples_.size() > before, "image folder: there are no pictures in {}", folder.string());
  }
  check<FileError>(!samples_.empty(), "image folder: {} holds no class folders", root.string());
  std::sort(samples_.begin(), samples_.end(), [](const Sample& a, const Sample& b) { return a.file < b.file; });
}

std::int64_t ImageFolder::label(std::int64_t index) const {
  check_index("image folder", index);
  return samples_[index].label;
}

bool ImageFolder::get(std::int64_t index, Image& image) const {
  check_index("image folder", index);
  try {
    read_image(samples_[index].file, image);
    return true;
  } catch (const FileError& error) {
    if (!skip_bad_) throw;
    const std::lock_guard lock(mutex_);
    skipped_.insert(error.what());
    return false;
  }
}

std::string ImageFolder::origin(std::int64_t index) const {
  check_index("image folder", index);
  return samples_[index].file.string();
}

std::vector<std::string> ImageFolder::skipped() const {
  const std::lock_guard lock(mutex_);
  return {skipped_.begin(), skipped_.end()};
}

}  // namespace gradus::data

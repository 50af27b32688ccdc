#include "data/class_list.hpp"

#include <algorithm>
#include <charconv>
#include <fstream>
#include <map>

#include "core/error.hpp"
#include "data/arguments.hpp"

namespace gradus::data {

namespace fs = std::filesystem;

ClassList::ClassList(std::vector<std::string> folders, std::vector<std::string> names, std::string source)
    : folders_(std::move(folders)), names_(std::move(names)), source_(std::move(source)) {
  check<ValueError>(folders_.size() == names_.size(), "classes: {} folders and {} names in {}", folders_.size(),
                    names_.size(), source_);
  for (std::size_t i = 0; i < folders_.size(); ++i)
    check<ValueError>(labels_.emplace(folders_[i], static_cast<std::int64_t>(i)).second,
                      "classes: {} comes twice in {}", folders_[i], source_);
}

std::int64_t ClassList::label(const std::string& folder) const {
  const auto found = labels_.find(folder);
  return found == labels_.end() ? -1 : found->second;
}

ClassList read_class_list(const fs::path& file) {
  std::ifstream in(file);
  check<FileError>(in.good(), "{}: the list of classes cannot be read", file.string());
  std::map<std::int64_t, std::pair<std::string, std::string>> rows;  // label -> folder, name
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.ends_with('\r')) line.pop_back();
    if (line.empty()) continue;
    const std::vector<std::string_view> fields = split(line, '\t');
    std::int64_t label = -1;
    if (fields.size() >= 2) std::from_chars(fields[1].data(), fields[1].data() + fields[1].size(), label);
    check<FileError>(fields.size() >= 2 && label >= 0, "{}: line {} is not 'folder <tab> label <tab> name'",
                     file.string(), number);
    const std::string folder(fields[0]), name(fields.size() > 2 ? fields[2] : fields[0]);
    check<FileError>(rows.emplace(label, std::pair(folder, name)).second, "{}: line {} gives label {} again",
                     file.string(), number, label);
  }
  check<FileError>(!rows.empty(), "{}: the list of classes is empty", file.string());
  std::vector<std::string> folders, names;
  for (const auto& [label, row] : rows) {
    check<FileError>(label == std::ssize(folders), "{}: there is no label {}", file.string(), folders.size());
    folders.push_back(row.first);
    names.push_back(row.second);
  }
  try {
    return {std::move(folders), std::move(names), file.string()};
  } catch (const ValueError& error) {
    throw FileError(error.what());
  }
}

ClassList class_folders(const fs::path& root) {
  std::error_code error;
  std::vector<std::string> folders, names;
  for (fs::directory_iterator i(root, error), end; !error && i != end; i.increment(error)) {
    const std::string name = i->path().filename().string();
    std::error_code ignored;
    if (!name.starts_with('.') && fs::is_directory(i->path(), ignored)) folders.push_back(name);
  }
  check<FileError>(!error, "{}: the folder cannot be read ({})", root.string(), error.message());
  std::sort(folders.begin(), folders.end());
  for (const std::string& folder : folders) {
    const std::int64_t known = imagenet_classes().label(folder);
    names.push_back(known < 0 ? folder : imagenet_classes().names()[static_cast<std::size_t>(known)]);
  }
  return {std::move(folders), std::move(names), root.string()};
}

}  // namespace gradus::data

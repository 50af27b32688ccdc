#pragma once
// Which folder of pictures means which class, and what people call it.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

namespace gradus::data {

/// Classes by label: the folder that holds a class's pictures and the name that is shown. Folders are unique; names
/// need not be (ImageNet has two cranes).
class ClassList {
 public:
  ClassList() = default;
  /// ValueError unless there are as many names as folders and no folder comes twice. `source` is what messages call
  /// the list.
  ClassList(std::vector<std::string> folders, std::vector<std::string> names, std::string source);

  bool empty() const { return folders_.empty(); }
  std::int64_t size() const { return std::ssize(folders_); }
  const std::vector<std::string>& folders() const { return folders_; }
  const std::vector<std::string>& names() const { return names_; }
  const std::string& source() const { return source_; }
  /// The label of a folder, -1 if it is no class.
  std::int64_t label(const std::string& folder) const;

 private:
  std::vector<std::string> folders_, names_;
  std::string source_;
  std::unordered_map<std::string, std::int64_t> labels_;
};

/// Reads a list of classes: lines "folder <tab> label <tab> name" (the name may be missing), labels 0.. without gaps.
/// FileError.
ClassList read_class_list(const std::filesystem::path& file);

/// The 1,000 classes of ImageNet's challenge (ILSVRC 2012): folders are WordNet's identifiers ("n01440764"), labels
/// those of every published network.
const ClassList& imagenet_classes();

/// The folders in `root`, hidden ones aside, numbered in order of their names. A folder that is called like one of
/// ImageNet's bears that class's name. FileError if `root` cannot be read.
ClassList class_folders(const std::filesystem::path& root);

}  // namespace gradus::data

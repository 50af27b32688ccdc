#include "tools/train/class_choice.hpp"

#include <algorithm>

#include "core/error.hpp"

namespace gradus::program {

data::ClassList choose_classes(const std::string& root, const std::string& file, const data::ClassList& known,
                               std::int64_t outputs) {
  if (!file.empty()) {
    data::ClassList given = data::read_class_list(file);
    check<FileError>(given.size() == outputs, "--classes {}: lists {} classes, the network has {}", file, given.size(),
                     outputs);
    return given;
  }
  data::ClassList found = data::class_folders(root);
  if (known.empty()) {
    check<FileError>(found.size() == outputs,
                     "{}: holds {} class folders, and the network tells {} classes apart; --classes FILE says which "
                     "folder is which (lines \"folder <tab> label <tab> name\")",
                     root, found.size(), outputs);
    return found;
  }
  const auto is_known = [&](const std::string& folder) { return known.label(folder) >= 0; };
  const auto& folders = found.folders();
  const auto stranger = std::find_if_not(folders.begin(), folders.end(), is_known);
  if (stranger != folders.end()) {
    const auto matching = std::count_if(folders.begin(), folders.end(), is_known);
    fail<FileError>(
        "{}: {} is none of the {} classes of {} ({} of the {} folders are); --classes FILE says which folder is which "
        "(lines \"folder <tab> label <tab> name\")",
        root, *stranger, known.size(), known.source(), matching, folders.size());
  }
  return known;
}

}  // namespace gradus::program

#pragma once
// Which class a folder of pictures means to a network that was trained before.

#include <string>

#include "data/class_list.hpp"

namespace gradus::program {

/// The classes for the folders in `root`, to be judged by a network of `outputs` classes:
///  - those of `file` (data::read_class_list), if one is given;
///  - else `known`, the network's own, if every folder is one of them;
///  - else, where nothing is known about the network's classes and there are `outputs` folders, the folders in order
///    of their names.
/// FileError where none of these holds: it says which folder is not a class, and that --classes gives a list.
data::ClassList choose_classes(const std::string& root, const std::string& file, const data::ClassList& known,
                               std::int64_t outputs);

}  // namespace gradus::program

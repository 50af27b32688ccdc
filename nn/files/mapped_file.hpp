#pragma once
// A file's bytes, read-only, without reading them into memory first.

#include <string>

#include "nn/files/bytes.hpp"

namespace gradus::files {

/// Maps a regular file. FileError where it cannot be opened or is no regular file. The file must not be cut short by
/// others while it is mapped (the system then ends the process); files written by AtomicFile never are, they are
/// replaced.
class MappedFile {
 public:
  explicit MappedFile(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  Bytes bytes() const { return {static_cast<const std::uint8_t*>(data_), size_}; }

 private:
  void* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gradus::files

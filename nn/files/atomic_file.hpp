#pragma once
// Files that are replaced whole or not at all.

#include <cstdint>
#include <string>
#include <string_view>

#include "nn/files/bytes.hpp"

namespace gradus::files {

/// Writes a temporary file beside `path` and puts it in `path`'s place on commit(): after a crash, a full disk or an
/// error there is either the old file or the new one, complete. A symbolic link is followed, so its target is replaced;
/// a file that exists keeps its permissions. Every failure is a FileError that names `path`; the temporary file is then
/// gone.
class AtomicFile {
 public:
  explicit AtomicFile(const std::string& path);
  ~AtomicFile();  // without commit(): removes the temporary file
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(Bytes bytes);
  void write(std::string_view text) { write(as_bytes(text)); }
  /// Bytes written so far.
  std::uint64_t size() const { return size_; }
  /// Makes the content durable, renames, makes the renaming durable.
  void commit();

 private:
  [[noreturn]] void give_up(const char* what, int error);
  void discard() noexcept;

  std::string path_;       // as given
  std::string target_;     // links resolved
  std::string temporary_;  // empty once it is renamed or removed
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// The whole of a file at once.
void write_file_atomic(const std::string& path, std::string_view text);

}  // namespace gradus::files

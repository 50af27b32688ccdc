#include "nn/files/mapped_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

#include "core/error.hpp"

namespace gradus::files {
namespace {

std::string reason(int error) { return std::generic_category().message(error); }

}  // namespace

MappedFile::MappedFile(const std::string& path) {
  // O_NONBLOCK: opening a pipe must not wait for a writer before it is refused
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  check<FileError>(fd >= 0, "{}: cannot be opened: {}", path, reason(errno));
  struct stat status {};
  std::string trouble;
  if (::fstat(fd, &status) != 0) {
    trouble = reason(errno);
  } else if (!S_ISREG(status.st_mode)) {
    trouble = S_ISDIR(status.st_mode) ? "it is a folder" : "it is not a regular file";
  } else if (status.st_size > 0) {
    size_ = static_cast<std::size_t>(status.st_size);
    data_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data_ == MAP_FAILED) trouble = reason(errno);
  }
  ::close(fd);
  check<FileError>(trouble.empty(), "{}: cannot be read: {}", path, trouble);
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(data_, size_);
}

}  // namespace gradus::files

#include "nn/files/atomic_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "core/error.hpp"

namespace gradus::files {
namespace {

constexpr mode_t kNewFileMode = 0666;  // less the process's umask
constexpr int kMostAttempts = 1000;
constexpr std::size_t kChunk = std::size_t{1} << 30;  // write(2) takes a little less than 2 GiB at once

std::string folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  return folder.empty() ? "." : folder;
}

}  // namespace

AtomicFile::AtomicFile(const std::string& path) : path_(path), target_(path) {
  // The file a link leads to, even where that does not exist yet; 40 links are Linux's own limit.
  std::error_code ignored;
  for (int links = 0; links < 40 && std::filesystem::is_symlink(target_, ignored); ++links) {
    const std::filesystem::path to = std::filesystem::read_symlink(target_, ignored);
    target_ = (std::filesystem::path(folder_of(target_)) / to).string();
  }

  struct stat old {};
  const bool exists = ::stat(target_.c_str(), &old) == 0;
  if (exists && S_ISDIR(old.st_mode)) give_up("cannot be written", EISDIR);
  check<FileError>(!exists || S_ISREG(old.st_mode), "{}: cannot be written: it is not a regular file", path_);

  for (int attempt = 0; fd_ < 0; ++attempt) {  // the name may be left over from a process that was killed
    temporary_ = fmt::format("{}.{}-{}.tmp", target_, ::getpid(), attempt);
    fd_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kNewFileMode);
    if (fd_ < 0 && (errno != EEXIST || attempt == kMostAttempts)) {
      const int error = errno;
      temporary_.clear();  // not ours to remove
      give_up("cannot be written", error);
    }
  }
  if (exists && ::fchmod(fd_, old.st_mode & 07777) != 0) give_up("cannot be written", errno);
}

AtomicFile::~AtomicFile() { discard(); }

void AtomicFile::write(Bytes bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), std::min(bytes.size(), kChunk));
    if (n < 0) {
      if (errno == EINTR) continue;
      give_up("cannot be written", errno);
    }
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    size_ += static_cast<std::uint64_t>(n);
  }
}

void AtomicFile::commit() {
  if (::fsync(fd_) != 0) give_up("cannot be written", errno);
  const int closed = ::close(std::exchange(fd_, -1));  // some file systems report a full disk only now
  if (closed != 0 && errno != EINTR) give_up("cannot be written", errno);
  if (::rename(temporary_.c_str(), target_.c_str()) != 0) give_up("cannot be replaced", errno);
  temporary_.clear();
  // The new file is in place; that the folder cannot be synced (some network file systems refuse) is no reason to fail.
  const int folder = ::open(folder_of(target_).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (folder >= 0) {
    ::fsync(folder);
    ::close(folder);
  }
}

void AtomicFile::give_up(const char* what, int error) {
  discard();
  fail<FileError>("{}: {}: {}", path_, what, std::generic_category().message(error));
}

void AtomicFile::discard() noexcept {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  if (!temporary_.empty()) ::unlink(temporary_.c_str());
  temporary_.clear();
}

void write_file_atomic(const std::string& path, std::string_view text) {
  AtomicFile file(path);
  file.write(text);
  file.commit();
}

}  // namespace gradus::files

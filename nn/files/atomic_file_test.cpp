#include "nn/files/atomic_file.hpp"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <csignal>
#include <filesystem>

#include "nn/files/files_test_support.hpp"
#include "nn/files/mapped_file.hpp"

using namespace gradus;
using namespace gradus::files;

TEST_CASE("atomic file: the old content stays until commit, then the new is there whole") {
  const TemporaryFolder folder;
  const std::string path = folder / "log.json";
  write_file_atomic(path, "old");
  {
    AtomicFile file(path);
    file.write("new ");
    file.write("content");
    CHECK(file.size() == 11);
    CHECK(read_all(path) == "old");
    file.commit();
  }
  CHECK(read_all(path) == "new content");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic file: without commit nothing remains of it") {
  const TemporaryFolder folder;
  const std::string path = folder / "log.json";
  { AtomicFile(path).write("half"); }
  CHECK(folder.files() == 0);
}

TEST_CASE("atomic file: a full disk leaves the old file and no temporary one") {
  const TemporaryFolder folder;
  const std::string path = folder / "weights";
  write_file_atomic(path, "old");
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = before;
  small.rlim_cur = 4096;  // stands in for the full disk: write(2) fails half-way
  setrlimit(RLIMIT_FSIZE, &small);
  const std::string error = file_error([&] { write_file_atomic(path, std::string(10'000, 'x')); });
  setrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, handler);
  CHECK(error == path + ": cannot be written: File too large");
  CHECK(read_all(path) == "old");
  CHECK(folder.files() == 1);
}

TEST_CASE("atomic file: a target that cannot be written is one clear error") {
  const TemporaryFolder folder;
  const std::string missing = folder / "none/log.json";
  CHECK(file_error([&] { write_file_atomic(missing, ""); }) ==
        missing + ": cannot be written: No such file or directory");
  const std::string itself = folder / ".";
  CHECK(file_error([&] { write_file_atomic(itself, ""); }) == itself + ": cannot be written: Is a directory");
  // replacing a device by a file would be a disaster for root
  CHECK(file_error([&] { write_file_atomic("/dev/null", ""); }) ==
        "/dev/null: cannot be written: it is not a regular file");
}

TEST_CASE("atomic file: a link is followed and permissions stay") {
  const TemporaryFolder folder;
  const std::string path = folder / "real", link = folder / "link", dangling = folder / "dangling";
  write_file_atomic(path, "old");
  ::chmod(path.c_str(), 0640);
  std::filesystem::create_symlink("real", link);
  write_file_atomic(link, "new");
  CHECK(std::filesystem::is_symlink(link));
  CHECK(read_all(path) == "new");
  struct stat status {};
  ::stat(path.c_str(), &status);
  CHECK((status.st_mode & 0777) == 0640);
  std::filesystem::create_symlink("later", dangling);
  write_file_atomic(dangling, "made");
  CHECK(read_all(folder / "later") == "made");
}

TEST_CASE("mapped file: shows the bytes, and what cannot be read is a FileError") {
  const TemporaryFolder folder;
  const std::string path = folder / "file", empty = folder / "empty";
  write_file_atomic(path, "bytes");
  write_file_atomic(empty, "");
  CHECK(as_text(MappedFile(path).bytes()) == "bytes");
  CHECK(MappedFile(empty).bytes().empty());
  const std::string none = folder / "none", itself = folder / ".";
  CHECK(file_error([&] { MappedFile{none}; }) == none + ": cannot be opened: No such file or directory");
  CHECK(file_error([&] { MappedFile{itself}; }) == itself + ": cannot be read: it is a folder");
  CHECK(file_error([&] { MappedFile{"/dev/null"}; }) == "/dev/null: cannot be read: it is not a regular file");
}

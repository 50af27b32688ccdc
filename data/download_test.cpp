#include "data/download.hpp"

#include "data/archive.hpp"
#include "data/archive_test_support.hpp"
#include "data/data_test_support.hpp"
#include "data/files.hpp"
#include "data/sha256.hpp"

// All over file:// addresses: libcurl treats them as it treats a server, and a test must not need a network.
namespace gradus::data {
namespace {

std::string address(const std::filesystem::path& file) { return "file://" + file.string(); }
std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

/// False, with a message, on a machine without libcurl.
bool have_curl() {
  const TemporaryFolder folder;
  write_text(folder / "a", "a");
  const std::string error =
      error_of<FileError>([&] { download(address(folder / "a"), folder / "b", sha256(bytes_of("a"))); });
  const bool missing = contains(error, "libcurl is not installed");
  if (missing) MESSAGE("skipped: libcurl is not installed");
  return !missing;
}

}  // namespace

TEST_CASE("download: brings the file under its name, reports progress, and does not fetch it twice") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  const std::string text(300'000, 'x');
  write_text(folder / "source", text);
  std::int64_t last = 0;
  const std::filesystem::path target = folder / "new" / "target";
  download(address(folder / "source"), target, sha256(bytes_of(text)), [&](std::int64_t done, std::int64_t) {
    last = done;
    return true;
  });
  CHECK(last == 300'000);
  CHECK(read_file(target).size() == 300'000);
  CHECK_FALSE(std::filesystem::exists(folder / "new" / "target.part"));
  std::filesystem::remove(folder / "source");
  download(address(folder / "source"), target, sha256(bytes_of(text)));
}

TEST_CASE("download: goes on where it was stopped") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  const std::string text = std::string(1000, 'a') + std::string(1000, 'b');
  write_text(folder / "source", text);
  write_text(folder / "target.part", std::string(1000, 'a'));
  download(address(folder / "source"), folder / "target", sha256(bytes_of(text)));
  CHECK(read_file(folder / "target").size() == 2000);
  write_text(folder / "again.part", text);  // all had come, only the renaming was missing
  download(address(folder / "source"), folder / "again", sha256(bytes_of(text)));
  CHECK(read_file(folder / "again").size() == 2000);
}

TEST_CASE("download: stopped by its caller it keeps what has come") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  write_text(folder / "source", std::string(5'000'000, 'x'));
  const std::string message = error_of<Interrupted>([&] {
    download(address(folder / "source"), folder / "target", std::string(64, '0'),
             [](std::int64_t done, std::int64_t) { return done == 0; });
  });
  CHECK(contains(message, "target.part keeps what has come"));
  CHECK_FALSE(std::filesystem::exists(folder / "target"));
}

TEST_CASE("download: a wrong digest, a file that is not what it should be, and an absent one are errors") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  write_text(folder / "source", "something else");
  const std::string wanted = sha256(bytes_of("something"));
  CHECK(contains(error_of<FileError>([&] { download(address(folder / "source"), folder / "target", wanted); }),
                 "another file, or damaged on its way"));
  CHECK_FALSE(std::filesystem::exists(folder / "target"));
  CHECK_FALSE(std::filesystem::exists(folder / "target.part"));
  write_text(folder / "mine", "precious");
  CHECK(contains(error_of<FileError>([&] { download(address(folder / "source"), folder / "mine", wanted); }),
                 "mine: is there, but its SHA-256 is"));
  CHECK(read_file(folder / "mine").size() == 8);
  CHECK(contains(error_of<FileError>([&] { download(address(folder / "none"), folder / "target", wanted); }),
                 "none cannot be fetched: "));
  CHECK_FALSE(std::filesystem::exists(folder / "target.part"));
}

TEST_CASE("download: without a network there is one clear line") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  const std::string message =  // port 9 of this machine: nobody answers
      error_of<FileError>([&] { download("http://127.0.0.1:9/x", folder / "target", std::string(64, '0')); });
  CHECK(contains(message, "download: http://127.0.0.1:9/x cannot be fetched: "));
  CHECK(message.find('\n') == std::string::npos);
}

TEST_CASE("download_cifar: fetches, checks, unpacks and reads; a second call does nothing") {
  if (!have_curl()) return;
  const TemporaryFolder folder;
  std::vector<std::uint8_t> record(3073, 7);
  std::vector<std::pair<std::string, std::vector<std::uint8_t>>> files;
  for (int i = 1; i <= 5; ++i) files.emplace_back(fmt::format("cifar-10-batches-bin/data_batch_{}.bin", i), record);
  files.emplace_back("cifar-10-batches-bin/test_batch.bin", record);
  const std::vector<std::uint8_t> archive = gzip(tar(files));
  write_bytes(folder / "archive.tar.gz", archive);
  const Published mirror{address(folder / "archive.tar.gz"), sha256(archive), ""};
  download_cifar(Cifar::k10, folder / "data", {}, &mirror);
  CHECK(read_cifar(folder / "data", Cifar::k10, true).size() == 5);
  CHECK(read_cifar(folder / "data", Cifar::k10, true).label(0) == 7);
  CHECK_FALSE(std::filesystem::exists(folder / "data" / "archive.tar.gz"));
  std::filesystem::remove(folder / "archive.tar.gz");
  download_cifar(Cifar::k10, folder / "data", {}, &mirror);
}

}  // namespace gradus::data

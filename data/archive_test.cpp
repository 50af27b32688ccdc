#include "data/archive.hpp"

#include "data/archive_test_support.hpp"
#include "data/data_test_support.hpp"
#include "data/files.hpp"

namespace gradus::data {
namespace {

const std::vector<std::uint8_t> kText{0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6, 0, 1, 2, 3, 4, 5, 6};
std::string unzip_error(const std::vector<std::uint8_t>& bytes) {
  return error_of<FileError>([&] { gunzip(bytes, "x.gz"); });
}
std::string tar_error(const std::vector<std::uint8_t>& bytes) {
  return error_of<FileError>([&] { read_tar(bytes, "x.tar"); });
}

}  // namespace

TEST_CASE("gunzip: reads compressed data (made by Python's gzip) and stored data") {
  const std::vector<std::uint8_t> packed{31, 139, 8,  0,   0,   0,  0,   0,   2,   3,  99, 96, 100,
                                         98, 102, 97, 101, 99,  64, 161, 210, 139, 18, 83, 74, 139,
                                         21, 176, 81, 0,   131, 17, 206, 128, 48,  0,  0,  0};
  std::vector<std::uint8_t> expected = kText;
  for (const char c : std::string("gradus gradus gradus gradus")) expected.push_back(static_cast<std::uint8_t>(c));
  CHECK(gunzip(packed, "x.gz") == expected);
  CHECK(gunzip(gzip(kText), "x.gz") == kText);
  CHECK(gunzip(gzip({}), "x.gz").empty());
  const std::vector<std::uint8_t> large(200'000, 9);
  CHECK(gunzip(gzip(large), "x.gz") == large);
}

TEST_CASE("gunzip: foreign, cut short, damaged and too large files are named") {
  const std::vector<std::uint8_t> good = gzip(kText);
  CHECK(unzip_error({1, 2, 3}) == "x.gz: is not a gzip file");
  for (std::size_t n = 0; n < good.size(); ++n)
    REQUIRE(contains(unzip_error({good.begin(), good.begin() + static_cast<std::ptrdiff_t>(n)}), "x.gz: "));
  std::vector<std::uint8_t> bad = good;
  bad[20] ^= 1;
  CHECK(unzip_error(bad) == "x.gz: the gzip data are damaged (wrong CRC-32)");
  bad = good;
  bad[bad.size() - 1] = 0x7f;
  CHECK(contains(unzip_error(bad), "x.gz: would unpack to 2130706453 bytes, more than the 1073741824 allowed"));
  bad[bad.size() - 1] = 0;
  bad[bad.size() - 4] += 5;
  CHECK(unzip_error(bad) == "x.gz: the gzip data are cut short or damaged");
}

TEST_CASE("tar: the files of an archive, in order") {
  const std::vector<std::uint8_t> archive =
      tar({{"a.txt", {1, 2}}, {"./b/c", std::vector<std::uint8_t>(1000, 3)}, {"d", {}}});
  const std::vector<TarEntry> entries = read_tar(archive, "x.tar");
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].path == "a.txt");
  CHECK(entries[1].path == "b/c");
  CHECK(entries[1].bytes.size() == 1000);
  CHECK(int{entries[0].bytes[1]} == 2);
  CHECK(entries[2].bytes.empty());
}

TEST_CASE("tar: paths that lead out of the folder are refused") {
  CHECK(tar_error(tar({{"../a", {}}})) == "x.tar: the path '../a' leads out of the folder");
  CHECK(tar_error(tar({{"/etc/a", {}}})) == "x.tar: the path '/etc/a' leads out of the folder");
  CHECK(tar_error(tar({{"b/../../a", {}}})) == "x.tar: the path 'b/../../a' leads out of the folder");
}

TEST_CASE("tar: cut short, damaged and foreign files are named") {
  std::vector<std::uint8_t> archive = tar({{"a", std::vector<std::uint8_t>(700, 1)}});
  CHECK(tar_error({}) == "x.tar: the tar archive is cut short");
  CHECK(tar_error({archive.begin(), archive.begin() + 600}) == "x.tar: the tar archive is cut short");
  CHECK(tar_error(std::vector<std::uint8_t>(2000, 'x')) == "x.tar: not a tar archive, or damaged at byte 0");
  archive[3] = 'z';
  CHECK(tar_error(archive) == "x.tar: not a tar archive, or damaged at byte 0");
}

TEST_CASE("unpack_tar_gz: writes the files with their folders") {
  const TemporaryFolder folder;
  write_bytes(folder / "x.tar.gz", gzip(tar({{"one/two", {5, 6}}, {"three", {7}}})));
  unpack_tar_gz(folder / "x.tar.gz", folder / "out");
  CHECK(read_file(folder / "out" / "one" / "two") == std::vector<std::uint8_t>{5, 6});
  CHECK(read_file(folder / "out" / "three") == std::vector<std::uint8_t>{7});
}

}  // namespace gradus::data

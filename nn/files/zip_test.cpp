#include "nn/files/zip.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::files;
using namespace std::string_literals;

namespace {

std::string written(const std::vector<std::pair<std::string, std::string>>& entries) {
  const TemporaryFolder folder;
  const std::string path = folder / "a.zip";
  AtomicFile file(path);
  zip::Writer writer(file);
  for (const auto& [name, data] : entries) writer.add(name, as_bytes(data));
  writer.finish();
  file.commit();
  return read_all(path);
}

std::string error_of(const std::string& archive) {
  return file_error([&] {
    for (const zip::Entry& e : zip::read_entries(as_bytes(archive), "f")) zip::check_crc(e, "f");
  });
}

template <class T>
void put(std::string& s, std::size_t at, T value) {
  std::string bytes;
  append_le(bytes, value);
  std::copy(bytes.begin(), bytes.end(), s.begin() + static_cast<std::ptrdiff_t>(at));
}

}  // namespace

TEST_CASE("zip: what is written is read, and begins at multiples of 64") {
  const std::string archive = written({{"a/x", "hello"}, {"a/empty", ""}, {"b", std::string(1000, 'z')}});
  const auto entries = zip::read_entries(as_bytes(archive), "f");
  REQUIRE(entries.size() == 3);
  CHECK(entries[0].name == "a/x");
  CHECK(as_text(entries[0].data) == "hello");
  CHECK(entries[1].data.empty());
  CHECK(entries[2].data.size() == 1000);
  for (const zip::Entry& e : entries) CHECK((e.data.data() - as_bytes(archive).data()) % 64 == 0);
}

TEST_CASE("zip: the CRC-32 is the usual one") {
  CHECK(zip::crc32(as_bytes("123456789")) == 0xcbf43926);
  CHECK(zip::crc32(as_bytes("")) == 0);
}

TEST_CASE("zip: a changed byte of data is noticed, except where the writer left the CRC out") {
  std::string archive = written({{"x", "hello"}});
  archive[64] = 'j';
  CHECK(error_of(archive) == R"(f: zip: entry "x" is damaged (its CRC-32 does not fit))");
  const std::size_t directory = archive.find("PK\1\2");
  put(archive, directory + 16, std::uint32_t{0});
  CHECK(error_of(archive) == "no error");
}

TEST_CASE("zip: what an archive must not be") {
  const std::string good = written({{"x", "hello"}, {"y", "world"}});
  const std::size_t first = good.find("PK\1\2"), second = good.find("PK\1\2", first + 1), end = good.find("PK\5\6");
  const auto changed = [&](std::size_t at, auto value) {
    std::string s = good;
    put(s, at, value);
    return error_of(s);
  };
  CHECK(error_of("PK") == "f: zip: cut short: 2 bytes");
  CHECK(error_of(good.substr(0, good.size() - 1)) == "f: zip: cut short: it has no end record");
  CHECK(changed(first + 8, std::uint16_t{1}) == R"(f: zip: entry "x" is encrypted)");
  CHECK(changed(first + 10, std::uint16_t{8}).find(R"(f: zip: entry "x" is compressed)") == 0);
  CHECK(changed(first + 20, std::uint32_t{4}) == R"(f: zip: entry "x" has 4 bytes stored for 5)");
  CHECK(changed(first + 46, std::uint8_t{'y'}).find("f: zip: entry \"y\" has another name") == 0);
  CHECK(changed(first + 42, std::uint32_t{1}) == R"(f: zip: entry "x" has no header at byte 1)");
  CHECK(changed(end + 10, std::uint16_t{3}) == "f: zip: its directory lists 2 entries and announces 3");
  CHECK(changed(end + 16, std::uint32_t{0xfffffff0}).find("lies outside the file") != std::string::npos);
  CHECK(changed(end + 16, std::uint32_t{0xffffffff}) == "f: zip: its 64-bit end record is missing");
  CHECK(changed(first + 42, std::uint32_t{0xffffffff}) == R"(f: zip: entry "x" lacks its 64-bit extension)");

  std::string twice = good;  // the second entry of the directory is the first once more
  twice.replace(second, 47, good.substr(first, 47));
  CHECK(error_of(twice) == R"(f: zip: two entries are called "x")");
  std::string overlapping = good;
  put(overlapping, first + 20, std::uint32_t{60});
  put(overlapping, first + 24, std::uint32_t{60});
  CHECK(error_of(overlapping) == "f: zip: two entries overlap at byte 69");
}

TEST_CASE("zip: the 64-bit extension is read") {
  // one entry, "x" = "hi", every size and offset of which stands in the extension, and so does the directory's
  std::string s;
  append_le(s, std::uint32_t{0x04034b50});
  s.append(26, '\0');
  put(s, 26, std::uint16_t{1});
  s += "xhi";
  const std::size_t directory = s.size();
  append_le(s, std::uint32_t{0x02014b50});
  s.append(42, '\0');
  put(s, directory + 20, 0xffffffffu);
  put(s, directory + 24, 0xffffffffu);
  put(s, directory + 28, std::uint16_t{1});
  put(s, directory + 30, std::uint16_t{28});
  put(s, directory + 42, 0xffffffffu);
  s += "x";
  append_le(s, std::uint16_t{1});
  append_le(s, std::uint16_t{24});
  for (const std::uint64_t field : {2, 2, 0}) append_le(s, field);
  const std::size_t end64 = s.size();
  append_le(s, std::uint32_t{0x06064b50});
  s.append(52, '\0');
  put(s, end64 + 32, std::uint64_t{1});
  put(s, end64 + 40, std::uint64_t{end64 - directory});
  put(s, end64 + 48, std::uint64_t{directory});
  append_le(s, std::uint32_t{0x07064b50});
  append_le(s, std::uint32_t{0});
  append_le(s, std::uint64_t{end64});
  append_le(s, std::uint32_t{1});
  append_le(s, std::uint32_t{0x06054b50});
  append_le(s, std::uint32_t{0});
  append_le(s, 0xffffffffu);
  append_le(s, 0xffffffffu);
  append_le(s, 0xffffffffu);
  append_le(s, std::uint16_t{0});
  const auto entries = zip::read_entries(as_bytes(s), "f");
  REQUIRE(entries.size() == 1);
  CHECK(as_text(entries[0].data) == "hi");
}

#include "nn/files/zip.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <unordered_set>

#include "core/error.hpp"

namespace gradus::files::zip {
namespace {

constexpr std::uint32_t kLocalHeader = 0x04034b50, kCentralHeader = 0x02014b50, kEnd = 0x06054b50;
constexpr std::uint32_t kEnd64 = 0x06064b50, kEnd64Locator = 0x07064b50;
constexpr std::size_t kLocalSize = 30, kCentralSize = 46, kEndSize = 22, kEnd64Size = 56, kLocatorSize = 20;
constexpr std::uint16_t kEncrypted = 1, kUtf8 = 1 << 11;
constexpr std::uint16_t kVersion = 20;      // needed to extract: 2.0
constexpr std::uint16_t kPadding = 0x4246;  // "FB": the extra field PyTorch aligns its entries with
constexpr std::uint16_t kDosDate = 0x21;    // 1 January 1980: equal content makes equal files
constexpr std::size_t kAlignment = 64;
constexpr std::uint16_t kIn64Bits16 = 0xffff;  // "see the 64-bit extension"
constexpr std::uint32_t kIn64Bits = 0xffffffff;

/// Eight tables for eight bytes at a time ("slicing by 8").
constexpr auto kCrcTables = [] {
  std::array<std::array<std::uint32_t, 256>, 8> t{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t c = i;
    for (int bit = 0; bit < 8; ++bit) c = (c >> 1) ^ ((c & 1) != 0 ? 0xedb88320u : 0u);
    t[0][i] = c;
  }
  for (std::size_t k = 1; k < 8; ++k) {
    for (std::size_t i = 0; i < 256; ++i) t[k][i] = (t[k - 1][i] >> 8) ^ t[0][t[k - 1][i] & 0xff];
  }
  return t;
}();

/// A range of the archive.
struct Range {
  std::uint64_t begin = 0;
  std::uint64_t end = 0;
};

class Archive {
 public:
  Archive(Bytes bytes, std::string_view file) : bytes_(bytes), file_(file) {}

  std::vector<Entry> read() {
    const Range directory = find_directory();
    std::vector<Entry> entries;
    std::vector<Range> ranges;
    std::unordered_set<std::string> names;
    for (std::uint64_t at = directory.begin; at < directory.end;) {
      require(in_range(at, kCentralSize, directory.end) && le<std::uint32_t>(at) == kCentralHeader,
              "its directory is damaged at byte {}", at);
      entries.push_back(read_entry(&at, directory, &ranges));
      require(names.insert(entries.back().name).second, "two entries are called {}", in_quotes(entries.back().name));
    }
    require(entries.size() == expected_, "its directory lists {} entries and announces {}", entries.size(), expected_);
    // Entries that share bytes would let a small archive hold any amount of data.
    std::sort(ranges.begin(), ranges.end(), [](const Range& a, const Range& b) { return a.begin < b.begin; });
    for (std::size_t i = 1; i < ranges.size(); ++i) {
      require(ranges[i - 1].end <= ranges[i].begin, "two entries overlap at byte {}", ranges[i].begin);
    }
    return entries;
  }

 private:
  template <class... Args>
  void require(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (!ok) [[unlikely]]
      fail<FileError>("{}: zip: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

  template <class T>
  T le(std::uint64_t at) const {
    return read_le<T>(bytes_, at);
  }

  /// The central directory; sets expected_.
  Range find_directory() {
    const std::uint64_t total = bytes_.size();
    require(total >= kEndSize, "cut short: {} bytes", total);
    const std::uint64_t lowest =
        total - std::min<std::uint64_t>(total, kEndSize + 0xffff);  // a comment may follow the end record
    std::optional<std::uint64_t> found;
    for (std::uint64_t at = total - kEndSize + 1; at-- > lowest && !found;) {
      if (le<std::uint32_t>(at) == kEnd && le<std::uint16_t>(at + 20) == total - at - kEndSize) found = at;
    }
    require(found.has_value(), "cut short: it has no end record");
    const std::uint64_t end = *found;
    std::uint64_t size = le<std::uint32_t>(end + 12);
    std::uint64_t begin = le<std::uint32_t>(end + 16);
    std::uint64_t limit = end;
    expected_ = le<std::uint16_t>(end + 10);
    if (expected_ == kIn64Bits16 || size == kIn64Bits || begin == kIn64Bits) {
      require(end >= kLocatorSize && le<std::uint32_t>(end - kLocatorSize) == kEnd64Locator,
              "its 64-bit end record is missing");
      const auto at = le<std::uint64_t>(end - kLocatorSize + 8);
      require(in_range(at, kEnd64Size, end - kLocatorSize) && le<std::uint32_t>(at) == kEnd64,
              "its 64-bit end record is missing");
      expected_ = le<std::uint64_t>(at + 32);
      size = le<std::uint64_t>(at + 40);
      begin = le<std::uint64_t>(at + 48);
      limit = at;
    }
    require(in_range(begin, size, limit), "its directory of {} bytes at byte {} lies outside the file", size, begin);
    return {begin, begin + size};
  }

  /// The entry at *at of the directory; moves *at behind it.
  Entry read_entry(std::uint64_t* at, const Range& directory, std::vector<Range>* ranges) const {
    const std::uint64_t header = *at;
    const auto name_size = le<std::uint16_t>(header + 28);
    const auto extra_size = le<std::uint16_t>(header + 30);
    const std::uint64_t variable = std::uint64_t{name_size} + extra_size + le<std::uint16_t>(header + 32);
    require(in_range(header + kCentralSize, variable, directory.end), "its directory is damaged at byte {}", header);
    *at = header + kCentralSize + variable;

    Entry entry;
    entry.name = as_text(bytes_.subspan(header + kCentralSize, name_size));
    entry.crc = le<std::uint32_t>(header + 16);
    require((le<std::uint16_t>(header + 8) & kEncrypted) == 0, "entry {} is encrypted", in_quotes(entry.name));
    require(le<std::uint16_t>(header + 10) == 0, "entry {} is compressed, PyTorch stores its entries as they are",
            in_quotes(entry.name));
    std::uint64_t packed = le<std::uint32_t>(header + 20);
    std::uint64_t size = le<std::uint32_t>(header + 24);
    std::uint64_t local = le<std::uint32_t>(header + 42);
    read_extension(bytes_.subspan(header + kCentralSize + name_size, extra_size), entry.name, &size, &packed, &local);

    require(packed == size, "entry {} has {} bytes stored for {}", in_quotes(entry.name), packed, size);
    require(in_range(local, kLocalSize, directory.begin) && le<std::uint32_t>(local) == kLocalHeader,
            "entry {} has no header at byte {}", in_quotes(entry.name), local);
    const auto local_name = le<std::uint16_t>(local + 26);
    const std::uint64_t data = local + kLocalSize + local_name + le<std::uint16_t>(local + 28);
    require(in_range(data, size, directory.begin), "entry {} of {} bytes at byte {} reaches beyond the file",
            in_quotes(entry.name), size, data);
    require(as_text(bytes_.subspan(local + kLocalSize, local_name)) == entry.name,
            "entry {} has another name at byte {}", in_quotes(entry.name), local);
    entry.data = bytes_.subspan(data, size);
    ranges->push_back({local, data + size});
    return entry;
  }

  /// Fields that hold kIn64Bits stand, in this order, in the extra field of id 1.
  void read_extension(Bytes extra, const std::string& name, std::uint64_t* size, std::uint64_t* packed,
                      std::uint64_t* local) const {
    if (*size != kIn64Bits && *packed != kIn64Bits && *local != kIn64Bits) return;
    while (extra.size() >= 4) {
      const auto id = read_le<std::uint16_t>(extra, 0);
      const auto length = read_le<std::uint16_t>(extra, 2);
      if (length > extra.size() - 4) break;
      if (id == 1) {
        std::size_t at = 4;
        for (std::uint64_t* field : {size, packed, local}) {
          if (*field != kIn64Bits) continue;
          require(at + 8 <= std::size_t{4} + length, "entry {} has an incomplete 64-bit extension", in_quotes(name));
          *field = read_le<std::uint64_t>(extra, at);
          at += 8;
        }
        return;
      }
      extra = extra.subspan(std::size_t{4} + length);
    }
    require(false, "entry {} lacks its 64-bit extension", in_quotes(name));
  }

  Bytes bytes_;
  std::string_view file_;
  std::uint64_t expected_ = 0;  // entries, as the end record says
};

}  // namespace

std::uint32_t crc32(Bytes data) {
  const auto& t = kCrcTables;
  std::uint32_t crc = 0xffffffff;
  std::size_t i = 0;
  for (; i + 8 <= data.size(); i += 8) {
    std::uint64_t word;  // little-endian, as element.cpp asserts of the machine
    std::memcpy(&word, data.data() + i, sizeof word);
    word ^= crc;
    crc = t[7][word & 0xff] ^ t[6][(word >> 8) & 0xff] ^ t[5][(word >> 16) & 0xff] ^ t[4][(word >> 24) & 0xff] ^
          t[3][(word >> 32) & 0xff] ^ t[2][(word >> 40) & 0xff] ^ t[1][(word >> 48) & 0xff] ^ t[0][word >> 56];
  }
  for (; i < data.size(); ++i) crc = (crc >> 8) ^ t[0][(crc ^ data[i]) & 0xff];
  return ~crc;
}

std::vector<Entry> read_entries(Bytes archive, std::string_view file) { return Archive(archive, file).read(); }

void check_crc(const Entry& entry, std::string_view file) {
  if (entry.crc == 0) return;
  check<FileError>(crc32(entry.data) == entry.crc, "{}: zip: entry {} is damaged (its CRC-32 does not fit)", file,
                   in_quotes(entry.name));
}

void Writer::add(const std::string& name, Bytes data) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint32_t>::max();
  const std::uint64_t local = file_.size();
  const std::uint64_t unpadded = local + kLocalSize + name.size() + 4;
  const std::uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;
  check<FileError>(unpadded + padding < kMost && data.size() < kMost - unpadded - padding && entries_ < 0xfffe,
                   "zip: an archive beyond 4 GiB or 65,534 entries is not written, safetensors has no such limit");

  std::string fields;  // common to both headers
  append_le(fields, kVersion);
  append_le(fields, kUtf8);
  append_le(fields, std::uint16_t{0});  // stored
  append_le(fields, std::uint16_t{0});  // time
  append_le(fields, kDosDate);
  append_le(fields, crc32(data));
  append_le(fields, static_cast<std::uint32_t>(data.size()));
  append_le(fields, static_cast<std::uint32_t>(data.size()));
  append_le(fields, static_cast<std::uint16_t>(name.size()));

  std::string header;
  append_le(header, kLocalHeader);
  header += fields;
  append_le(header, static_cast<std::uint16_t>(4 + padding));
  header += name;
  append_le(header, kPadding);
  append_le(header, static_cast<std::uint16_t>(padding));
  header.append(padding, 'Z');
  file_.write(header);
  file_.write(data);

  append_le(directory_, kCentralHeader);
  append_le(directory_, kVersion);  // made by
  directory_ += fields;
  directory_.append(12, '\0');  // no extra field, no comment, disk 0, no attributes
  append_le(directory_, static_cast<std::uint32_t>(local));
  directory_ += name;
  ++entries_;
}

void Writer::finish() {
  std::string end;
  append_le(end, kEnd);
  append_le(end, std::uint32_t{0});  // disks
  append_le(end, entries_);
  append_le(end, entries_);
  append_le(end, static_cast<std::uint32_t>(directory_.size()));
  append_le(end, static_cast<std::uint32_t>(file_.size()));
  append_le(end, std::uint16_t{0});  // comment
  check<FileError>(file_.size() + directory_.size() < kIn64Bits, "zip: an archive beyond 4 GiB is not written");
  file_.write(directory_);
  file_.write(end);
}

}  // namespace gradus::files::zip

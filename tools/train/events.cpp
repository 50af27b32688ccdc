#include "tools/train/events.hpp"

#include <array>
#include <bit>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/error.hpp"

namespace gradus::program {
namespace {

std::string little_endian(std::uint64_t value, int bytes) {
  std::string text;
  for (int i = 0; i < bytes; ++i) text += static_cast<char>(value >> (8 * i) & 0xff);
  return text;
}

/// A protocol-buffer message under construction. A field is its number and wire type, then its value.
class Message {
 public:
  Message& varint(int field, std::uint64_t value) {
    put_varint(static_cast<std::uint64_t>(field) << 3);
    put_varint(value);
    return *this;
  }
  Message& fixed64(int field, double value) {
    put_varint(static_cast<std::uint64_t>(field) << 3 | 1);
    text_ += little_endian(std::bit_cast<std::uint64_t>(value), 8);
    return *this;
  }
  Message& bytes(int field, std::string_view value) {  // also of nested messages
    put_varint(static_cast<std::uint64_t>(field) << 3 | 2);
    put_varint(value.size());
    text_ += value;
    return *this;
  }
  Message& fixed32(int field, float value) {
    put_varint(static_cast<std::uint64_t>(field) << 3 | 5);
    text_ += little_endian(std::bit_cast<std::uint32_t>(value), 4);
    return *this;
  }
  Message& packed(int field, const std::vector<double>& values) {
    std::string all;
    for (const double v : values) all += little_endian(std::bit_cast<std::uint64_t>(v), 8);
    return bytes(field, all);
  }
  const std::string& text() const { return text_; }

 private:
  void put_varint(std::uint64_t value) {  // seven bits at a time, the lowest first
    for (; value >= 0x80; value >>= 7) text_ += static_cast<char>(value | 0x80);
    text_ += static_cast<char>(value);
  }
  std::string text_;
};

// Numbers of fields.
namespace event {
constexpr int kWallTime = 1, kStep = 2, kFileVersion = 3, kSummary = 5;
}
namespace value {
constexpr int kTag = 1, kSimpleValue = 2, kHistogram = 5;
}
constexpr int kSummaryValue = 1;

Message event_now() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return Message().fixed64(event::kWallTime, std::chrono::duration<double>(now).count());
}

Message event_with(std::int64_t step, const Message& value) {
  return event_now()
      .varint(event::kStep, static_cast<std::uint64_t>(step))
      .bytes(event::kSummary, Message().bytes(kSummaryValue, value.text()).text());
}

std::array<std::uint32_t, 256> crc_table() {
  std::array<std::uint32_t, 256> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = crc & 1 ? crc >> 1 ^ 0x82f63b78u : crc >> 1;
    table[i] = crc;
  }
  return table;
}

}  // namespace

std::uint32_t masked_crc32c(std::string_view bytes) {
  static const std::array<std::uint32_t, 256> table = crc_table();
  std::uint32_t crc = 0xffffffffu;
  for (const char c : bytes) crc = table[(crc ^ static_cast<unsigned char>(c)) & 0xff] ^ crc >> 8;
  return std::rotr(~crc, 15) + 0xa282ead8u;
}

EventFile::EventFile(std::string path, std::int64_t keep) : path_(std::move(path)), bytes_(keep) {
  std::error_code error;
  const auto there = static_cast<std::int64_t>(std::filesystem::file_size(path_, error));
  if (error || there < bytes_) bytes_ = 0;
  if (!error) std::filesystem::resize_file(path_, static_cast<std::uintmax_t>(bytes_), error);
  if (bytes_ == 0) add(event_now().bytes(event::kFileVersion, "brain.Event:2").text());
}

void EventFile::scalar(std::string_view tag, std::int64_t step, double v) {
  add(event_with(step, Message().bytes(value::kTag, tag).fixed32(value::kSimpleValue, static_cast<float>(v))).text());
}

void EventFile::histogram(std::string_view tag, std::int64_t step, const Histogram& h) {
  std::vector<double> limits, counts;
  for (std::size_t i = 0; i < h.counts.size(); ++i) {
    limits.push_back(h.edge(i + 1));
    counts.push_back(static_cast<double>(h.counts[i]));
  }
  const Message proto = Message()
                            .fixed64(1, h.least)
                            .fixed64(2, h.most)
                            .fixed64(3, static_cast<double>(h.count))
                            .fixed64(4, h.sum)
                            .fixed64(5, h.sum_squares)
                            .packed(6, limits)
                            .packed(7, counts);
  add(event_with(step, Message().bytes(value::kTag, tag).bytes(value::kHistogram, proto.text())).text());
}

void EventFile::add(std::string_view event) {
  const std::string length = little_endian(event.size(), 8);
  waiting_ += length + little_endian(masked_crc32c(length), 4);
  waiting_ += event;
  waiting_ += little_endian(masked_crc32c(event), 4);
}

std::int64_t EventFile::flush() {
  if (waiting_.empty()) return bytes_;
  std::ofstream out(path_, std::ios::app | std::ios::binary);
  out << waiting_ << std::flush;
  check<FileError>(out.good(), "{}: cannot be written: {}", path_, std::strerror(errno));
  bytes_ += std::ssize(waiting_);
  waiting_.clear();
  return bytes_;
}

}  // namespace gradus::program

#pragma once
// TensorBoard event files: what TensorBoard reads beside log.jsonl.
//
// A file is a row of records as TensorFlow writes them (TFRecord): the length of the data (8 bytes, little-endian), a
// checksum of these 8 bytes, the data, a checksum of the data. The data are protocol-buffer messages `Event`
// (tensorflow/core/util/event.proto, summary.proto in tensorflow/core/framework), of which few fields are needed.

#include <cstdint>
#include <string>
#include <string_view>

#include "tools/train/histogram.hpp"

namespace gradus::program {

/// CRC-32C (Castagnoli; RFC 3720, appendix B.4), masked as TFRecord stores it: rotated right by 15 and 0xa282ead8
/// added.
std::uint32_t masked_crc32c(std::string_view bytes);

class EventFile {
 public:
  /// The file at `path`, of which the first `keep` bytes stay; 0 begins a new one. What a run wrote after its
  /// checkpoint is cut off in this way when it is resumed. A file shorter than that begins anew.
  explicit EventFile(std::string path, std::int64_t keep = 0);

  void scalar(std::string_view tag, std::int64_t step, double value);
  void histogram(std::string_view tag, std::int64_t step, const Histogram& h);
  /// Writes what was added since; the bytes of the file, all told. FileError.
  std::int64_t flush();

 private:
  void add(std::string_view event);

  std::string path_, waiting_;
  std::int64_t bytes_;
};

}  // namespace gradus::program

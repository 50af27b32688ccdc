#pragma once
// The part of the zip format that PyTorch's checkpoints use: entries stored as they are, with or without the 64-bit
// extension. Format: PKWARE's APPNOTE.TXT 6.3.10.

#include <string>
#include <string_view>
#include <vector>

#include "nn/files/atomic_file.hpp"
#include "nn/files/bytes.hpp"

namespace gradus::files::zip {

struct Entry {
  std::string name;
  std::uint32_t crc = 0;  // 0 where the writer did not compute it (an option of PyTorch)
  Bytes data;             // within the archive
};

/// All entries. FileError for an archive that is cut short or contradicts itself, entries that overlap, two entries of
/// one name, and compressed or encrypted entries. `file` is what messages call the archive.
std::vector<Entry> read_entries(Bytes archive, std::string_view file);

/// FileError where an entry's bytes do not have its CRC-32.
void check_crc(const Entry& entry, std::string_view file);

/// CRC-32 of ISO-HDLC, as zip uses it.
std::uint32_t crc32(Bytes data);

/// Writes an archive whose entries begin at multiples of 64 bytes, as PyTorch's do, so that they can be mapped.
class Writer {
 public:
  explicit Writer(AtomicFile& file) : file_(file) {}
  /// FileError where the archive would pass 4 GiB.
  void add(const std::string& name, Bytes data);
  void finish();

 private:
  AtomicFile& file_;
  std::string directory_;
  std::uint16_t entries_ = 0;
};

}  // namespace gradus::files::zip

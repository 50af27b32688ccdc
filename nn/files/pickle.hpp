#pragma once
// A restricted unpickler: reads the data that PyTorch checkpoints hold and nothing else.
//
// A pickle is a program for a small stack machine, and Python's own reader lets it call any function of any module.
// This one calls nothing. A name of a function or class (a "global") must be on the list in pickle.cpp and stands for
// one of a few built-in meanings (an ordered dict, a tensor on a storage, a storage's element type, ...); any other
// name, and any opcode that PyTorch does not write, is a FileError that says which and where.
//
// Bounds: every value lives in one array and refers to others by index, so neither reading nor freeing recurses and
// cycles are harmless. The number of values, the depth of nesting and all memory are limited by Limits; a length in the
// input is believed only when that many bytes follow.
//
// Format: https://github.com/python/cpython/blob/main/Lib/pickletools.py; protocols 0 to 5.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nn/files/bytes.hpp"
#include "nn/files/element.hpp"

namespace gradus::files::pickle {

using Ref = std::uint32_t;  // index into Document::values

enum class Kind : std::uint8_t {
  none,
  boolean,
  integer,
  big_integer,
  real,
  text,
  bytes,
  list,
  tuple,
  dict,
  global,
  storage,
  tensor
};

/// The kind's name for messages: "a dict", "an integer".
const char* describe(Kind kind);

struct Value {
  Kind kind = Kind::none;
  std::uint32_t depth = 0;   // of nesting below this value
  std::int64_t integer = 0;  // boolean (0, 1), integer; index into Document::storages or ::tensors
  double real = 0;           // real
  std::string text = {};  // text (UTF-8), bytes, global ("module.name"), big_integer (little-endian two's complement)
  std::vector<Ref> items = {};  // list, tuple: the elements; dict: key, value, key, value, ...
};

/// A storage: elements that lie elsewhere in the file, under `key`. A view is `numel` elements from `first` on.
struct StorageRef {
  std::string key;
  Element element = Element::f32;
  std::int64_t numel = 0;  // of the whole storage
  std::int64_t first = 0;  // of the view
  std::int64_t count = 0;  // elements in the view
};

/// A tensor: where its elements lie in a storage, in elements. Checked: equally many sizes and strides, none negative,
/// and every element within the storage's count.
struct TensorRef {
  std::uint32_t storage = 0;  // index into Document::storages
  std::int64_t offset = 0;
  std::vector<std::int64_t> shape;
  std::vector<std::int64_t> strides;
};

struct Limits {
  std::size_t values = 1'000'000;               // and entries of the stack, and of the memo
  std::size_t memory = std::size_t{256} << 20;  // bytes in values, storages and tensors together
  std::uint32_t depth = 100;
  std::size_t dims = kMaxRank;
};

struct Document {
  std::vector<Value> values;
  std::vector<StorageRef> storages;
  std::vector<TensorRef> tensors;
  Ref root = 0;
  std::size_t size = 0;  // bytes read, STOP included: a legacy file holds several pickles in a row

  const Value& at(Ref r) const { return values[r]; }
  /// The value under a text key of a dict, or nullptr. The last one counts, as in Python.
  const Value* find(const Value& dict, std::string_view key) const;
};

/// Reads one pickle from the start of `input`. `file` is what error messages call it. Throws FileError.
Document load(Bytes input, std::string_view file, const Limits& limits = {});

}  // namespace gradus::files::pickle

#include "nn/files/safetensors.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <numeric>
#include <optional>
#include <unordered_set>
#include <utility>

#include "core/error.hpp"
#include "nn/files/atomic_file.hpp"
#include "nn/files/element.hpp"
#include "nn/files/mapped_file.hpp"

namespace gradus::files {
namespace {

using Json = nlohmann::json;

constexpr std::uint64_t kMaxHeader = 100'000'000;  // the limit of the format's own reader
constexpr std::size_t kAlignment = 8;              // of the data, by spaces behind the header
constexpr std::string_view kMetadata = "__metadata__";

constexpr std::pair<std::string_view, Element> kDTypes[] = {
    {"F64", Element::f64}, {"F32", Element::f32}, {"F16", Element::f16}, {"BF16", Element::bf16},
    {"I64", Element::i64}, {"I32", Element::i32}, {"I16", Element::i16}, {"I8", Element::i8},
    {"U32", Element::u32}, {"U16", Element::u16}, {"U8", Element::u8},   {"BOOL", Element::boolean},
};

std::string_view name_of(Element element) {
  return std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const auto& d) { return d.second == element; })
      ->first;
}

/// A tensor as the header describes it.
struct Described {
  std::string name;
  std::optional<Element> element = {};
  std::optional<std::vector<std::int64_t>> shape = {};
  std::optional<std::vector<std::int64_t>> offsets = {};
  std::int64_t count = 0;  // elements, from the shape
};

/// Takes the header as the parser meets it, so that no document is built and depth and types are fixed by the format.
class HeaderReader : public Json::json_sax_t {
 public:
  explicit HeaderReader(std::string_view file) : file_(file) {}

  std::vector<Described> tensors;
  std::map<std::string, std::string> metadata;

  bool null() override { unexpected("null"); }
  bool boolean(bool) override { unexpected("a truth value"); }
  bool number_integer(number_integer_t) override { unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { unexpected("a fraction or a number beyond 64 bits"); }
  bool binary(binary_t&) override { unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (list_ == nullptr) unexpected("a number");
    require(value <= static_cast<number_unsigned_t>(std::numeric_limits<std::int64_t>::max()),
            "{} in {} is out of range", value, where());
    const std::size_t most = list_ == &offsets_ ? 2 : static_cast<std::size_t>(kMaxRank);
    require(list_->size() < most, "more than {} numbers in {}", most, where());
    list_->push_back(static_cast<std::int64_t>(value));
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      require(metadata.emplace(key_, value).second, "{} occurs twice in {}", in_quotes(key_), kMetadata);
    } else if (place_ == Place::tensor && key_ == "dtype") {
      const auto* found =
          std::find_if(std::begin(kDTypes), std::end(kDTypes), [&](const auto& d) { return d.first == value; });
      require(found != std::end(kDTypes), "dtype {} of {} is not read", in_quotes(value), where());
      require(!tensors.back().element, "two dtypes in {}", where());
      tensors.back().element = found->second;
    } else {
      unexpected("text");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::outside) {
      place_ = Place::header;
    } else if (place_ == Place::header && key_ == kMetadata) {
      place_ = Place::metadata;
    } else if (place_ == Place::header) {
      place_ = Place::tensor;
      require(names_.insert(key_).second, "two tensors are called {}", in_quotes(key_));
      tensors.push_back({.name = key_});
    } else {
      unexpected("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    key_ = std::move(value);
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      const Described& t = tensors.back();
      require(t.element && t.shape && t.offsets, "{} lacks its {}", where(),
              !t.element ? "dtype"
              : !t.shape ? "shape"
                         : "data_offsets");
    }
    place_ = place_ == Place::header ? Place::outside : Place::header;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ != Place::tensor || list_ != nullptr || (key_ != "shape" && key_ != "data_offsets"))
      unexpected("a list");
    list_ = key_ == "shape" ? &shape_ : &offsets_;
    list_->clear();
    return true;
  }

  bool end_array() override {
    Described& t = tensors.back();
    require(!(list_ == &shape_ ? t.shape : t.offsets), "two lists {} in {}", key_, where());
    require(list_ == &shape_ || offsets_.size() == 2, "data_offsets of {} are not two numbers", where());
    (list_ == &shape_ ? t.shape : t.offsets) = *list_;
    list_ = nullptr;
    return true;
  }

  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    fail<FileError>("{}: safetensors: the header is not JSON at its byte {}", file_, position);
  }

 private:
  enum class Place { outside, header, metadata, tensor };

  template <class... Args>
  void require(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (!ok) [[unlikely]]
      fail<FileError>("{}: safetensors: {}", file_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string where() const {
    if (place_ == Place::tensor) return "tensor " + in_quotes(tensors.back().name);
    return place_ == Place::metadata ? std::string(kMetadata) : "the header";
  }

  [[noreturn]] void unexpected(const char* what) const {
    fail<FileError>("{}: safetensors: {} under {} in {}, where the format has none", file_, what, in_quotes(key_),
                    where());
  }

  std::string_view file_;
  Place place_ = Place::outside;
  std::string key_;
  std::unordered_set<std::string> names_;
  std::vector<std::int64_t> shape_, offsets_;
  std::vector<std::int64_t>* list_ = nullptr;  // the list being read
};

/// Shape, bytes and offsets of every tensor against each other and against `data_size`.
void check_layout(std::vector<Described>& tensors, std::uint64_t data_size, std::string_view file) {
  std::vector<const Described*> by_offset;
  for (Described& t : tensors) {
    const std::int64_t begin = (*t.offsets)[0], end = (*t.offsets)[1];
    check<FileError>(begin <= end && static_cast<std::uint64_t>(end) <= data_size,
                     "{}: safetensors: tensor {} has bytes {} to {} of {}", file, in_quotes(t.name), begin, end,
                     data_size);
    bool fits = true;
    t.count = 1;
    for (const std::int64_t size : *t.shape) fits = fits && multiply(t.count, size, &t.count);
    std::int64_t bytes = 0;
    fits = fits && multiply(t.count, element_size(*t.element), &bytes);
    check<FileError>(fits && bytes == end - begin, "{}: safetensors: tensor {} {} [{}] does not take its {} bytes",
                     file, in_quotes(t.name), name_of(*t.element), fmt::join(*t.shape, ", "), end - begin);
    by_offset.push_back(&t);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Described* a, const Described* b) { return *a->offsets < *b->offsets; });
  std::int64_t reached = 0;
  for (const Described* t : by_offset) {
    check<FileError>((*t->offsets)[0] == reached, "{}: safetensors: tensor {} begins at byte {}, {} at byte {}", file,
                     in_quotes(t->name), (*t->offsets)[0],
                     reached < (*t->offsets)[0] ? "after a gap" : "overlapping the one that ends", reached);
    reached = (*t->offsets)[1];
  }
  check<FileError>(static_cast<std::uint64_t>(reached) == data_size, "{}: safetensors: {} bytes follow the last tensor",
                   file, data_size - static_cast<std::uint64_t>(reached));
}

/// The JSON header, padded so that the data after it is aligned; offsets[i] is where tensor i begins.
std::string header_of(const NamedTensors& weights, const std::vector<std::int64_t>& offsets, std::string_view file) {
  const auto text = [&](const std::string& s) {
    check<FileError>(is_utf8(s), "{}: cannot be written: {} is not UTF-8", file, in_quotes(s));
    return Json(s).dump();
  };
  std::string header = "{";
  if (!weights.metadata.empty()) {
    header += fmt::format("\"{}\":{{", kMetadata);
    for (const auto& [key, value] : weights.metadata) header += fmt::format("{}:{},", text(key), text(value));
    header.back() = '}';
    header += ',';
  }
  for (std::size_t i = 0; i < offsets.size(); ++i) {
    const Tensor& x = weights.tensors[i].tensor;
    header +=
        fmt::format(R"({}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}},)", text(weights.tensors[i].name),
                    name_of(element_of(x.dtype())), fmt::join(x.shape(), ","), offsets[i], offsets[i] + x.bytes());
  }
  if (header.back() == ',') header.pop_back();
  header += '}';
  header.append((kAlignment - header.size() % kAlignment) % kAlignment, ' ');
  return header;
}

}  // namespace

NamedTensors read_safetensors(Bytes bytes, std::string_view file) {
  check<FileError>(bytes.size() >= 8, "{}: safetensors: cut short: {} bytes", file, bytes.size());
  const auto header_size = read_le<std::uint64_t>(bytes, 0);
  check<FileError>(header_size <= kMaxHeader, "{}: safetensors: a header of {} bytes, at most {} are read", file,
                   header_size, kMaxHeader);
  check<FileError>(in_range(8, header_size, bytes.size()),
                   "{}: safetensors: cut short: a header of {} bytes, {} follow", file, header_size, bytes.size() - 8);
  const std::string_view header = as_text(bytes.subspan(8, header_size));
  const Bytes data = bytes.subspan(8 + header_size);

  HeaderReader reader(file);
  Json::sax_parse(header.begin(), header.end(), &reader);
  check_layout(reader.tensors, data.size(), file);

  NamedTensors out;
  out.metadata = std::move(reader.metadata);
  for (const Described& t : reader.tensors) {
    const auto begin = static_cast<std::size_t>((*t.offsets)[0]);
    const auto end = static_cast<std::size_t>((*t.offsets)[1]);
    const Tensor flat = read_elements(data.subspan(begin, end - begin), *t.element, t.count);
    const Shape shape = *t.shape;
    out.tensors.push_back({t.name, flat.as_strided(shape, dense_strides(shape, Format::contiguous), 0)});
  }
  return out;
}

NamedTensors read_safetensors(const std::string& path) { return read_safetensors(MappedFile(path).bytes(), path); }

std::string metadata_as_safetensors(const std::map<std::string, std::string>& metadata, std::string_view file) {
  const std::string header = header_of({.tensors = {}, .metadata = metadata}, {}, file);
  std::string bytes;
  append_le(bytes, std::uint64_t{header.size()});
  return bytes + header;
}

void write_safetensors(const std::string& path, const NamedTensors& weights) {
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& t : weights.tensors) {
    check<FileError>(names.insert(t.name).second, "{}: cannot be written: two tensors are called {}", path,
                     in_quotes(t.name));
    check<FileError>(t.name != kMetadata, "{}: cannot be written: {} is no name for a tensor", path, in_quotes(t.name));
    check<FileError>(t.tensor.defined(), "{}: cannot be written: tensor {} is undefined", path, in_quotes(t.name));
  }

  // PyTorch reads a tensor in place, so an i64 must not begin at an odd multiple of 4.
  std::vector<std::size_t> order(weights.tensors.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
    return dtype_size(weights.tensors[a].tensor.dtype()) > dtype_size(weights.tensors[b].tensor.dtype());
  });
  std::vector<std::int64_t> offsets(order.size());
  std::int64_t end = 0;
  for (const std::size_t i : order) {
    offsets[i] = end;
    end += weights.tensors[i].tensor.bytes();
  }

  const std::string header = header_of(weights, offsets, path);
  AtomicFile file(path);
  std::string length;
  append_le(length, std::uint64_t{header.size()});
  file.write(length);
  file.write(header);
  for (const std::size_t i : order) {
    const Tensor x = for_file(weights.tensors[i].tensor);
    file.write(memory_of(x));
  }
  file.commit();
}

}  // namespace gradus::files

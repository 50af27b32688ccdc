#include "nn/files/torch_checkpoint.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "core/error.hpp"
#include "nn/files/atomic_file.hpp"
#include "nn/files/element.hpp"
#include "nn/files/mapped_file.hpp"
#include "nn/files/pickle.hpp"
#include "nn/files/safetensors.hpp"
#include "nn/files/zip.hpp"

namespace gradus::files {
namespace {

using pickle::Document;
using pickle::Kind;
using pickle::Value;

// 0x1950a86a20f9469cfc6c, as the first pickle of the old form holds it.
constexpr std::string_view kLegacyMagic("\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", 10);
constexpr std::int64_t kLegacyProtocol = 1001;

constexpr std::string_view kZipMagic("PK\x03\x04", 4);
/// Our own record in the zip form, which PyTorch passes over: the metadata, as a safetensors file without tensors.
constexpr std::string_view kMetadataRecord = "gradus.safetensors";

/// Where a training checkpoint keeps its state dict, in the order looked for.
constexpr std::string_view kWrappers[] = {"state_dict", "model_state_dict", "model_state", "model",
                                          "net",        "network",          "weights",     "params"};
constexpr int kMostWrappers = 3;  // one inside another

using StorageBytes = std::unordered_map<std::string, Bytes>;

/// Reads storages when a tensor first asks for them; tensors that share one in the file share it here.
class Storages {
 public:
  Storages(const Document& doc, const StorageBytes& bytes, std::string_view file)
      : doc_(doc), bytes_(bytes), file_(file) {}

  Tensor tensor(const pickle::TensorRef& ref, std::string_view name) {
    const pickle::StorageRef& s = doc_.storages[ref.storage];
    const Tensor& storage = whole(s, name);
    return storage.as_strided(ref.shape, ref.strides, s.first + ref.offset);
  }

 private:
  const Tensor& whole(const pickle::StorageRef& s, std::string_view name) {
    const auto known = read_.find({s.key, s.element});
    if (known != read_.end()) {
      check<FileError>(known->second.numel() == s.numel,
                       "{}: tensor {}: storage {} has {} elements here and {} elsewhere", file_, in_quotes(name),
                       in_quotes(s.key), s.numel, known->second.numel());
      return known->second;
    }
    const auto found = bytes_.find(s.key);
    check<FileError>(found != bytes_.end(), "{}: tensor {}: the file has no storage {}", file_, in_quotes(name),
                     in_quotes(s.key));
    std::int64_t size = 0;
    const bool fits =
        multiply(s.numel, element_size(s.element), &size) && static_cast<std::uint64_t>(size) == found->second.size();
    check<FileError>(fits, "{}: tensor {}: storage {} should have {} elements of {} bytes, it has {} bytes", file_,
                     in_quotes(name), in_quotes(s.key), s.numel, element_size(s.element), found->second.size());
    return read_.emplace(std::pair(s.key, s.element), read_elements(found->second, s.element, s.numel)).first->second;
  }

  const Document& doc_;
  const StorageBytes& bytes_;
  std::string_view file_;
  std::map<std::pair<std::string, Element>, Tensor> read_;
};

bool has_tensor(const Document& doc, const Value& v) {
  if (v.kind != Kind::dict) return false;
  for (std::size_t i = 1; i < v.items.size(); i += 2) {
    if (doc.at(v.items[i]).kind == Kind::tensor) return true;
  }
  return false;
}

/// Numbers and text of a dict that are short enough to be about the weights.
void collect_metadata(const Document& doc, const Value& dict, std::map<std::string, std::string>* metadata) {
  constexpr std::size_t kLongest = 1000, kMost = 100;
  for (std::size_t i = 0; i < dict.items.size() && metadata->size() < kMost; i += 2) {
    const Value& key = doc.at(dict.items[i]);
    const Value& value = doc.at(dict.items[i + 1]);
    if (key.kind != Kind::text || key.text.size() > kLongest) continue;
    if (value.kind == Kind::integer) metadata->insert_or_assign(key.text, fmt::to_string(value.integer));
    if (value.kind == Kind::real) metadata->insert_or_assign(key.text, fmt::to_string(value.real));
    if (value.kind == Kind::text && value.text.size() <= kLongest) metadata->insert_or_assign(key.text, value.text);
  }
}

std::string keys_of(const Document& doc, const Value& dict) {
  std::string keys;
  for (std::size_t i = 0; i < dict.items.size() && i < 20; i += 2) {
    const Value& key = doc.at(dict.items[i]);
    keys += (i == 0 ? "" : ", ") + (key.kind == Kind::text ? in_quotes(key.text) : std::string(describe(key.kind)));
  }
  return keys;
}

/// The tensors of the object's state dict.
NamedTensors state_dict(const Document& doc, const StorageBytes& bytes, std::string_view file) {
  NamedTensors out;
  const Value* dict = &doc.at(doc.root);
  check<FileError>(dict->kind == Kind::dict, "{}: holds {}, not a state dict", file, describe(dict->kind));
  for (int depth = 0; depth < kMostWrappers; ++depth) {
    const Value* inner = nullptr;
    for (const std::string_view wrapper : kWrappers) {
      const Value* v = doc.find(*dict, wrapper);
      if (inner == nullptr && v != nullptr && v->kind == Kind::dict) inner = v;
    }
    if (inner == nullptr) break;
    collect_metadata(doc, *dict, &out.metadata);
    dict = inner;
  }
  check<FileError>(has_tensor(doc, *dict), "{}: holds no state dict: a dict with {}", file,
                   dict->items.empty() ? "nothing in it" : "the keys " + keys_of(doc, *dict));

  Storages storages(doc, bytes, file);
  std::unordered_set<std::string_view> names;
  for (std::size_t i = 0; i < dict->items.size(); i += 2) {
    const Value& key = doc.at(dict->items[i]);
    const Value& value = doc.at(dict->items[i + 1]);
    if (value.kind != Kind::tensor) continue;
    check<FileError>(key.kind == Kind::text, "{}: a tensor is named by {}, not by text", file, describe(key.kind));
    check<FileError>(names.insert(key.text).second, "{}: two tensors are called {}", file, in_quotes(key.text));
    out.tensors.push_back({key.text, storages.tensor(doc.tensors[static_cast<std::size_t>(value.integer)], key.text)});
  }
  return out;
}

NamedTensors read_zip(Bytes bytes, std::string_view file) {
  const std::vector<zip::Entry> entries = zip::read_entries(bytes, file);
  const zip::Entry* data = nullptr;
  for (const zip::Entry& e : entries) {
    const bool torch_script = e.name.ends_with("/constants.pkl");
    check<FileError>(!torch_script, "{}: is a TorchScript program; save its state_dict() instead", file);
    if (e.name.ends_with("/data.pkl") && e.name.find('/') == e.name.size() - 9) data = &e;
  }
  check<FileError>(data != nullptr, "{}: is a zip archive, but no PyTorch checkpoint: it has no data.pkl", file);
  const std::string prefix = data->name.substr(0, data->name.size() - std::string_view("data.pkl").size());
  StorageBytes storages;
  std::map<std::string, std::string> metadata;
  for (const zip::Entry& e : entries) {
    if (!e.name.starts_with(prefix)) continue;
    zip::check_crc(e, file);
    const std::string inner = e.name.substr(prefix.size());
    check<FileError>(inner != "byteorder" || as_text(e.data) == "little",
                     "{}: was written on a big-endian machine, which is not read", file);
    if (inner.starts_with("data/")) storages.emplace(inner.substr(5), e.data);
    if (inner == kMetadataRecord) metadata = read_safetensors(e.data, file).metadata;
  }
  NamedTensors out = state_dict(pickle::load(data->data, file), storages, file);
  metadata.merge(out.metadata);
  out.metadata = std::move(metadata);
  return out;
}

/// Pickles in a row: magic number, protocol, the writer's machine, the object, the storages' keys; then each storage as
/// its number of elements (8 bytes) and their data, in the order of the keys.
NamedTensors read_legacy(Bytes bytes, std::string_view file) {
  Bytes data = bytes;
  const auto next = [&] {
    Document doc = pickle::load(data, file);
    data = data.subspan(doc.size);
    return doc;
  };
  next();  // the magic number, which brought us here
  const Document protocol = next();
  const Value& version = protocol.at(protocol.root);
  check<FileError>(version.kind == Kind::integer && version.integer == kLegacyProtocol, "{}: its protocol is not {}",
                   file, kLegacyProtocol);
  const Document machine = next();
  const Value* little = machine.find(machine.at(machine.root), "little_endian");
  check<FileError>(little != nullptr && little->kind == Kind::boolean && little->integer == 1,
                   "{}: was written on a big-endian machine, which is not read", file);
  const Document object = next();
  const Document keys = next();

  std::unordered_map<std::string_view, std::int64_t> sizes;  // bytes per element of each storage
  for (const pickle::StorageRef& s : object.storages) {
    const auto [known, added] = sizes.emplace(s.key, element_size(s.element));
    check<FileError>(added || known->second == element_size(s.element), "{}: storage {} has two types", file,
                     in_quotes(s.key));
  }
  const Value& list = keys.at(keys.root);
  check<FileError>(list.kind == Kind::list, "{}: the storages' keys are {}, not a list", file, describe(list.kind));
  StorageBytes storages;
  for (const pickle::Ref r : list.items) {
    const Value& key = keys.at(r);
    check<FileError>(key.kind == Kind::text, "{}: a storage's key is {}", file, describe(key.kind));
    const auto size = sizes.find(key.text);
    check<FileError>(size != sizes.end(), "{}: storage {} belongs to nothing", file, in_quotes(key.text));
    check<FileError>(data.size() >= 8, "{}: cut short: storage {} is missing", file, in_quotes(key.text));
    const auto count = read_le<std::uint64_t>(data, 0);
    data = data.subspan(8);
    const auto element = static_cast<std::uint64_t>(size->second);
    check<FileError>(count <= data.size() / element, "{}: cut short: storage {} of {} elements, {} bytes follow", file,
                     in_quotes(key.text), count, data.size());
    check<FileError>(storages.emplace(key.text, data.subspan(0, count * element)).second,
                     "{}: two storages are called {}", file, in_quotes(key.text));
    data = data.subspan(count * element);
  }
  check<FileError>(data.empty(), "{}: {} bytes follow the last storage", file, data.size());
  return state_dict(object, storages, file);
}

// ---- writing ----

void put_text(std::string& out, std::string_view s) {
  out += 'X';  // BINUNICODE
  append_le(out, static_cast<std::uint32_t>(s.size()));
  out += s;
}

void put_integer(std::string& out, std::int64_t i) {
  if (i >= 0 && i <= 0x7fffffff) {
    out += 'J';  // BININT
    append_le(out, static_cast<std::uint32_t>(i));
  } else {
    out += "\x8a\x08";  // LONG1 of 8 bytes
    append_le(out, static_cast<std::uint64_t>(i));
  }
}

void put_integers(std::string& out, const Dims& values) {
  out += '(';  // MARK
  for (const std::int64_t v : values) put_integer(out, v);
  out += 't';  // TUPLE
}

std::string_view storage_type(DType dtype) {
  switch (dtype) {
    case DType::f32: return "FloatStorage";
    case DType::f64: return "DoubleStorage";
    case DType::bf16: return "BFloat16Storage";
    case DType::f16: return "HalfStorage";
    case DType::i64: return "LongStorage";
    case DType::u8: return "ByteStorage";
    case DType::boolean: break;
  }
  return "BoolStorage";
}

constexpr std::string_view kEmptyOrderedDict = "ccollections\nOrderedDict\n)R";  // GLOBAL EMPTY_TUPLE REDUCE

/// What torch.save(state_dict) pickles, with storage i under key i.
std::string pickled_state_dict(const NamedTensors& weights) {
  std::string out("\x80\x02", 2);  // PROTO 2
  out += kEmptyOrderedDict;
  for (std::size_t i = 0; i < weights.tensors.size(); ++i) {
    const Tensor& x = weights.tensors[i].tensor;
    put_text(out, weights.tensors[i].name);
    out += "ctorch._utils\n_rebuild_tensor_v2\n((";  // GLOBAL, MARK for the arguments, MARK for the persistent id
    put_text(out, "storage");
    out += fmt::format("ctorch\n{}\n", storage_type(x.dtype()));
    put_text(out, fmt::to_string(i));
    put_text(out, "cpu");
    put_integer(out, x.numel());
    out += "tQ";          // TUPLE BINPERSID
    put_integer(out, 0);  // offset
    put_integers(out, x.shape());
    put_integers(out, dense_strides(x.shape(), Format::contiguous));
    out += '\x89';             // NEWFALSE: requires no gradient
    out += kEmptyOrderedDict;  // backward hooks
    out += "tRs";              // TUPLE REDUCE SETITEM
  }
  return out + '.';  // STOP
}

}  // namespace

bool is_torch_zip(Bytes bytes) { return as_text(bytes).starts_with(kZipMagic); }

bool is_torch_legacy(Bytes bytes) {
  // PROTO n LONG1 10 magic; protocol 4 and 5 put a FRAME in between
  const std::string_view start = as_text(bytes.subspan(0, std::min<std::size_t>(bytes.size(), 32)));
  return start.starts_with('\x80') && start.find(kLegacyMagic) != start.npos;
}

NamedTensors read_torch_checkpoint(Bytes bytes, std::string_view file) {
  if (is_torch_zip(bytes)) return read_zip(bytes, file);
  check<FileError>(is_torch_legacy(bytes), "{}: is not a PyTorch checkpoint", file);
  return read_legacy(bytes, file);
}

NamedTensors read_torch_checkpoint(const std::string& path) {
  return read_torch_checkpoint(MappedFile(path).bytes(), path);
}

void write_torch_checkpoint(const std::string& path, const NamedTensors& weights) {
  std::unordered_set<std::string_view> names;
  for (const NamedTensor& t : weights.tensors) {
    check<FileError>(names.insert(t.name).second, "{}: cannot be written: two tensors are called {}", path,
                     in_quotes(t.name));
    check<FileError>(is_utf8(t.name), "{}: cannot be written: {} is not UTF-8", path, in_quotes(t.name));
    check<FileError>(t.tensor.defined(), "{}: cannot be written: tensor {} is undefined", path, in_quotes(t.name));
  }
  AtomicFile file(path);
  zip::Writer archive(file);
  archive.add("archive/data.pkl", as_bytes(pickled_state_dict(weights)));
  archive.add("archive/byteorder", as_bytes("little"));
  for (std::size_t i = 0; i < weights.tensors.size(); ++i) {
    const Tensor x = for_file(weights.tensors[i].tensor);
    archive.add(fmt::format("archive/data/{}", i), memory_of(x));
  }
  if (!weights.metadata.empty())
    archive.add(fmt::format("archive/{}", kMetadataRecord), as_bytes(metadata_as_safetensors(weights.metadata, path)));
  archive.add("archive/version", as_bytes("3\n"));
  archive.finish();
  file.commit();
}

}  // namespace gradus::files

#include "nn/files/pickle.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <unordered_map>
#include <utility>

#include "core/error.hpp"

namespace gradus::files::pickle {
namespace {

/// What an allowed global stands for.
enum class Meaning : std::uint8_t {
  storage_type,       // as the second item of a persistent id: the storage's element type
  name_only,          // a dtype or layout: a value nobody asks for
  dict,               // called with nothing, a dict, or a list of pairs: a dict
  same,               // called with one argument: that argument
  arguments,          // called: its arguments as they came
  rebuild_tensor,     // (storage, offset, sizes, strides, ...)
  rebuild_parameter,  // (tensor, ...)
  encode,             // _codecs.encode(text, "latin1"): how protocol 2 spells bytes
  numpy_dtype,        // numpy.dtype("f8", ...)
  numpy_scalar,       // (dtype, bytes): best accuracies are often saved this way
};

struct Global {
  std::string_view name;
  Meaning meaning;
  Element element = Element::f32;
};

// The allow-list. Nothing here is ever called: each entry is a case of Reader::apply().
constexpr Global kGlobals[] = {
    {"torch.DoubleStorage", Meaning::storage_type, Element::f64},
    {"torch.FloatStorage", Meaning::storage_type, Element::f32},
    {"torch.HalfStorage", Meaning::storage_type, Element::f16},
    {"torch.BFloat16Storage", Meaning::storage_type, Element::bf16},
    {"torch.LongStorage", Meaning::storage_type, Element::i64},
    {"torch.IntStorage", Meaning::storage_type, Element::i32},
    {"torch.ShortStorage", Meaning::storage_type, Element::i16},
    {"torch.CharStorage", Meaning::storage_type, Element::i8},
    {"torch.ByteStorage", Meaning::storage_type, Element::u8},
    {"torch.BoolStorage", Meaning::storage_type, Element::boolean},
    {"torch._utils._rebuild_tensor", Meaning::rebuild_tensor},
    {"torch._utils._rebuild_tensor_v2", Meaning::rebuild_tensor},
    {"torch._utils._rebuild_parameter", Meaning::rebuild_parameter},
    {"torch._utils._rebuild_parameter_with_state", Meaning::rebuild_parameter},
    {"torch.nn.parameter.Parameter", Meaning::rebuild_parameter},  // PyTorch before 0.4
    {"torch.Size", Meaning::same},
    {"torch.device", Meaning::arguments},
    {"torch.float64", Meaning::name_only},
    {"torch.float32", Meaning::name_only},
    {"torch.float16", Meaning::name_only},
    {"torch.bfloat16", Meaning::name_only},
    {"torch.int64", Meaning::name_only},
    {"torch.int32", Meaning::name_only},
    {"torch.uint8", Meaning::name_only},
    {"torch.bool", Meaning::name_only},
    {"collections.OrderedDict", Meaning::dict},
    {"collections.Counter", Meaning::dict},
    {"builtins.set", Meaning::same},
    {"__builtin__.set", Meaning::same},
    {"_codecs.encode", Meaning::encode},
    {"numpy.dtype", Meaning::numpy_dtype},
    {"numpy.core.multiarray.scalar", Meaning::numpy_scalar},
    {"numpy._core.multiarray.scalar", Meaning::numpy_scalar},
};

const Global* allowed(std::string_view name) {
  const auto* found =
      std::find_if(std::begin(kGlobals), std::end(kGlobals), [&](const Global& g) { return g.name == name; });
  return found == std::end(kGlobals) ? nullptr : found;
}

// Opcodes, as pickletools.py names them.
enum Op : std::uint8_t {
  kMark = '(',
  kStop = '.',
  kPop = '0',
  kPopMark = '1',
  kDup = '2',
  kFloat = 'F',
  kInt = 'I',
  kBinInt = 'J',
  kBinInt1 = 'K',
  kLong = 'L',
  kBinInt2 = 'M',
  kNone = 'N',
  kBinPersId = 'Q',
  kReduce = 'R',
  kBinString = 'T',
  kShortBinString = 'U',
  kBinUnicode = 'X',
  kAppend = 'a',
  kBuild = 'b',
  kGlobal = 'c',
  kDict = 'd',
  kAppends = 'e',
  kGet = 'g',
  kBinGet = 'h',
  kLongBinGet = 'j',
  kList = 'l',
  kPut = 'p',
  kBinPut = 'q',
  kLongBinPut = 'r',
  kSetItem = 's',
  kTuple = 't',
  kSetItems = 'u',
  kBinBytes = 'B',
  kShortBinBytes = 'C',
  kEmptyTuple = ')',
  kEmptyList = ']',
  kEmptyDict = '}',
  kBinFloat = 'G',
  kProto = 0x80,
  kNewObj = 0x81,
  kTuple1 = 0x85,
  kTuple2 = 0x86,
  kTuple3 = 0x87,
  kNewTrue = 0x88,
  kNewFalse = 0x89,
  kLong1 = 0x8a,
  kLong4 = 0x8b,
  kShortBinUnicode = 0x8c,
  kBinUnicode8 = 0x8d,
  kBinBytes8 = 0x8e,
  kEmptySet = 0x8f,
  kAddItems = 0x90,
  kFrozenSet = 0x91,
  kStackGlobal = 0x93,
  kMemoize = 0x94,
  kFrame = 0x95,
};

class Reader {
 public:
  Reader(Bytes input, std::string_view file, const Limits& limits) : in_(input), file_(file), limits_(limits) {}

  Document run() {
    while (true) {
      op_at_ = pos_;
      const auto op = take<std::uint8_t>();
      if (op == kStop) break;
      step(op);
    }
    doc_.root = pop();
    doc_.size = pos_;
    return std::move(doc_);
  }

 private:
  // ---- errors and input ----

  template <class... Args>
  void require(bool ok, fmt::format_string<Args...> format, Args&&... args) const {
    if (!ok) [[unlikely]]
      refuse(format, std::forward<Args>(args)...);
  }

  template <class... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail<FileError>("{}: pickle, byte {}: {}", file_, op_at_, fmt::format(format, std::forward<Args>(args)...));
  }

  std::string_view take_bytes(std::uint64_t n) {
    require(in_range(pos_, n, in_.size()), "cut short: {} bytes wanted, {} left", n, in_.size() - pos_);
    const std::string_view s = as_text(in_.subspan(pos_, n));
    pos_ += n;
    return s;
  }

  template <class T>
  T take() {
    return read_le<T>(as_bytes(take_bytes(sizeof(T))), 0);
  }

  std::string_view take_line() {
    const std::string_view rest = as_text(in_.subspan(pos_));
    const std::size_t end = rest.find('\n');
    require(end != rest.npos, "cut short: a line without an end");
    pos_ += end + 1;
    return rest.substr(0, end);
  }

  // ---- values and stack ----

  /// Counts `bytes` towards the limit; before they are allocated where the input could ask for many.
  void charge(std::size_t bytes) {
    require(bytes <= limits_.memory - memory_, "its values take more than {} MiB", limits_.memory >> 20);
    memory_ += bytes;
  }

  Ref add(Value v) {
    require(doc_.values.size() < limits_.values, "more than {} values", limits_.values);
    charge(sizeof(Value) + v.text.size());
    require(v.depth <= limits_.depth, "nested more than {} deep", limits_.depth);
    doc_.values.push_back(std::move(v));
    return static_cast<Ref>(doc_.values.size() - 1);
  }

  Value& at(Ref r) { return doc_.values[r]; }

  void push(Ref r) {
    require(stack_.size() < limits_.values, "more than {} values on the stack", limits_.values);
    stack_.push_back(r);
  }
  void push(Value v) { push(add(std::move(v))); }
  void push_integer(std::int64_t i) { push({.kind = Kind::integer, .integer = i}); }

  /// None, True and False occur often and never change: one value each.
  void push_constant(std::optional<Ref>& cache, Kind kind, std::int64_t integer) {
    if (!cache) cache = add({.kind = kind, .integer = integer});
    push(*cache);
  }

  void push_text(std::string_view s) {
    require(is_utf8(s), "text that is not UTF-8: {}", in_quotes(s));
    push({.kind = Kind::text, .text = std::string(s)});
  }

  /// Python 2 wrote its names as byte strings.
  void push_python2_string(std::string_view s) {
    push({.kind = is_utf8(s) ? Kind::text : Kind::bytes, .text = std::string(s)});
  }

  /// Elements of the stack below the latest mark may not be taken until the mark is gone.
  std::size_t floor() const { return marks_.empty() ? 0 : marks_.back(); }

  Ref top() const {
    require(stack_.size() > floor(), "the stack is empty");
    return stack_.back();
  }

  Ref pop() {
    const Ref r = top();
    stack_.pop_back();
    return r;
  }

  std::vector<Ref> pop_to_mark() {
    require(!marks_.empty(), "there is no mark on the stack");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Ref> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }

  void push_sequence(Kind kind, std::vector<Ref> items) {
    Value v{.kind = kind};
    charge(items.size() * sizeof(Ref));
    for (const Ref r : items) v.depth = std::max(v.depth, at(r).depth + 1);
    v.items = std::move(items);
    push(std::move(v));
  }

  void push_last(std::size_t n) {
    std::vector<Ref> items(n);
    for (std::size_t i = n; i-- > 0;) items[i] = pop();
    push_sequence(Kind::tuple, std::move(items));
  }

  /// Appends to the list or dict `into`.
  void extend(Ref into, Kind kind, const std::vector<Ref>& items) {
    require(at(into).kind == kind, "items for {} go into {}", describe(kind), describe(at(into).kind));
    require(kind != Kind::dict || items.size() % 2 == 0, "a dict with a key without a value");
    charge(items.size() * sizeof(Ref));
    for (const Ref r : items) {
      const std::uint32_t depth = at(r).depth + 1;
      require(depth <= limits_.depth, "nested more than {} deep", limits_.depth);
      at(into).depth = std::max(at(into).depth, depth);
    }
    at(into).items.insert(at(into).items.end(), items.begin(), items.end());
  }

  void remember(std::uint32_t index) {
    require(memo_.size() < limits_.values, "more than {} memo entries", limits_.values);
    memo_.insert_or_assign(index, top());
  }

  void recall(std::uint32_t index) {
    const auto found = memo_.find(index);
    require(found != memo_.end(), "memo {} was never set", index);
    push(found->second);
  }

  // ---- numbers ----

  std::uint32_t index_line() {
    const std::string_view s = take_line();
    std::uint32_t index = 0;
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), index);
    require(error == std::errc() && end == s.data() + s.size(), "not a memo index: {}", in_quotes(s));
    return index;
  }

  void push_integer_line(std::string_view s) {
    std::int64_t i = 0;
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), i);
    require(error == std::errc() && end == s.data() + s.size(), "not a 64-bit integer: {}", in_quotes(s));
    push_integer(i);
  }

  void push_float_line() {
    const std::string_view s = take_line();
    double d = 0;
    const auto [end, error] = std::from_chars(s.data(), s.data() + s.size(), d);
    require(error == std::errc() && end == s.data() + s.size(), "not a number: {}", in_quotes(s));
    push({.kind = Kind::real, .real = d});
  }

  /// LONG1, LONG4: little-endian two's complement of any length.
  void push_long(std::string_view s) {
    if (s.size() > sizeof(std::int64_t)) {
      push({.kind = Kind::big_integer, .text = std::string(s)});
      return;
    }
    std::uint64_t u = !s.empty() && (s.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (std::size_t i = 0; i < s.size(); ++i) {
      u = (u & ~(std::uint64_t{0xff} << (8 * i))) | (std::uint64_t{static_cast<std::uint8_t>(s[i])} << (8 * i));
    }
    push_integer(std::bit_cast<std::int64_t>(u));
  }

  // ---- globals ----

  void push_global(std::string_view module, std::string_view name) {
    std::string full = fmt::format("{}.{}", module, name);
    require(
        allowed(full) != nullptr,
        "global {} is not allowed: only tensors, numbers, text, lists and dicts are read (a file that holds a whole "
        "module or a program's own classes has to be saved again as module.state_dict())",
        escaped(full));
    push({.kind = Kind::global, .text = std::move(full)});
  }

  const Global& global(Ref r, std::string_view role) {
    require(at(r).kind == Kind::global, "{} is {}, not a global", role, describe(at(r).kind));
    return *allowed(at(r).text);
  }

  /// Item i of a tuple, of the given kind.
  const Value& argument(const Value& tuple, std::size_t i, Kind kind, std::string_view of) {
    require(i < tuple.items.size(), "{}: argument {} is missing", of, i);
    const Value& v = at(tuple.items[i]);
    require(v.kind == kind, "{}: argument {} is {}, not {}", of, i, describe(v.kind), describe(kind));
    return v;
  }

  /// REDUCE and NEWOBJ: what Python would call, looked up among the meanings.
  void apply() {
    const Ref args_ref = pop();
    const Ref function_ref = pop();
    const Global& function = global(function_ref, "what is called");
    require(at(args_ref).kind == Kind::tuple, "the arguments are {}, not a tuple", describe(at(args_ref).kind));
    const Value& args = at(args_ref);  // valid until a value is added
    switch (function.meaning) {
      case Meaning::storage_type:
      case Meaning::name_only: refuse("{} cannot be called", function.name);
      case Meaning::dict: return apply_dict(args, function.name);
      case Meaning::same:
        require(args.items.size() == 1, "{}: one argument wanted, {} came", function.name, args.items.size());
        return push(args.items[0]);
      case Meaning::arguments: return push(args_ref);
      case Meaning::rebuild_tensor: return apply_rebuild_tensor(args, function.name);
      case Meaning::rebuild_parameter: argument(args, 0, Kind::tensor, function.name); return push(args.items[0]);
      case Meaning::encode: return apply_encode(args, function.name);
      case Meaning::numpy_dtype: {
        std::string name = argument(args, 0, Kind::text, function.name).text;
        return push({.kind = Kind::text, .text = std::move(name)});
      }
      case Meaning::numpy_scalar: return apply_numpy_scalar(args, function.name);
    }
  }

  void apply_dict(const Value& args, std::string_view name) {
    require(args.items.size() <= 1, "{}: at most one argument wanted, {} came", name, args.items.size());
    std::vector<Ref> items;
    if (args.items.size() == 1) {
      const Value& from = at(args.items[0]);
      require(from.kind == Kind::dict || from.kind == Kind::list, "{}: made from {}", name, describe(from.kind));
      if (from.kind == Kind::dict) {
        items = from.items;
      } else {
        for (const Ref r : from.items) {  // [[key, value], ...]: Python 2
          const Value& pair = at(r);
          require((pair.kind == Kind::list || pair.kind == Kind::tuple) && pair.items.size() == 2,
                  "{}: not a list of pairs", name);
          items.insert(items.end(), pair.items.begin(), pair.items.end());
        }
      }
    }
    const Ref dict = add({.kind = Kind::dict});
    extend(dict, Kind::dict, items);
    push(dict);
  }

  void apply_encode(const Value& args, std::string_view name) {
    const Value& text = argument(args, 0, Kind::text, name);
    require(argument(args, 1, Kind::text, name).text == "latin1", "{}: only latin1 is read", name);
    std::string bytes;
    for (std::size_t i = 0; i < text.text.size(); ++i) {
      const auto c = static_cast<unsigned char>(text.text[i]);
      if (c < 0x80) {
        bytes.push_back(static_cast<char>(c));
      } else {  // U+0080 to U+00FF are two bytes of UTF-8, the first c2 or c3
        require(c <= 0xc3, "{}: a character beyond latin1", name);
        bytes.push_back(static_cast<char>((c << 6) | (static_cast<unsigned char>(text.text[++i]) & 0x3f)));
      }
    }
    push({.kind = Kind::bytes, .text = std::move(bytes)});
  }

  void apply_numpy_scalar(const Value& args, std::string_view name) {
    const std::string& dtype = argument(args, 0, Kind::text, name).text;
    const Bytes bytes = as_bytes(argument(args, 1, Kind::bytes, name).text);
    if (dtype == "f8" && bytes.size() == 8) {
      push({.kind = Kind::real, .real = std::bit_cast<double>(read_le<std::uint64_t>(bytes, 0))});
    } else if (dtype == "f4" && bytes.size() == 4) {
      push({.kind = Kind::real, .real = std::bit_cast<float>(read_le<std::uint32_t>(bytes, 0))});
    } else if (dtype == "i8" && bytes.size() == 8) {
      push_integer(std::bit_cast<std::int64_t>(read_le<std::uint64_t>(bytes, 0)));
    } else if (dtype == "i4" && bytes.size() == 4) {
      push_integer(std::bit_cast<std::int32_t>(read_le<std::uint32_t>(bytes, 0)));
    } else {
      refuse("{}: a scalar of type {} in {} bytes is not read", name, in_quotes(dtype), bytes.size());
    }
  }

  std::vector<std::int64_t> sizes(const Value& args, std::size_t i, std::string_view name) {
    const Value& tuple = argument(args, i, Kind::tuple, name);
    require(tuple.items.size() <= limits_.dims, "{}: {} dimensions, at most {} are read", name, tuple.items.size(),
            limits_.dims);
    std::vector<std::int64_t> out;
    for (const Ref r : tuple.items) {
      const Value& v = at(r);
      require(v.kind == Kind::integer && v.integer >= 0, "{}: a size or stride is {}, not a natural number", name,
              v.kind == Kind::integer ? fmt::to_string(v.integer) : describe(v.kind));
      out.push_back(v.integer);
    }
    return out;
  }

  void apply_rebuild_tensor(const Value& args, std::string_view name) {
    TensorRef t;
    t.storage = static_cast<std::uint32_t>(argument(args, 0, Kind::storage, name).integer);
    t.offset = argument(args, 1, Kind::integer, name).integer;
    t.shape = sizes(args, 2, name);
    t.strides = sizes(args, 3, name);
    require(t.shape.size() == t.strides.size(), "{}: {} sizes and {} strides", name, t.shape.size(), t.strides.size());
    require(t.offset >= 0, "{}: offset {}", name, t.offset);

    const StorageRef& s = doc_.storages[t.storage];
    std::int64_t count = 1;        // elements of the tensor, one without dimensions having one
    std::int64_t last = t.offset;  // the furthest element
    bool fits = true;
    const bool empty = std::find(t.shape.begin(), t.shape.end(), 0) != t.shape.end();
    for (std::size_t d = 0; d < t.shape.size() && !empty; ++d) {
      std::int64_t reach = 0;
      fits = fits && multiply(count, t.shape[d], &count) && multiply(t.shape[d] - 1, t.strides[d], &reach) &&
             !__builtin_add_overflow(last, reach, &last);
    }
    fits = fits && (empty ? t.offset <= s.count : last < s.count);
    require(fits, "{}: sizes [{}], strides [{}], offset {} reach beyond storage {} of {} elements", name,
            fmt::join(t.shape, ", "), fmt::join(t.strides, ", "), t.offset, in_quotes(s.key), s.count);
    charge(sizeof(TensorRef) + (t.shape.size() + t.strides.size()) * sizeof(std::int64_t));
    doc_.tensors.push_back(std::move(t));
    push({.kind = Kind::tensor, .integer = static_cast<std::int64_t>(doc_.tensors.size() - 1)});
  }

  /// BINPERSID: ("storage", type, key, location, numel[, view]), view being None or (key, first, count) in old files.
  void push_storage() {
    const Ref id_ref = pop();
    const Value& id = at(id_ref);
    require(id.kind == Kind::tuple, "a persistent id is {}, not a tuple", describe(id.kind));
    const std::string_view name = "storage";
    require(argument(id, 0, Kind::text, name).text == "storage", "a persistent id that is not a storage");
    argument(id, 1, Kind::global, name);
    const Global& type = global(id.items[1], "a storage's type");
    require(type.meaning == Meaning::storage_type, "{} is not a storage type", type.name);
    StorageRef s;
    s.element = type.element;
    s.key = argument(id, 2, Kind::text, name).text;
    argument(id, 3, Kind::text, name);
    s.numel = argument(id, 4, Kind::integer, name).integer;
    require(s.numel >= 0, "storage {}: {} elements", in_quotes(s.key), s.numel);
    s.count = s.numel;
    if (id.items.size() > 5 && at(id.items[5]).kind != Kind::none) {
      const Value& view = argument(id, 5, Kind::tuple, name);
      s.first = argument(view, 1, Kind::integer, name).integer;
      s.count = argument(view, 2, Kind::integer, name).integer;
      require(s.first >= 0 && s.count >= 0 && s.first <= s.numel && s.count <= s.numel - s.first,
              "storage {}: a view of {} elements from {} on, of {}", in_quotes(s.key), s.count, s.first, s.numel);
    }
    charge(sizeof(StorageRef) + s.key.size());
    doc_.storages.push_back(std::move(s));
    push({.kind = Kind::storage, .integer = static_cast<std::int64_t>(doc_.storages.size() - 1)});
  }

  /// BUILD: the state of an object. A dict's is Python attributes (state_dict's "_metadata") and a parameter's whether
  /// it requires a gradient; both are dropped.
  void build() {
    const Ref state = pop();
    const Value& object = at(top());
    if (object.kind == Kind::dict || object.kind == Kind::tensor) return;
    require(object.kind == Kind::text, "{} does not take a state", describe(object.kind));
    // text is a numpy.dtype, its state (version, byte order, ...)
    require(argument(at(state), 1, Kind::text, "numpy.dtype").text != ">",
            "numpy.dtype: big-endian numbers are not read");
  }

  // ---- the machine ----

  void step(std::uint8_t op) {
    switch (op) {
      case kProto: {
        const auto protocol = take<std::uint8_t>();
        return require(protocol <= 5, "protocol {}, at most 5 is read", protocol);
      }
      case kFrame: {
        const auto size = take<std::uint64_t>();
        return require(in_range(pos_, size, in_.size()), "cut short: a frame of {} bytes, {} left", size,
                       in_.size() - pos_);
      }
      case kMark:
        require(marks_.size() < limits_.depth, "nested more than {} deep", limits_.depth);
        return marks_.push_back(stack_.size());
      case kPop:
        if (!marks_.empty() && stack_.size() == marks_.back()) return marks_.pop_back();
        pop();
        return;
      case kPopMark: pop_to_mark(); return;
      case kDup: return push(top());

      case kNone: return push_constant(none_, Kind::none, 0);
      case kNewTrue: return push_constant(true_, Kind::boolean, 1);
      case kNewFalse: return push_constant(false_, Kind::boolean, 0);
      case kInt: {
        const std::string_view s = take_line();
        if (s == "01") return push_constant(true_, Kind::boolean, 1);
        if (s == "00") return push_constant(false_, Kind::boolean, 0);
        return push_integer_line(s);
      }
      case kLong: {
        std::string_view s = take_line();
        if (s.ends_with('L')) s.remove_suffix(1);
        return push_integer_line(s);
      }
      case kBinInt: return push_integer(std::bit_cast<std::int32_t>(take<std::uint32_t>()));
      case kBinInt1: return push_integer(take<std::uint8_t>());
      case kBinInt2: return push_integer(take<std::uint16_t>());
      case kLong1: return push_long(take_bytes(take<std::uint8_t>()));
      case kLong4: return push_long(take_bytes(take<std::uint32_t>()));
      case kFloat: return push_float_line();
      case kBinFloat: {
        std::uint64_t bits = 0;  // the one big-endian number of the format
        for (const char c : take_bytes(8)) bits = (bits << 8) | static_cast<std::uint8_t>(c);
        return push({.kind = Kind::real, .real = std::bit_cast<double>(bits)});
      }

      case kBinUnicode: return push_text(take_bytes(take<std::uint32_t>()));
      case kShortBinUnicode: return push_text(take_bytes(take<std::uint8_t>()));
      case kBinUnicode8: return push_text(take_bytes(take<std::uint64_t>()));
      case kBinString: return push_python2_string(take_bytes(take<std::uint32_t>()));
      case kShortBinString: return push_python2_string(take_bytes(take<std::uint8_t>()));
      case kBinBytes: return push({.kind = Kind::bytes, .text = std::string(take_bytes(take<std::uint32_t>()))});
      case kShortBinBytes: return push({.kind = Kind::bytes, .text = std::string(take_bytes(take<std::uint8_t>()))});
      case kBinBytes8: return push({.kind = Kind::bytes, .text = std::string(take_bytes(take<std::uint64_t>()))});

      case kEmptyList:
      case kEmptySet: return push({.kind = Kind::list});  // a set is read as a list
      case kAppend: {
        const Ref item = pop();
        return extend(top(), Kind::list, {item});
      }
      case kAppends:
      case kAddItems: {
        const std::vector<Ref> items = pop_to_mark();
        return extend(top(), Kind::list, items);
      }
      case kList:
      case kFrozenSet: return push_sequence(Kind::list, pop_to_mark());
      case kEmptyTuple: return push({.kind = Kind::tuple});
      case kTuple: return push_sequence(Kind::tuple, pop_to_mark());
      case kTuple1: return push_last(1);
      case kTuple2: return push_last(2);
      case kTuple3: return push_last(3);
      case kEmptyDict: return push({.kind = Kind::dict});
      case kDict: {
        const std::vector<Ref> items = pop_to_mark();
        const Ref dict = add({.kind = Kind::dict});
        extend(dict, Kind::dict, items);
        return push(dict);
      }
      case kSetItem: {
        const Ref value = pop();
        const Ref key = pop();
        return extend(top(), Kind::dict, {key, value});
      }
      case kSetItems: {
        const std::vector<Ref> items = pop_to_mark();
        return extend(top(), Kind::dict, items);
      }

      case kPut: return remember(index_line());
      case kBinPut: return remember(take<std::uint8_t>());
      case kLongBinPut: return remember(take<std::uint32_t>());
      case kMemoize: return remember(static_cast<std::uint32_t>(memo_.size()));
      case kGet: return recall(index_line());
      case kBinGet: return recall(take<std::uint8_t>());
      case kLongBinGet: return recall(take<std::uint32_t>());

      case kGlobal: {
        const std::string_view module = take_line();
        return push_global(module, take_line());
      }
      case kStackGlobal: {
        const Ref name = pop();
        const Ref module = pop();
        require(at(name).kind == Kind::text && at(module).kind == Kind::text, "the name of a global is not text");
        return push_global(std::string(at(module).text), std::string(at(name).text));
      }
      case kBinPersId: return push_storage();
      case kReduce:
      case kNewObj: return apply();
      case kBuild: return build();
      default: refuse("opcode 0x{:02x} is not allowed", op);
    }
  }

  Bytes in_;
  std::string_view file_;
  Limits limits_;
  std::size_t pos_ = 0;
  std::size_t op_at_ = 0;  // where the current opcode stands, for messages
  Document doc_;
  std::size_t memory_ = 0;  // charged so far
  std::vector<Ref> stack_;
  std::vector<std::size_t> marks_;  // sizes of the stack at each MARK
  std::unordered_map<std::uint32_t, Ref> memo_;
  std::optional<Ref> none_, true_, false_;
};

}  // namespace

const char* describe(Kind kind) {
  switch (kind) {
    case Kind::none: return "None";
    case Kind::boolean: return "a bool";
    case Kind::integer: return "an integer";
    case Kind::big_integer: return "an integer beyond 64 bits";
    case Kind::real: return "a float";
    case Kind::text: return "text";
    case Kind::bytes: return "bytes";
    case Kind::list: return "a list";
    case Kind::tuple: return "a tuple";
    case Kind::dict: return "a dict";
    case Kind::global: return "a global";
    case Kind::storage: return "a storage";
    case Kind::tensor: return "a tensor";
  }
  return "nothing known";
}

const Value* Document::find(const Value& dict, std::string_view key) const {
  if (dict.kind != Kind::dict) return nullptr;
  for (std::size_t i = dict.items.size(); i >= 2; i -= 2) {
    const Value& k = at(dict.items[i - 2]);
    if (k.kind == Kind::text && k.text == key) return &at(dict.items[i - 1]);
  }
  return nullptr;
}

Document load(Bytes input, std::string_view file, const Limits& limits) { return Reader(input, file, limits).run(); }

}  // namespace gradus::files::pickle

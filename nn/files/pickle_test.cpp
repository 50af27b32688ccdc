#include "nn/files/pickle.hpp"

#include <doctest/doctest.h>

#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::files;
using namespace gradus::files::pickle;
using namespace std::string_literals;

namespace {

std::string error_of(const std::string& program, const Limits& limits = {}) {
  return file_error([&] { load(as_bytes(program), "f", limits); });
}

/// The kind and value of what a program leaves, for programs without containers.
Value value_of(const std::string& program) {
  const Document doc = load(as_bytes(program), "f");
  CHECK(doc.size == program.size());
  return doc.at(doc.root);
}

// A program that leaves a tensor of the given sizes and strides on 4 f32 elements.
std::string tensor_program(const std::string& offset_sizes_strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((X\7\0\0\0storagectorch\nFloatStorage\nX\1\0\0\0"
         "0X\3\0\0\0cpuK\4tQ"s +
         offset_sizes_strides + "\x89NtR.";
}

}  // namespace

TEST_CASE("pickle: numbers of every protocol") {
  CHECK(value_of("I-12\n.").integer == -12);
  CHECK(value_of("L123L\n.").integer == 123);
  CHECK(value_of("J\xff\xff\xff\xff.").integer == -1);
  CHECK(value_of("K\xff.").integer == 255);
  CHECK(value_of("M\1\2."s).integer == 513);
  CHECK(value_of("\x8a\0."s).integer == 0);
  CHECK(value_of("\x8a\2\xff\x7f."s).integer == 32767);
  CHECK(value_of("\x8a\2\0\x80."s).integer == -32768);
  CHECK(value_of("\x8a\x09\1\0\0\0\0\0\0\0\1."s).kind == Kind::big_integer);
  CHECK(value_of("F-0.5\n.").real == -0.5);
  CHECK(value_of("G\x3f\xe0\0\0\0\0\0\0."s).real == 0.5);
  CHECK(value_of("I01\n.").kind == Kind::boolean);
  CHECK(value_of("\x88.").integer == 1);
  CHECK(value_of("\x89.").integer == 0);
  CHECK(value_of("N.").kind == Kind::none);
}

TEST_CASE("pickle: text, Python 2's strings and bytes") {
  CHECK(value_of("\x8c\2\xc3\xbc."s).text == "\xc3\xbc");
  CHECK(value_of("X\2\0\0\0ab."s).text == "ab");
  CHECK(value_of("U\2ab."s).kind == Kind::text);
  CHECK(value_of("U\1\xff."s).kind == Kind::bytes);
  CHECK(value_of("C\2ab."s).kind == Kind::bytes);
  CHECK(value_of("c_codecs\nencode\nX\3\0\0\0a\xc3\xbfX\6\0\0\0latin1\x86R."s).text == "a\xff");
  CHECK(error_of("\x8c\1\xff."s) == R"(f: pickle, byte 0: text that is not UTF-8: "\xff")");
}

TEST_CASE("pickle: containers, marks and the memo") {
  const std::string program = "}q\0(X\1\0\0\0aK\1X\1\0\0\0b](K\2K\3eX\1\0\0\0aK\4u."s;
  const Document doc = load(as_bytes(program), "f");
  const Value& dict = doc.at(doc.root);
  REQUIRE(dict.kind == Kind::dict);
  CHECK(dict.items.size() == 6);
  CHECK(doc.find(dict, "a")->integer == 4);  // the last one counts
  CHECK(doc.find(dict, "b")->items.size() == 2);
  CHECK(doc.find(dict, "c") == nullptr);
  CHECK(value_of("(K\1K\2t.").items.size() == 2);
  CHECK(value_of("K\1K\2K\3\x87.").items.size() == 3);
  CHECK(value_of("K\1q\5"
                 "0h\5.")
            .integer == 1);
}

TEST_CASE("pickle: a list that holds itself is read and freed") {
  const Document doc = load(as_bytes("]q\0h\0a."s), "f");
  CHECK(doc.at(doc.root).items == std::vector<Ref>{doc.root});
}

TEST_CASE("pickle: nothing but the listed globals, and nothing is called") {
  CHECK(error_of("cos\nsystem\n(X\4\0\0\0lstR."s)
            .find("f: pickle, byte 0: global os.system is not allowed: only tensors, numbers") == 0);
  CHECK(error_of("\x8c\2os\x8c\6system\x93."s).find("global os.system is not allowed") != std::string::npos);
  CHECK(error_of("c__builtin__\neval\n.").find("global __builtin__.eval is not allowed") != std::string::npos);
  CHECK(error_of("ctorch\nFloatStorage\n)R.") == "f: pickle, byte 21: torch.FloatStorage cannot be called");
  CHECK(error_of("ios\nsystem\n.") == "f: pickle, byte 0: opcode 0x69 is not allowed");  // INST
  CHECK(error_of("\x82\1.") == "f: pickle, byte 0: opcode 0x82 is not allowed");         // EXT1
  CHECK(error_of("]K\1b.") == "f: pickle, byte 3: a list does not take a state");
  CHECK(error_of("K\1)R.") == "f: pickle, byte 3: what is called is an integer, not a global");
}

TEST_CASE("pickle: a tensor must lie inside its storage") {
  const std::string good = tensor_program("K\0K\2K\2\x86K\2K\1\x86"s);
  const Document doc = load(as_bytes(good), "f");
  REQUIRE(doc.at(doc.root).kind == Kind::tensor);
  CHECK(doc.tensors[0].shape == std::vector<std::int64_t>{2, 2});
  CHECK(doc.storages[0].numel == 4);
  CHECK(load(as_bytes(tensor_program("K\4K\0\x85K\1\x85"s)), "f").tensors.size() ==
        1);  // no element, just behind the end

  const auto refused = [](const std::string& geometry) { return error_of(tensor_program(geometry)); };
  CHECK(refused("K\1K\2K\2\x86K\2K\1\x86"s)
            .find("sizes [2, 2], strides [2, 1], offset 1 reach beyond storage \"0\" of 4 elements") !=
        std::string::npos);
  CHECK(refused("K\0K\5\x85K\1\x85"s).find("reach beyond") != std::string::npos);
  CHECK(refused("K\5K\0\x85K\1\x85"s).find("reach beyond") != std::string::npos);
  CHECK(refused("J\xff\xff\xff\xffK\1\x85K\1\x85"s).find("offset -1") != std::string::npos);
  CHECK(refused("K\0J\xff\xff\xff\xff\x85K\1\x85"s).find("is -1, not a natural number") != std::string::npos);
  CHECK(refused("K\0K\1\x85)"s).find("1 sizes and 0 strides") != std::string::npos);
  // 2^62 elements of stride 0 fit the storage, but not a 63-bit count once squared
  const std::string huge = "\x8a\x08\0\0\0\0\0\0\0\x40"s;
  CHECK(refused("K\0"s + huge + huge + "\x86K\0K\0\x86"s).find("reach beyond") != std::string::npos);
}

TEST_CASE("pickle: a parameter is its tensor, as old and new PyTorch write it") {
  std::string tensor = tensor_program("K\0K\4\x85K\1\x85"s);
  tensor.pop_back();  // STOP
  for (const std::string& program : {"ctorch.nn.parameter\nParameter\n" + tensor + "\x85\x81(\x88\x89}tb.",
                                     "ctorch._utils\n_rebuild_parameter\n(" + tensor + "\x88}tR."}) {
    const Document doc = load(as_bytes(program), "f");
    CHECK(doc.at(doc.root).kind == Kind::tensor);
    CHECK(doc.tensors[0].shape == std::vector<std::int64_t>{4});
  }
  CHECK(error_of("ctorch.nn.parameter\nParameter\nK\1\x85\x81.").find("argument 0 is an integer, not a tensor") !=
        std::string::npos);
}

TEST_CASE("pickle: depth, values, memory and the stack are bounded") {
  CHECK(error_of(std::string(200, '(')) == "f: pickle, byte 100: nested more than 100 deep");
  CHECK(error_of(")" + std::string(200, '\x85')) == "f: pickle, byte 101: nested more than 100 deep");
  CHECK(error_of(std::string(200, ']') + std::string(199, 'a')) == "f: pickle, byte 300: nested more than 100 deep");
  CHECK(error_of(std::string(60, 'N'), {.values = 50}) == "f: pickle, byte 50: more than 50 values on the stack");
  CHECK(error_of(std::string(60, ')'), {.values = 50}) == "f: pickle, byte 50: more than 50 values");

  // a thousand copies of one dict of a thousand items: 26 bytes each in the file, 4 kB each in memory
  std::string copies = "}q\0("s + std::string(1000, 'N') + "u";
  for (int i = 0; i < 1000; ++i) copies += "ccollections\nCounter\nh\0\x85R"s;
  CHECK(error_of(copies, {.memory = 1 << 20}).find("its values take more than 1 MiB") != std::string::npos);

  // lengths are compared with what follows before anything is allocated
  CHECK(error_of("\x95\xff\xff\xff\xff\xff\xff\xff\xff.").find("cut short: a frame") != std::string::npos);
  CHECK(error_of("B\xff\xff\xff\xff.") == "f: pickle, byte 0: cut short: 4294967295 bytes wanted, 1 left");
  CHECK(error_of("\x8e\xff\xff\xff\xff\xff\xff\xff\xff.").find("18446744073709551615 bytes wanted") !=
        std::string::npos);
}

TEST_CASE("pickle: a program that breaks the machine's rules") {
  CHECK(error_of("") == "f: pickle, byte 0: cut short: 1 bytes wanted, 0 left");
  CHECK(error_of(".") == "f: pickle, byte 0: the stack is empty");
  CHECK(error_of("K\1(.") == "f: pickle, byte 3: the stack is empty");  // the mark protects what is below it
  CHECK(error_of("t.") == "f: pickle, byte 0: there is no mark on the stack");
  CHECK(error_of("h\1.") == "f: pickle, byte 0: memo 1 was never set");
  CHECK(error_of("}(K\1u.") == "f: pickle, byte 4: a dict with a key without a value");
  CHECK(error_of("}K\1a.") == "f: pickle, byte 3: items for a list go into a dict");
  CHECK(error_of("\x80\6.") == "f: pickle, byte 0: protocol 6, at most 5 is read");
  CHECK(error_of("I12x\n.") == "f: pickle, byte 0: not a 64-bit integer: \"12x\"");
  CHECK(error_of("K\1Q.") == "f: pickle, byte 2: a persistent id is an integer, not a tuple");
}

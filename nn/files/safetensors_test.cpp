#include "nn/files/safetensors.hpp"

#include <doctest/doctest.h>

#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::files;

namespace {

std::string with_header(const std::string& header, const std::string& data = "") {
  std::string s;
  append_le(s, std::uint64_t{header.size()});
  return s + header + data;
}

std::string error_of(const std::string& file) {
  return file_error([&] { read_safetensors(as_bytes(file), "f"); });
}

/// The error for a header of one tensor "w" with those members, and `bytes` bytes of data.
std::string error_of_tensor(const std::string& members, std::size_t bytes) {
  return error_of(with_header(R"({"w":{)" + members + "}}", std::string(bytes, '\0')));
}

}  // namespace

TEST_CASE("safetensors: reads what the format's own library wrote") {
  const NamedTensors w = read_safetensors(sample("state.safetensors"));
  REQUIRE(w.tensors.size() == 6);
  CHECK(w.metadata == std::map<std::string, std::string>{{"model", "small"}, {"note", "a \"quoted\" \xc3\xbc"}});
  REQUIRE(w.find("conv.weight") != nullptr);
  CHECK(w.find("conv.weight")->shape() == Shape{2, 3, 2, 2});
  CHECK(w.find("conv.weight")->to_vector<double>() == ramp(24));
  CHECK(w.find("bn.num_batches_tracked")->rank() == 0);
  CHECK(w.find("bn.num_batches_tracked")->item() == 7);
  CHECK(w.find("empty")->shape() == Shape{0, 4});
  CHECK(w.find("absent") == nullptr);
}

TEST_CASE("safetensors: every dtype, the small integers as i64") {
  const NamedTensors w = read_safetensors(sample("dtypes.safetensors"));
  for (const char* name : {"f64", "f16", "bf16", "i64", "u8", "bool"})
    CHECK(dtype_name(w.find(name)->dtype()) == std::string(name));
  for (const char* name : {"f64", "f16", "bf16"}) CHECK(w.find(name)->to_vector<double>() == ramp(3));
  CHECK(w.find("i64")->to_vector<std::int64_t>() == std::vector<std::int64_t>{-(std::int64_t{1} << 40), 0, 3});
  CHECK(w.find("i32")->to_vector<std::int64_t>() == std::vector<std::int64_t>{-70000, 0, 3});
  CHECK(w.find("i16")->to_vector<std::int64_t>() == std::vector<std::int64_t>{-300, 0, 3});
  CHECK(w.find("i8")->to_vector<std::int64_t>() == std::vector<std::int64_t>{-3, 0, 3});
  CHECK(w.find("u8")->to_vector<double>() == std::vector<double>{0, 3, 255});
  CHECK(w.find("bool")->to_vector<double>() == std::vector<double>{1, 0, 1});
}

TEST_CASE("safetensors: writing and reading keeps names, order, dtypes, values and metadata") {
  const TemporaryFolder folder;
  const std::string path = folder / "w.safetensors";
  NamedTensors w;
  w.tensors.push_back({"small", full({3}, 2, {.dtype = DType::f16})});
  w.tensors.push_back({"b", arange(0, 24, 1, {.dtype = DType::f32}).as_strided({2, 3, 2}, {12, 1, 4}, 1)});  // a view
  w.tensors.push_back({"count", full({}, 5, {.dtype = DType::i64})});
  w.tensors.push_back({"conv", from_data({0, 1, 2, 3, 4, 5, 6, 7}, {1, 2, 2, 2}, {.format = Format::channels_last})});
  w.tensors.push_back({"none", empty({0, 3})});
  w.tensors.push_back({"\xc3\xbc \"quoted\"\n", from_data({1, 0}, {2}, {.dtype = DType::boolean})});
  w.metadata = {{"model", "resnet20"}, {"step", "{\"epoch\": 3}"}};
  write_safetensors(path, w);
  const NamedTensors r = read_safetensors(path);
  REQUIRE(r.tensors.size() == w.tensors.size());
  CHECK(r.metadata == w.metadata);
  for (std::size_t i = 0; i < w.tensors.size(); ++i) {
    CAPTURE(w.tensors[i].name);
    CHECK(r.tensors[i].name == w.tensors[i].name);
    CHECK(r.tensors[i].tensor.dtype() == w.tensors[i].tensor.dtype());
    CHECK(r.tensors[i].tensor.shape() == w.tensors[i].tensor.shape());
    CHECK(r.tensors[i].tensor.to_vector<double>() == w.tensors[i].tensor.to_vector<double>());
  }
  write_safetensors(path, {});
  CHECK(read_safetensors(path).tensors.empty());
}

TEST_CASE("safetensors: refuses to write what could not be read") {
  const TemporaryFolder folder;
  const std::string path = folder / "w.safetensors";
  const auto error = [&](const NamedTensors& w) { return file_error([&] { write_safetensors(path, w); }); };
  const Tensor x = zeros({1});
  CHECK(error({{{"a", x}, {"a", x}}, {}}) == path + ": cannot be written: two tensors are called \"a\"");
  CHECK(error({{{"\xff", x}}, {}}) == path + R"(: cannot be written: "\xff" is not UTF-8)");
  CHECK(error({{{"__metadata__", x}}, {}}) == path + ": cannot be written: \"__metadata__\" is no name for a tensor");
  CHECK(error({{{"a", Tensor()}}, {}}) == path + ": cannot be written: tensor \"a\" is undefined");
  CHECK(folder.files() == 0);
}

TEST_CASE("safetensors: a header that lies is named with its tensor") {
  const std::string f = "f: safetensors: ";
  CHECK(error_of("") == f + "cut short: 0 bytes");
  CHECK(error_of(with_header("{}").substr(0, 9)) == f + "cut short: a header of 2 bytes, 1 follow");
  CHECK(error_of(std::string(8, '\xff')) == f + "a header of 18446744073709551615 bytes, at most 100000000 are read");
  CHECK(error_of(with_header("{")) == f + "the header is not JSON at its byte 2");
  CHECK(error_of(with_header("[]")) == f + R"(a list under "" in the header, where the format has none)");
  CHECK(error_of(with_header(R"({"\u00fc":1})")) ==
        f + R"(a number under "\xc3\xbc" in the header, where the format has none)");
  CHECK(error_of(with_header("{}", "x")) == f + "1 bytes follow the last tensor");

  const std::string w = "tensor \"w\"";
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1])", 4) == f + w + " lacks its data_offsets");
  CHECK(error_of_tensor(R"("dtype":"C64","shape":[1],"data_offsets":[0,8])", 8) ==
        f + "dtype \"C64\" of " + w + " is not read");
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4) ==
        f + w + " F32 [2] does not take its 4 bytes");
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[0,8])", 4) == f + w + " has bytes 0 to 8 of 4");
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4,0])", 4) == f + w + " has bytes 4 to 0 of 4");
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1],"data_offsets":[4])", 4) ==
        f + "data_offsets of " + w + " are not two numbers");
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[-1],"data_offsets":[0,4])", 4).find("a negative number") !=
        std::string::npos);
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1.0],"data_offsets":[0,4])", 4).find("a fraction") !=
        std::string::npos);
  CHECK(
      error_of_tensor(R"("dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4])", 4).find("out of range") !=
      std::string::npos);
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])", 4)
            .find("more than 8 numbers") != std::string::npos);
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[[1]],"data_offsets":[0,4])", 4).find("a list under \"shape\"") !=
        std::string::npos);
  CHECK(error_of_tensor(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])", 4) ==
        f + "two dtypes in " + w);
  // 2^31 x 2^31 x 4 floats are 2^66 bytes: 0 after wrapping around
  CHECK(error_of_tensor(R"("dtype":"F32","shape":[2147483648,2147483648,4],"data_offsets":[0,0])", 0)
            .find("does not take its 0 bytes") != std::string::npos);
}

TEST_CASE("safetensors: tensors lie one behind the other, without gap or overlap") {
  const auto two = [](const std::string& second) {
    return error_of(with_header(
        R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":)" +
            second + "}}",
        "abcde"));
  };
  CHECK(two("[1,3]") == R"(f: safetensors: tensor "b" begins at byte 1, overlapping the one that ends at byte 2)");
  CHECK(two("[3,5]") == R"(f: safetensors: tensor "b" begins at byte 3, after a gap at byte 2)");
  CHECK(two("[2,4]") == "f: safetensors: 1 bytes follow the last tensor");
  CHECK(error_of(with_header(R"({"a":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},"a":{}})")) ==
        "f: safetensors: two tensors are called \"a\"");
}

TEST_CASE("safetensors: deep nesting is refused at its second level") {
  CHECK(error_of(with_header(R"({"a":{"dtype":)" + std::string(1'000'000, '[')))
            .find("a list under \"dtype\" in tensor \"a\"") != std::string::npos);
}

TEST_CASE("safetensors: a damaged file is refused or read, never more") {
  const std::string whole = read_all(sample("state.safetensors"));
  CHECK(survive_damage(whole, [](Bytes b) { read_safetensors(b, "f"); }) > static_cast<int>(whole.size()));
}

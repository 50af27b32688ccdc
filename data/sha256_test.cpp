#include "data/sha256.hpp"

#include "data/data_test_support.hpp"

namespace gradus::data {

static std::span<const std::uint8_t> bytes_of(const std::string& text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

TEST_CASE("sha256: the examples of FIPS 180-4") {
  CHECK(sha256({}) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(sha256(bytes_of("abc")) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(sha256(bytes_of("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(sha256(bytes_of(std::string(1'000'000, 'a'))) ==
        "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_CASE("sha256: pieces of any size give the digest of the whole") {
  const std::string text(1000, 'x');
  for (const std::size_t piece : {1u, 63u, 64u, 65u, 999u}) {
    Sha256 hash;
    for (std::size_t i = 0; i < text.size(); i += piece)
      hash.add(bytes_of(text).subspan(i, std::min(piece, text.size() - i)));
    CHECK(hash.hex() == sha256(bytes_of(text)));
  }
}

TEST_CASE("sha256: of a file, and an error that names a missing one") {
  const TemporaryFolder folder;
  write_text(folder / "abc", "abc");
  CHECK(sha256_of_file(folder / "abc") == sha256(bytes_of("abc")));
  CHECK(contains(error_of<FileError>([&] { sha256_of_file(folder / "none"); }), "none: cannot be read"));
}

}  // namespace gradus::data

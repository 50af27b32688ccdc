#include "data/image.hpp"

#include "data/data_test_support.hpp"
#include "data/files.hpp"

namespace gradus::data {
namespace {

std::string decode_error(std::span<const std::uint8_t> bytes) {
  Image image;
  return error_of<FileError>([&] { decode_image(bytes, "x.png", image); });
}

}  // namespace

TEST_CASE("image: a PNG comes back as it was written") {
  const TemporaryFolder folder;
  const Image image = noise_image(7, 3);
  write_png(folder / "a.png", image);
  Image again;
  read_image(folder / "a.png", again);
  CHECK(again.height == 7);
  CHECK(again.width == 3);
  CHECK(again.pixels == image.pixels);
}

TEST_CASE("image: grey becomes three equal channels") {
  const std::string pgm = "P5 2 1 255 ";
  std::vector<std::uint8_t> bytes(pgm.begin(), pgm.end());
  bytes.push_back(10), bytes.push_back(200);
  Image image;
  decode_image(bytes, "x.pgm", image);
  CHECK(image.pixels == std::vector<std::uint8_t>{10, 10, 10, 200, 200, 200});
}

TEST_CASE("image: empty, foreign, cut short and damaged files are named") {
  CHECK(decode_error({}) == "x.png: the file is empty");
  const std::vector<std::uint8_t> text{'h', 'e', 'l', 'l', 'o'};
  CHECK(contains(decode_error(text), "x.png: not an image"));
  const TemporaryFolder folder;
  write_png(folder / "a.png", noise_image(40, 40));
  std::vector<std::uint8_t> bytes = read_file(folder / "a.png");
  bytes.resize(bytes.size() / 2);
  CHECK(contains(decode_error(bytes), "x.png: cannot be decoded"));
}

TEST_CASE("image: a JPEG whose Huffman table names too many codes is refused") {
  std::vector<std::uint8_t> bytes{0xff, 0xd8, 0xff, 0xc4, 0, 40, 0};
  bytes.insert(bytes.end(), 16, 17);  // 272 codes
  bytes.resize(400);
  CHECK(decode_error(bytes) == "x.png: cannot be decoded (a Huffman table has too many codes)");
}

TEST_CASE("image: a header that claims an absurd size is refused before memory is taken") {
  const auto claim = [](const std::string& size) {
    const std::string header = "P6 " + size + " 255 ";
    return decode_error({reinterpret_cast<const std::uint8_t*>(header.data()), header.size()});
  };
  CHECK(claim("30000 30000") == "x.png: 30000 x 30000 pixels are too many (at most 32768 a side and 67108864 in all)");
  CHECK(contains(claim("100000 2"), "x.png: "));
  CHECK(contains(claim("2000000000 2000000000"), "x.png: "));
  CHECK(contains(claim("0 5"), "x.png: "));
}

TEST_CASE("image: missing files and unwritable places are named") {
  const TemporaryFolder folder;
  Image image = noise_image(2, 2);
  CHECK(error_of<FileError>([&] { read_image(folder / "none.png", image); }) ==
        (folder / "none.png").string() + ": there is no such file");
  CHECK(contains(error_of<FileError>([&] { write_png(folder / "no" / "a.png", image); }), "a.png"));
}

}  // namespace gradus::data

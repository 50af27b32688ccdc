#include "data/image_folder.hpp"

#include "data/data_test_support.hpp"

namespace gradus::data {
namespace {

void write_picture(const std::filesystem::path& file, std::uint32_t seed) {
  std::filesystem::create_directories(file.parent_path());
  write_png(file, noise_image(5, 6, seed));
}
/// Two classes, three pictures; one of them in a folder of its own.
void write_folder(const TemporaryFolder& root) {
  write_picture(root / "n02" / "b.png", 1);
  write_picture(root / "n01" / "z.PNG", 2);
  write_picture(root / "n01" / "deep" / "a.png", 3);
  write_text(root / "n01" / "notes.txt", "not a picture");
  write_text(root / "n01" / ".hidden.png", "nor this");
  write_text(root / "readme.md", "nor this");
}

}  // namespace

TEST_CASE("image folder: classes are the folders, samples are sorted by path, pictures come back as written") {
  const TemporaryFolder root;
  write_folder(root);
  const ImageFolder data(root.path());
  CHECK(data.classes() == std::vector<std::string>{"n01", "n02"});
  REQUIRE(data.size() == 3);
  CHECK(data.origin(0) == (root / "n01" / "deep" / "a.png").string());
  CHECK(data.origin(1) == (root / "n01" / "z.PNG").string());
  CHECK(data.label(0) == 0);
  CHECK(data.label(2) == 1);
  Image image;
  CHECK(data.get(2, image));
  CHECK(image.height == 5);
  CHECK(image.width == 6);
  CHECK(image.pixels == noise_image(5, 6, 1).pixels);
}

TEST_CASE("image folder: a list of classes gives labels and names") {
  const TemporaryFolder root;
  write_folder(root);
  const TemporaryFolder lists;
  write_text(lists / "classes.txt", "n00\t0\ttench\nn02\t1\tgoldfish\nn01\t2\tshark\n");
  const ImageFolder data(root.path(), {.classes = read_class_list(lists / "classes.txt")});
  CHECK(data.classes() == std::vector<std::string>{"tench", "goldfish", "shark"});
  CHECK(data.label(0) == 2);
  CHECK(data.label(2) == 1);
  write_text(lists / "short.txt", "n02\t0\tgoldfish\n");
  CHECK(contains(
      error_of<FileError>([&] { ImageFolder(root.path(), {.classes = read_class_list(lists / "short.txt")}); }),
      "n01 is not a class of"));
}

TEST_CASE("image folder: a file that cannot be decoded is named; skipped only if asked") {
  const TemporaryFolder root;
  write_folder(root);
  write_text(root / "n02" / "bad.jpg", "this is not a picture");
  const std::string bad = (root / "n02" / "bad.jpg").string();
  Image image;
  const ImageFolder strict(root.path());
  CHECK(contains(error_of<FileError>([&] { strict.get(3, image); }), bad + ": not an image"));
  const ImageFolder lenient(root.path(), {.skip_bad = true});
  CHECK(lenient.skipped().empty());
  CHECK_FALSE(lenient.get(3, image));
  CHECK(lenient.get(2, image));
  REQUIRE(lenient.skipped().size() == 1);
  CHECK(contains(lenient.skipped()[0], bad));
}

TEST_CASE("image folder: missing and empty folders are named") {
  const TemporaryFolder root;
  CHECK(error_of<FileError>([&] { ImageFolder(root / "none"); }) ==
        fmt::format("image folder: there is no folder {}", (root / "none").string()));
  CHECK(error_of<FileError>([&] { ImageFolder(root.path()); }) ==
        fmt::format("image folder: {} holds no class folders", root.path().string()));
  write_folder(root);
  std::filesystem::create_directory(root / "n03");
  CHECK(error_of<FileError>([&] { ImageFolder(root.path()); }) ==
        fmt::format("image folder: there are no pictures in {}", (root / "n03").string()));
}

}  // namespace gradus::data

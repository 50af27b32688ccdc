#include "data/cifar.hpp"

#include "data/data_test_support.hpp"
#include "data/shapes.hpp"

namespace gradus::data {
namespace {

constexpr std::size_t kRecord = 3073;

/// `records` records whose label is their number modulo `classes`, red 10, green 20, blue 30.
std::vector<std::uint8_t> records_of(int records, int label_bytes = 1, int classes = 10) {
  std::vector<std::uint8_t> bytes;
  for (int i = 0; i < records; ++i) {
    if (label_bytes == 2) bytes.push_back(19);
    bytes.push_back(static_cast<std::uint8_t>(i % classes));
    for (int plane = 1; plane <= 3; ++plane) bytes.insert(bytes.end(), 1024, static_cast<std::uint8_t>(plane * 10));
  }
  return bytes;
}
void write_ten(const std::filesystem::path& folder, int records = 4) {
  for (int i = 1; i <= 5; ++i) write_bytes(folder / fmt::format("data_batch_{}.bin", i), records_of(records));
  write_bytes(folder / "test_batch.bin", records_of(2));
}
std::string read_error(const std::filesystem::path& folder, Cifar kind = Cifar::k10) {
  return error_of<FileError>([&] { read_cifar(folder, kind, true); });
}

}  // namespace

TEST_CASE("cifar: planes become interleaved pixels, labels and names are read") {
  const TemporaryFolder folder;
  write_ten(folder.path());
  const MemoryDataset train = read_cifar(folder.path(), Cifar::k10, true);
  CHECK(train.size() == 20);
  CHECK(read_cifar(folder.path(), Cifar::k10, false).size() == 2);
  CHECK(train.label(5) == 1);
  CHECK(train.classes()[9] == "truck");
  Image image;
  CHECK(train.get(19, image));
  CHECK(image.height == 32);
  CHECK(image.width == 32);
  CHECK(int{image.pixels[3071 - 2]} == 10);
  CHECK(int{image.pixels[3071]} == 30);
  CHECK(contains(train.origin(3), "CIFAR-10 train"));
}

TEST_CASE("cifar: the official archive's subfolder is found, its class names are used") {
  const TemporaryFolder folder;
  write_ten(folder / "cifar-10-batches-bin");
  write_text(folder / "cifar-10-batches-bin" / "batches.meta.txt", "k0\nk1\nk2\nk3\nk4\nk5\nk6\nk7\nk8\nk9\n\n");
  CHECK(read_cifar(folder.path(), Cifar::k10, true).classes()[3] == "k3");
  write_text(folder / "cifar-10-batches-bin" / "batches.meta.txt", "a\nb\n");
  CHECK(contains(read_error(folder.path()), "batches.meta.txt: 2 class names, where 10 belong"));
}

TEST_CASE("cifar-100: the fine label counts") {
  const TemporaryFolder folder;
  write_bytes(folder / "train.bin", records_of(120, 2, 100));
  const MemoryDataset train = read_cifar(folder.path(), Cifar::k100, true);
  CHECK(train.size() == 120);
  CHECK(train.label(99) == 99);
  CHECK(train.classes().size() == 100);
  CHECK(contains(error_of<FileError>([&] { read_cifar(folder.path(), Cifar::k100, false); }), "test.bin"));
}

TEST_CASE("cifar: missing, empty, cut short, too long, and wrong files are named") {
  const TemporaryFolder folder;
  CHECK(read_error(folder / "none") == fmt::format("CIFAR-10: there is no folder {}", (folder / "none").string()));
  CHECK(read_error(folder.path()) ==
        fmt::format("CIFAR-10: there is no data_batch_1.bin in {} (nor in its cifar-10-batches-bin)",
                    folder.path().string()));
  write_ten(folder.path());
  const std::filesystem::path third = folder / "data_batch_3.bin";
  std::filesystem::remove(third);
  CHECK(read_error(folder.path()) == third.string() + ": there is no such file");
  write_bytes(third, {});
  CHECK(read_error(folder.path()) == third.string() + ": the file is empty");
  std::vector<std::uint8_t> bytes = records_of(4);
  bytes.resize(bytes.size() - 10);
  write_bytes(third, bytes);
  CHECK(
      contains(read_error(folder.path()), "12282 bytes are not a whole number of 3073-byte records (3 and 3063 bytes"));
  bytes = records_of(3);
  write_bytes(third, bytes);
  CHECK(read_error(folder.path()) ==
        third.string() + ": 3 records, but data_batch_1.bin has 4: cut short, or of another set");
  bytes = records_of(4);
  bytes[2 * kRecord] = 10;
  write_bytes(third, bytes);
  CHECK(read_error(folder.path()) == third.string() + ": record 2 has label 10, but there are 10 classes");
  std::filesystem::remove(third);
  std::filesystem::create_directory(third);
  CHECK(read_error(folder.path()) == third.string() + ": is not a regular file");
}

TEST_CASE("cifar: what is written is read back") {
  const TemporaryFolder folder;
  const Shapes train({.size = 50}), test({.size = 20, .train = false});
  write_cifar10(folder / "made" / "here", train, test);
  const MemoryDataset again = read_cifar(folder / "made" / "here", Cifar::k10, true);
  REQUIRE(again.size() == 50);
  CHECK(again.classes() == train.classes());
  Image a, b;
  for (int i = 0; i < 50; ++i) {
    train.get(i, a), again.get(i, b);
    REQUIRE(a.pixels == b.pixels);
    REQUIRE(again.label(i) == train.label(i));
  }
  CHECK(read_cifar(folder / "made" / "here", Cifar::k10, false).size() == 20);
  CHECK(contains(error_of<ValueError>([&] { write_cifar10(folder.path(), Shapes({.size = 51}), test); }),
                 "51 training pictures cannot be cut into 5 equal files"));
}

TEST_CASE("cifar: the real CIFAR-10, where GRADUS_CIFAR10_DIR names it") {
  const char* place = std::getenv("GRADUS_CIFAR10_DIR");
  if (place == nullptr) {
    MESSAGE("skipped: GRADUS_CIFAR10_DIR is not set");
    return;
  }
  const MemoryDataset train = read_cifar(place, Cifar::k10, true);
  std::vector<std::int64_t> per_class(10);
  for (std::int64_t i = 0; i < train.size(); ++i) ++per_class[train.label(i)];
  for (const std::int64_t count : per_class) CHECK(count == train.size() / 10);
  CHECK(train.classes()[6] == "frog");
}

}  // namespace gradus::data

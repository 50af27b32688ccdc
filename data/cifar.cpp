#include "data/cifar.hpp"

#include <array>
#include <fstream>

#include "core/error.hpp"
#include "data/files.hpp"
#include "nn/files/atomic_file.hpp"

namespace gradus::data {
namespace {

namespace fs = std::filesystem;

constexpr int kSize = 32, kPlane = kSize * kSize, kPixels = kPlane * Image::kChannels;
constexpr std::int64_t kMaxBytes = std::int64_t{1} << 31;

struct Layout {
  const char* subfolder;
  std::vector<std::string> train, test;
  const char* names;
  int label_bytes;  // the last one counts
  std::int64_t classes;
};

Layout layout_of(Cifar kind) {
  if (kind == Cifar::k100) return {"cifar-100-binary", {"train.bin"}, {"test.bin"}, "fine_label_names.txt", 2, 100};
  return {"cifar-10-batches-bin",
          {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin", "data_batch_4.bin", "data_batch_5.bin"},
          {"test_batch.bin"},
          "batches.meta.txt",
          1,
          10};
}

std::vector<std::string> class_names(const fs::path& folder, Cifar kind, const Layout& layout) {
  std::vector<std::string> names;
  std::error_code error;
  if (fs::exists(folder / layout.names, error)) {
    std::ifstream in(folder / layout.names);
    for (std::string line; std::getline(in, line);) {
      if (!line.empty() && line.back() == '\r') line.pop_back();
      if (!line.empty()) names.push_back(line);
    }
    check<FileError>(std::ssize(names) == layout.classes, "{}: {} class names, where {} belong",
                     (folder / layout.names).string(), names.size(), layout.classes);
  } else if (kind == Cifar::k10) {
    names = {"airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"};
  } else {
    for (int i = 0; i < layout.classes; ++i) names.push_back(fmt::format("class {}", i));
  }
  return names;
}

}  // namespace

void parse_cifar(std::span<const std::uint8_t> bytes, const std::string& name, Cifar kind, std::int64_t classes,
                 std::vector<std::uint8_t>& pixels, std::vector<std::int64_t>& labels) {
  const int label_bytes = kind == Cifar::k100 ? 2 : 1;
  const std::size_t record = label_bytes + kPixels, records = bytes.size() / record;
  check<FileError>(!bytes.empty(), "{}: the file is empty", name);
  check<FileError>(
      bytes.size() % record == 0,
      "{}: {} bytes are not a whole number of {}-byte records ({} and {} bytes more): cut short, or another "
      "kind of file",
      name, bytes.size(), record, records, bytes.size() % record);
  const std::size_t before = labels.size();
  for (std::size_t i = 0; i < records; ++i) {
    const std::int64_t label = bytes[i * record + label_bytes - 1];
    check<FileError>(label < classes, "{}: record {} has label {}, but there are {} classes", name, i, label, classes);
    labels.push_back(label);
  }
  pixels.resize((before + records) * kPixels);
  std::uint8_t* out = pixels.data() + before * kPixels;
  for (std::size_t i = 0; i < records; ++i) {
    const std::uint8_t* planes = bytes.data() + i * record + label_bytes;
    for (int p = 0; p < kPlane; ++p)
      for (int c = 0; c < Image::kChannels; ++c) *out++ = planes[c * kPlane + p];
  }
}

MemoryDataset read_cifar(const fs::path& folder, Cifar kind, bool train) {
  const Layout layout = layout_of(kind);
  const char* name = kind == Cifar::k10 ? "CIFAR-10" : "CIFAR-100";
  const std::vector<std::string>& files = train ? layout.train : layout.test;
  std::error_code error;
  check<FileError>(fs::is_directory(folder, error), "{}: there is no folder {}", name, folder.string());
  const fs::path place = fs::exists(folder / files[0], error) ? folder : folder / layout.subfolder;
  check<FileError>(fs::exists(place / files[0], error), "{}: there is no {} in {} (nor in its {})", name, files[0],
                   folder.string(), layout.subfolder);

  std::vector<std::uint8_t> pixels;
  std::vector<std::int64_t> labels;
  std::size_t records = 0;
  for (const std::string& file : files) {
    const std::vector<std::uint8_t> bytes = read_file(place / file, kMaxBytes);
    const std::size_t before = labels.size();
    if (before == 0) pixels.reserve(files.size() * bytes.size());
    parse_cifar(bytes, (place / file).string(), kind, layout.classes, pixels, labels);
    if (before == 0) records = labels.size();
    check<FileError>(labels.size() - before == records, "{}: {} records, but {} has {}: cut short, or of another set",
                     (place / file).string(), labels.size() - before, files[0], records);
  }
  return {fmt::format("{} {}", name, train ? "train" : "test"),
          kSize,
          kSize,
          std::move(pixels),
          std::move(labels),
          class_names(place, kind, layout)};
}

void write_cifar10(const fs::path& folder, const Dataset& train, const Dataset& test) {
  const Layout layout = layout_of(Cifar::k10);
  const std::int64_t parts = std::ssize(layout.train);
  check<ValueError>(train.size() % parts == 0, "data: {} training pictures cannot be cut into {} equal files",
                    train.size(), parts);
  check<ValueError>(train.classes() == test.classes() && train.classes().size() <= 256,
                    "data: training and test set need the same classes, at most 256");
  make_folder(folder);
  const auto write = [&](const Dataset& source, std::int64_t begin, std::int64_t end, const std::string& name) {
    std::string bytes;
    bytes.reserve((end - begin) * (1 + kPixels));
    Image image;
    for (std::int64_t i = begin; i < end; ++i) {
      check<ValueError>(source.get(i, image) && image.height == kSize && image.width == kSize,
                        "data: {} is not a picture of {} x {}", source.origin(i), kSize, kSize);
      bytes.push_back(static_cast<char>(source.label(i)));
      for (int c = 0; c < Image::kChannels; ++c)
        for (int p = 0; p < kPlane; ++p) bytes.push_back(static_cast<char>(image.pixels[p * Image::kChannels + c]));
    }
    files::write_file_atomic((folder / name).string(), bytes);
  };
  const std::int64_t part = train.size() / parts;
  for (std::int64_t i = 0; i < parts; ++i) write(train, i * part, (i + 1) * part, layout.train[i]);
  write(test, 0, test.size(), layout.test[0]);
  std::string names;
  for (const std::string& name : train.classes()) names += name + "\n";
  files::write_file_atomic((folder / layout.names).string(), names);
}

}  // namespace gradus::data

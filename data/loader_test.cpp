#include "data/loader.hpp"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <thread>

#include "data/data_test_support.hpp"
#include "data/shapes.hpp"

namespace gradus::data {
namespace {

/// Sample i is a 4 x 4 picture of colour (i, 0, 0), label i % 3. Some samples take longer, can be unreadable or fail.
class Numbered final : public Dataset {
 public:
  explicit Numbered(std::int64_t size, std::int64_t bad = -1, bool skip = false)
      : size_(size), bad_(bad), skip_(skip) {}
  std::int64_t size() const override { return size_; }
  const std::vector<std::string>& classes() const override {
    static const std::vector<std::string> names{"a", "b", "c"};
    return names;
  }
  std::int64_t label(std::int64_t index) const override { return index % 3; }
  bool get(std::int64_t index, Image& image) const override {
    if (index == bad_ && skip_) return false;
    check<FileError>(index != bad_, "{}: cannot be decoded", origin(index));
    if (index % 7 == 0) std::this_thread::sleep_for(std::chrono::microseconds(200));
    image.resize(4, index == 1000 ? 5 : 4);
    std::fill(image.pixels.begin(), image.pixels.end(), 0);
    for (std::size_t i = 0; i < image.pixels.size(); i += 3) image.pixels[i] = static_cast<std::uint8_t>(index);
    return true;
  }
  std::string origin(std::int64_t index) const override { return fmt::format("picture-{}.png", index); }

 private:
  std::int64_t size_, bad_;
  bool skip_;
};

std::shared_ptr<const Dataset> numbered(std::int64_t size, std::int64_t bad = -1, bool skip = false) {
  return std::make_shared<Numbered>(size, bad, skip);
}

/// Everything the loader gives in `epochs` epochs, as numbers that can be compared.
struct Record {
  std::vector<float> images, targets;
  std::vector<std::int64_t> labels, indices, sizes;
  bool operator==(const Record&) const = default;
};
Record drain(Loader& loader, int epochs = 1) {
  Record record;
  for (int e = 0; e < epochs; ++e)
    while (const std::optional<Batch> batch = loader.next()) {
      const auto append = [](auto& to, const auto& from) { to.insert(to.end(), from.begin(), from.end()); };
      append(record.images, batch->images.to_vector<float>());
      append(record.labels, batch->labels.to_vector<std::int64_t>());
      append(record.indices, batch->indices);
      if (batch->targets) append(record.targets, batch->targets.to_vector<float>());
      record.sizes.push_back(std::ssize(batch->indices));
    }
  return record;
}

}  // namespace

TEST_CASE("loader: without shuffling every sample comes once, in order, the last batch smaller") {
  Loader loader(numbered(10), {}, {.batch = 4});
  CHECK(loader.batches() == 3);
  CHECK(loader.samples() == 10);
  const std::optional<Batch> first = loader.next();
  REQUIRE(first);
  CHECK(first->images.shape() == Shape{4, 3, 4, 4});
  CHECK(first->images.is_contiguous(Format::channels_last));
  CHECK(first->labels.dtype() == DType::i64);
  CHECK_FALSE(first->targets.defined());
  loader.start(0);
  const Record record = drain(loader);
  std::vector<std::int64_t> expected(10);
  std::iota(expected.begin(), expected.end(), 0);
  CHECK(record.indices == expected);
  CHECK(record.sizes == std::vector<std::int64_t>{4, 4, 2});
  CHECK(record.labels == std::vector<std::int64_t>{0, 1, 2, 0, 1, 2, 0, 1, 2, 0});
  for (int i = 0; i < 10; ++i) CHECK(record.images[i * 48] == doctest::Approx(i / 255.0));  // red of pixel 0
}

TEST_CASE("loader: shuffling gives every sample once an epoch, in another order each epoch and for each seed") {
  const auto order = [](std::uint64_t seed, std::int64_t epoch) {
    Loader loader(numbered(100), {}, {.batch = 16, .shuffle = true, .seed = seed, .workers = 0});
    loader.start(epoch);
    return drain(loader).indices;
  };
  std::vector<std::int64_t> first = order(1, 0);
  CHECK(first == order(1, 0));
  CHECK(first != order(1, 1));
  CHECK(first != order(2, 0));
  std::sort(first.begin(), first.end());
  for (int i = 0; i < 100; ++i) REQUIRE(first[i] == i);
}

TEST_CASE("loader: the number of workers and the prefetch change nothing") {
  const auto data = std::make_shared<Shapes>(ShapesOptions{.size = 50});
  const Pipeline pipeline = Pipeline::parse(
      "random_crop(32, padding=4) | flip | color_jitter(brightness=0.2) | pca_color | cutout(8) | normalize(cifar10) | "
      "mixup(0.4) | cutmix(1)");
  const auto run = [&](int workers, int prefetch, bool endless) {
    Loader loader(
        data, pipeline,
        {.batch = 8, .shuffle = true, .seed = 3, .workers = workers, .prefetch = prefetch, .endless = endless});
    return drain(loader, 2);
  };
  const Record expected = run(0, 1, false);
  CHECK(expected.indices.size() == 100);
  CHECK(expected.targets.size() == 1000);
  CHECK(run(1, 1, false) == expected);
  CHECK(run(2, 4, true) == expected);
  CHECK(run(5, 3, false) == expected);
  CHECK(run(4, 9, true) == expected);
}

TEST_CASE("loader: started at (epoch, batch) it gives what it would have given there") {
  const Pipeline pipeline = Pipeline::parse("random_crop(4, padding=1) | flip | normalize(half)");
  const LoaderOptions options{.batch = 7, .shuffle = true, .seed = 5, .workers = 2};
  Loader whole(numbered(40), pipeline, options);
  whole.start(3);
  const Record all = drain(whole);
  for (const std::int64_t number : {0, 1, 4, 5}) {
    CAPTURE(number);
    Loader later(numbered(40), pipeline, options);
    later.start(3, number);
    CHECK(later.epoch() == 3);
    CHECK(later.number() == number);
    const Record rest = drain(later);
    CHECK(rest.indices == std::vector<std::int64_t>(all.indices.begin() + number * 7, all.indices.end()));
    CHECK(rest.images == std::vector<float>(all.images.begin() + number * 7 * 48, all.images.end()));
  }
  Loader at_end(numbered(40), pipeline, options);
  at_end.start(3, 6);  // what a checkpoint holds after the last batch of an epoch
  CHECK_FALSE(at_end.next());
  CHECK(at_end.epoch() == 4);
}

TEST_CASE("loader: restarting in the middle drops what was made ahead") {
  Loader loader(numbered(60), {}, {.batch = 5, .shuffle = true, .seed = 1, .workers = 3});
  const Record expected = drain(loader);
  for (int i = 0; i < 5; ++i) {
    loader.start(0);
    for (int k = 0; k < i; ++k) loader.next();
  }
  loader.start(0);
  CHECK(drain(loader) == expected);
}

TEST_CASE("loader: where it stands is what start() needs to go on") {
  Loader loader(numbered(20), {}, {.batch = 6, .shuffle = true, .workers = 2, .endless = true});
  CHECK(loader.epoch() == 0);
  CHECK(loader.number() == 0);
  for (int i = 0; i < 4; ++i) CHECK(loader.next()->number == i);
  CHECK(loader.number() == 4);
  CHECK_FALSE(loader.next());
  CHECK(loader.epoch() == 1);
  CHECK(loader.number() == 0);
  const std::optional<Batch> batch = loader.next();
  CHECK(batch->epoch == 1);
  CHECK(batch->number == 0);
}

TEST_CASE("loader: the shards of all ranks together are the epoch, batch by batch") {
  for (const std::int64_t size : {48, 50}) {
    Loader one(numbered(size), {}, {.batch = 12, .shuffle = true, .seed = 9, .workers = 0});
    std::vector<std::vector<std::int64_t>> whole;
    while (const auto batch = one.next()) whole.push_back(batch->indices);
    std::vector<std::vector<std::int64_t>> together(whole.size());
    for (int rank = 0; rank < 3; ++rank) {
      Loader shard(numbered(size), {}, {.batch = 4, .shuffle = true, .seed = 9, .rank = rank, .world = 3});
      for (std::size_t k = 0; const auto batch = shard.next(); ++k)
        together[k].insert(together[k].end(), batch->indices.begin(), batch->indices.end());
    }
    for (std::size_t k = 0; k < whole.size(); ++k) {
      std::sort(whole[k].begin(), whole[k].end()), std::sort(together[k].begin(), together[k].end());
      CHECK(whole[k] == together[k]);
    }
  }
}

TEST_CASE("loader: drop_last leaves every rank the same number of full batches") {
  for (int rank = 0; rank < 3; ++rank) {
    Loader loader(numbered(50), {}, {.batch = 4, .shuffle = true, .drop_last = true, .rank = rank, .world = 3});
    CHECK(loader.batches() == 4);
    CHECK(drain(loader).sizes == std::vector<std::int64_t>{4, 4, 4, 4});
  }
}

TEST_CASE("loader: an error surfaces once, where its batch would have come, and the rest follows") {
  for (const int workers : {0, 1, 3}) {
    CAPTURE(workers);
    Loader loader(numbered(20, 9), {}, {.batch = 4, .workers = workers});
    CHECK(loader.next()->number == 0);
    CHECK(loader.next()->number == 1);
    CHECK(error_of<FileError>([&] { loader.next(); }) == "picture-9.png: cannot be decoded");
    CHECK(loader.next()->number == 3);
    CHECK(loader.next()->number == 4);
    CHECK_FALSE(loader.next());
  }
}

TEST_CASE("loader: samples that the data set skips are left out of their batch; a batch of nothing else is an error") {
  Loader loader(numbered(9, 5, true), {}, {.batch = 4, .workers = 2});
  CHECK(loader.next()->indices == std::vector<std::int64_t>{0, 1, 2, 3});
  const std::optional<Batch> batch = loader.next();
  CHECK(batch->indices == std::vector<std::int64_t>{4, 6, 7});
  CHECK(batch->images.shape() == Shape{3, 3, 4, 4});
  CHECK(batch->labels.to_vector<std::int64_t>() == std::vector<std::int64_t>{1, 0, 1});
  Loader alone(numbered(9, 8, true), {}, {.batch = 4});
  alone.start(0, 2);
  CHECK(error_of<FileError>([&] { alone.next(); }) ==
        "loader: none of the 1 samples of batch 2 can be read, the first is picture-8.png");
}

TEST_CASE("loader: pictures of different sizes in a batch, and a crop that does not fit, name the sample") {
  Loader sizes(numbered(1001), {}, {.batch = 2, .workers = 0});
  sizes.start(0, 499);
  sizes.next();
  CHECK(sizes.next()->indices.size() == 1);  // alone in its batch it may have any size
  Loader together(numbered(1001), {}, {.batch = 1001});
  CHECK(error_of<ValueError>([&] { together.next(); }) ==
        "loader: picture-1000.png is 4 x 5 after the transforms, others of the batch 4 x 4: add a crop or a resize");
  Loader crop(numbered(3), Pipeline::parse("random_crop(9)"), {.batch = 2});
  CHECK(error_of<ValueError>([&] { crop.next(); }) ==
        "picture-0.png: random_crop: 9 x 9 does not fit in a picture of 4 x 4 with padding 0");
}

TEST_CASE("loader: is destroyed cleanly at any time") {
  for (int taken = 0; taken < 4; ++taken) {
    Loader loader(numbered(1000), {}, {.batch = 10, .workers = 3, .endless = true});
    for (int i = 0; i < taken; ++i) loader.next();
  }
}

TEST_CASE("loader: options that make no sense are errors") {
  const auto message = [](LoaderOptions options, std::int64_t size = 10) {
    return error_of<ValueError>([&] { Loader(numbered(size), {}, options); });
  };
  CHECK(message({.batch = 0}) == "loader: the batch must be positive, not 0");
  CHECK(message({.workers = -1}) == "loader: workers must be in 0..1024, not -1");
  CHECK(message({.prefetch = 0}) == "loader: prefetch must be positive, not 0");
  CHECK(message({.rank = 2, .world = 2}) == "loader: rank 2 of 2 does not exist");
  CHECK(message({}, 0) == "loader: a data set of 0 samples, where 1 to 2^32-1 are possible");
  CHECK(message({.batch = 16, .drop_last = true}) ==
        "loader: 10 samples give rank 0 of 1 no batch of 16 with drop_last");
  Loader loader(numbered(10), {}, {.batch = 4});
  CHECK(error_of<ValueError>([&] { loader.start(0, 4); }) == "loader: there is no batch 4 of epoch 0; an epoch has 3");
}

}  // namespace gradus::data

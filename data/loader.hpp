#pragma once
// Batches, made ahead of time by worker threads.
//
// What a batch holds depends on the data set, the pipeline and (seed, epoch, number of the batch, rank, world) alone:
// the order of an epoch is a permutation drawn from (seed, epoch), and every sample has its own stream of random
// numbers. How many workers there are, how far ahead they run and where the loader was started change nothing.

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "core/tensor.hpp"
#include "data/dataset.hpp"
#include "data/pipeline.hpp"
#include "data/upload.hpp"

namespace gradus::data {

struct LoaderOptions {
  std::int64_t batch = 128;
  bool shuffle = false;    // a new order every epoch; else the data set's own
  bool drop_last = false;  // leave out what does not fill a batch (of all ranks)
  std::uint64_t seed = 0;
  int workers = 1;          // threads; 0 makes each batch in next() itself
  int prefetch = 4;         // batches made ahead, at most
  bool endless = false;     // begin the next epoch's batches while the last ones of this epoch are being used
  bool bytes = false;       // leave the pipeline's work on pixels to the device: batches have `bytes` and no images
  int rank = 0, world = 1;  // this shard: position p of an epoch's order belongs to rank p % world
};

struct Batch {
  Tensor images;                       // f32 [N, 3, H, W], channels-last in memory
  std::optional<PlacedBytes> bytes;    // with LoaderOptions::bytes, instead of images
  Tensor labels;                       // i64 [N]
  Tensor targets;                      // f32 [N, classes] if the pipeline mixes samples, else undefined
  std::vector<std::int64_t> indices;   // of the samples, in the data set
  std::int64_t epoch = 0, number = 0;  // of this batch within the epoch
};

class Loader {
 public:
  /// ValueError if an option makes no sense, or if nothing fills a batch, or if `bytes` is set and the pipeline does
  /// more than Pipeline::only_places().
  Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options = {});
  /// Stops the workers; waits at most for the batches they are making.
  ~Loader();
  Loader(const Loader&) = delete;
  Loader& operator=(const Loader&) = delete;

  /// Batches of an epoch for this rank. Ranks may differ by one unless drop_last is set.
  std::int64_t batches() const;
  /// Samples of an epoch for this rank.
  std::int64_t samples() const;

  /// Goes to batch `number` of `epoch`; next() gives that one. A loader that was never told starts at (0, 0).
  void start(std::int64_t epoch, std::int64_t number = 0);
  /// The next batch in order; nothing at the end of an epoch, after which the next call gives the first of the epoch
  /// after it. A batch is smaller than asked if it is the last, or if the data set skipped unreadable files. What went
  /// wrong while a batch was made is thrown by the call that would have returned it, once; the call after it goes on
  /// with the batch that follows. Not to be called from two threads at once.
  std::optional<Batch> next();

  /// Where next() stands: what start() has to be told to continue from here.
  std::int64_t epoch() const;
  std::int64_t number() const;

  const Dataset& dataset() const;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gradus::data

#include "data/loader.hpp"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <numeric>
#include <thread>

#include "core/error.hpp"

namespace gradus::data {

class Loader::Impl {
 public:
  Impl(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options);
  ~Impl();

  void start(std::int64_t epoch, std::int64_t number);
  std::optional<Batch> next();

  std::int64_t batches() const { return batches_; }
  std::int64_t samples() const { return samples_; }
  std::int64_t epoch() const { return epoch_; }
  std::int64_t number() const { return number_; }
  const Dataset& dataset() const { return *dataset_; }

 private:
  using Order = std::shared_ptr<const std::vector<std::uint32_t>>;

  /// One place of the ring: a batch or what went wrong, once `ready`.
  struct Slot {
    bool ready = false;
    Batch batch;
    std::exception_ptr error;
  };

  /// Batches are numbered by tickets, counted on from the place start() named. A worker that has taken a ticket of an
  /// earlier start drops what it made.
  void work();
  void spawn();
  bool may_take() const;
  Batch make(std::int64_t epoch, std::int64_t number, const Order& order, Picture& picture) const;
  Order order_of(std::int64_t epoch);

  const std::shared_ptr<const Dataset> dataset_;
  const Pipeline pipeline_;
  const LoaderOptions options_;
  std::int64_t samples_ = 0, batches_ = 0;

  // The consumer's: where it stands.
  std::int64_t epoch_ = 0, number_ = 0;
  bool started_ = false;
  Picture picture_;  // for making batches without workers

  std::mutex mutex_;                   // over everything below
  std::condition_variable wake_;       // workers: a ticket may be taken, or it is over
  std::condition_variable delivered_;  // the consumer: a slot is ready
  bool stop_ = false;
  std::uint64_t generation_ = 0;                     // of start()
  std::int64_t first_epoch_ = 0, first_number_ = 0;  // of ticket 0
  std::int64_t taken_ = 0, used_ = 0, last_ = 0;  // tickets: taken by workers, used by the consumer, end of the epoch
  std::vector<Slot> ring_;
  std::int64_t order_epoch_ = -1;
  Order order_;
  std::vector<std::thread> threads_;
};

Loader::Impl::Impl(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options)
    : dataset_(std::move(dataset)), pipeline_(std::move(pipeline)), options_(options) {
  check<ValueError>(dataset_ != nullptr, "loader: there is no data set");
  const std::int64_t size = dataset_->size();
  check<ValueError>(size > 0 && size <= 0xffffffff, "loader: a data set of {} samples, where 1 to 2^32-1 are possible",
                    size);
  check<ValueError>(options.batch > 0, "loader: the batch must be positive, not {}", options.batch);
  check<ValueError>(options.workers >= 0 && options.workers <= 1024, "loader: workers must be in 0..1024, not {}",
                    options.workers);
  check<ValueError>(options.prefetch > 0, "loader: prefetch must be positive, not {}", options.prefetch);
  check<ValueError>(options.world > 0 && options.rank >= 0 && options.rank < options.world,
                    "loader: rank {} of {} does not exist", options.rank, options.world);
  check<ValueError>(!options.bytes || pipeline_.only_places(),
                    "loader: a device crops, flips and normalises; it cannot do {}", pipeline_.describe());
  const std::int64_t together = options.batch * options.world;
  if (options.drop_last) {
    batches_ = size / together;
    samples_ = batches_ * options.batch;
  } else {
    samples_ = (size - options.rank + options.world - 1) / options.world;
    batches_ = (samples_ + options.batch - 1) / options.batch;
  }
  check<ValueError>(batches_ > 0, "loader: {} samples give rank {} of {} no batch of {}{}", size, options.rank,
                    options.world, options.batch, options.drop_last ? " with drop_last" : "");
  ring_.resize(options.prefetch);
}

Loader::Impl::~Impl() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

void Loader::Impl::start(std::int64_t epoch, std::int64_t number) {
  check<ValueError>(epoch >= 0 && epoch <= 0xffffffff && number >= 0 && number <= batches_,
                    "loader: there is no batch {} of epoch {}; an epoch has {}", number, epoch, batches_);
  epoch_ = epoch, number_ = number;
  started_ = true;
  if (options_.workers == 0) return;
  {
    const std::lock_guard lock(mutex_);
    ++generation_;
    first_epoch_ = epoch, first_number_ = number;
    taken_ = used_ = 0;
    last_ = batches_ - number;
    for (Slot& slot : ring_) slot = {};
  }
  spawn();
  wake_.notify_all();
}

void Loader::Impl::spawn() {
  while (std::ssize(threads_) < options_.workers) threads_.emplace_back([this] { work(); });
}

bool Loader::Impl::may_take() const {
  return taken_ < used_ + options_.prefetch && (options_.endless || taken_ < last_);
}

void Loader::Impl::work() {
  Picture picture;
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [&] { return stop_ || may_take(); });
    if (stop_) return;
    const std::uint64_t generation = generation_;
    const std::int64_t ticket = taken_++;
    const std::int64_t place = first_number_ + ticket;
    const std::int64_t epoch = first_epoch_ + place / batches_, number = place % batches_;
    Slot result;
    try {
      const Order order = order_of(epoch);
      lock.unlock();
      result.batch = make(epoch, number, order, picture);
      lock.lock();
    } catch (...) {
      if (!lock.owns_lock()) lock.lock();
      result.error = std::current_exception();
    }
    if (generation != generation_) continue;
    result.ready = true;
    ring_[ticket % options_.prefetch] = std::move(result);
    delivered_.notify_one();
  }
}

std::optional<Batch> Loader::Impl::next() {
  if (!started_) start(epoch_, number_);
  if (number_ == batches_) {  // the end of an epoch, said once
    ++epoch_, number_ = 0;
    if (!options_.endless) started_ = false;  // workers rest until the next epoch is asked for
    return std::nullopt;
  }
  Slot slot;
  if (options_.workers == 0) {
    const std::int64_t number = number_++;
    return make(epoch_, number, order_of(epoch_), picture_);
  }
  {
    std::unique_lock lock(mutex_);
    Slot& mine = ring_[used_ % options_.prefetch];
    delivered_.wait(lock, [&] { return mine.ready; });
    slot = std::move(mine);
    mine = {};
    ++used_;
    ++number_;
  }
  wake_.notify_one();
  if (slot.error) std::rethrow_exception(slot.error);
  return std::move(slot.batch);
}

/// The order of an epoch's samples, all ranks' together. Kept for the epoch last asked for; called under the mutex, or
/// without workers.
Loader::Impl::Order Loader::Impl::order_of(std::int64_t epoch) {
  if (order_ && (order_epoch_ == epoch || !options_.shuffle)) return order_;
  auto order = std::make_shared<std::vector<std::uint32_t>>(dataset_->size());
  std::iota(order->begin(), order->end(), 0u);
  if (options_.shuffle) {  // Fisher and Yates
    Random random(options_.seed, Purpose::kOrder, epoch, 0);
    for (std::size_t i = order->size() - 1; i > 0; --i)
      std::swap((*order)[i], (*order)[random.below(static_cast<std::uint32_t>(i + 1))]);
  }
  order_epoch_ = epoch;
  return order_ = std::move(order);
}

Batch Loader::Impl::make(std::int64_t epoch, std::int64_t number, const Order& order, Picture& picture) const {
  const std::int64_t begin = number * options_.batch, end = std::min(begin + options_.batch, samples_);
  Batch batch;
  batch.epoch = epoch, batch.number = number;
  std::vector<std::int64_t> labels;
  int height = 0, width = 0;
  for (std::int64_t i = begin; i < end; ++i) {
    const std::int64_t index = (*order)[i * options_.world + options_.rank];
    if (!dataset_->get(index, picture.source())) continue;
    picture.reset();
    Random random(options_.seed, Purpose::kAugment, epoch, index);
    try {
      pipeline_.apply(picture, random);
    } catch (const ValueError& error) {
      fail<ValueError>("{}: {}", dataset_->origin(index), error.what());
    }
    if (labels.empty()) {
      height = picture.height(), width = picture.width();
      if (options_.bytes)
        batch.bytes.emplace(end - begin, picture, pipeline_.normalization());
      else
        batch.images = empty({end - begin, Image::kChannels, height, width}, {.format = Format::channels_last});
    }
    check<ValueError>(picture.height() == height && picture.width() == width,
                      "loader: {} is {} x {} after the transforms, others of the batch {} x {}: add a crop or a resize",
                      dataset_->origin(index), picture.height(), picture.width(), height, width);
    if (options_.bytes)
      batch.bytes->set(std::ssize(labels), picture, dataset_->origin(index));
    else
      picture.write(pipeline_.normalization(),
                    batch.images.data<float>() + std::ssize(labels) * height * width * Image::kChannels);
    labels.push_back(dataset_->label(index));
    batch.indices.push_back(index);
  }
  const std::int64_t n = std::ssize(labels);
  check<FileError>(n > 0, "loader: none of the {} samples of batch {} can be read, the first is {}", end - begin,
                   number, dataset_->origin((*order)[begin * options_.world + options_.rank]));
  if (n < end - begin && options_.bytes)
    batch.bytes->keep(n);
  else if (n < end - begin)
    batch.images = batch.images.as_strided({n, Image::kChannels, height, width}, batch.images.strides(), 0);
  batch.labels = from_data<std::int64_t>(labels, {n}, {.dtype = DType::i64});
  if (pipeline_.mix().on()) {
    Random random(options_.seed, Purpose::kMix, epoch, number * options_.world + options_.rank);
    batch.targets = mix_batch(pipeline_.mix(), random, batch.images, labels, std::ssize(dataset_->classes()));
  }
  return batch;
}

Loader::Loader(std::shared_ptr<const Dataset> dataset, Pipeline pipeline, LoaderOptions options)
    : impl_(std::make_unique<Impl>(std::move(dataset), std::move(pipeline), options)) {}
Loader::~Loader() = default;

std::int64_t Loader::batches() const { return impl_->batches(); }
std::int64_t Loader::samples() const { return impl_->samples(); }
void Loader::start(std::int64_t epoch, std::int64_t number) { impl_->start(epoch, number); }
std::optional<Batch> Loader::next() { return impl_->next(); }
std::int64_t Loader::epoch() const { return impl_->epoch(); }
std::int64_t Loader::number() const { return impl_->number(); }
const Dataset& Loader::dataset() const { return impl_->dataset(); }

}  // namespace gradus::data

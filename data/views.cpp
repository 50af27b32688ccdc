#include "data/views.hpp"

#include <algorithm>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

#include "core/error.hpp"
#include "data/random.hpp"
#include "data/transforms.hpp"

namespace gradus::data {
namespace {

/// Where a part of length `inner` begins that lies in the middle of `outer`; halves go to the even side.
int middle(int outer, int inner) { return static_cast<int>(std::nearbyint((outer - inner) / 2.0)); }

/// The four corners and the centre of `of`, each size x size.
std::vector<Box> five_crops(const Box& of, int size) {
  const int bottom = of.top + of.height - size, right = of.left + of.width - size;
  return {{of.top, of.left, size, size},
          {of.top, right, size, size},
          {bottom, of.left, size, size},
          {bottom, right, size, size},
          {of.top + middle(of.height, size), of.left + middle(of.width, size), size, size}};
}

/// Three squares along the longer side.
std::vector<Box> three_squares(int height, int width) {
  const int side = std::min(height, width), rest = std::max(height, width) - side;
  std::vector<Box> squares;
  for (const int at : {0, middle(rest + side, side), rest})
    squares.push_back(height > width ? Box{at, 0, side, side} : Box{0, at, side, side});
  return squares;
}

/// Collects views of one size.
class Group {
 public:
  Group(std::int64_t views, int height, int width, const Normalization& normalization)
      : images_(empty({views, Image::kChannels, height, width}, {.format = Format::channels_last})),
        normalization_(normalization) {}
  /// Adds what `picture` is now.
  void add(const Picture& picture) {
    picture.write(normalization_, images_.data<float>() + next_++ * images_.numel() / images_.size(0));
  }
  void add_both(Picture& picture) {
    add(picture);
    picture.flip();
    add(picture);
    picture.flip();
  }
  const Tensor& images() const { return images_; }

 private:
  Tensor images_;
  const Normalization& normalization_;
  std::int64_t next_ = 0;
};

/// Makes `picture` the whole of `image`.
void show(Picture& picture, const Image& image) {
  picture.source() = image;
  picture.reset();
}

/// Adds the boxes of what `picture` holds, as they are and mirrored.
void add_boxes(Group& group, Picture& picture, const std::vector<Box>& boxes) {
  for (const Box& box : boxes) {
    picture.reset();
    picture.crop(box);
    group.add_both(picture);
  }
}

std::int64_t views_per_scale(const Protocol& p) {
  switch (p.crops) {
    case Crops::one: return p.mirror ? 2 : 1;
    case Crops::ten: return 10;
    case Crops::many: return 36;
    case Crops::whole: break;
  }
  return p.mirror ? 2 : 1;
}

}  // namespace

std::int64_t views_of(const Protocol& p) { return views_per_scale(p) * std::ssize(p.scales); }

std::vector<Tensor> make_views(const Protocol& p, const Image& image, Picture& picture) {
  const bool whole = p.crops == Crops::whole;
  Random unused(0, Purpose::kAugment, 0, 0);
  std::vector<Tensor> views;
  std::optional<Group> crops;
  if (!whole) crops.emplace(views_of(p), p.size, p.size, p.normalization);
  for (const int scale : p.scales) {
    check(whole || scale >= p.size, "views: a crop of {} does not fit a picture whose shorter side is {}", p.size,
          scale);
    show(picture, image);
    resize_short_side(scale)->apply(picture, unused);
    const int height = picture.height(), width = picture.width();
    const Box all{0, 0, height, width};
    if (whole) {
      Group group(views_per_scale(p), height, width, p.normalization);
      p.mirror ? group.add_both(picture) : group.add(picture);
      views.push_back(group.images());
    } else if (p.crops == Crops::one) {
      picture.crop(five_crops(all, p.size).back());
      p.mirror ? crops->add_both(picture) : crops->add(picture);
    } else if (p.crops == Crops::ten) {
      for (const bool mirrored : {false, true})
        for (const Box& box : five_crops(all, p.size)) {
          picture.reset();
          if (mirrored) picture.flip();
          picture.crop(box);
          crops->add(picture);
        }
    } else {
      const Image resized = picture.source();
      for (const Box& square : three_squares(height, width)) {
        add_boxes(*crops, picture, five_crops(square, p.size));
        picture.reset();
        picture.resize(square, p.size, p.size);
        crops->add_both(picture);
        show(picture, resized);
      }
    }
  }
  if (crops) views.push_back(crops->images());
  return views;
}

class ViewLoader::Impl {
 public:
  Impl(std::shared_ptr<const Dataset> dataset, Protocol protocol, int workers, std::int64_t ahead)
      : dataset_(std::move(dataset)),
        protocol_(std::move(protocol)),
        ring_(static_cast<std::size_t>(ahead > 0 ? ahead : 4 * workers)) {
    for (int i = 0; i < workers; ++i) threads_.emplace_back([this] { work(); });
  }
  ~Impl() {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    wake_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  std::optional<Sample> next() {
    for (;;) {
      if (used_ == dataset_->size()) return std::nullopt;
      Slot slot;
      {
        std::unique_lock lock(mutex_);
        Slot& mine = slot_of(used_);
        delivered_.wait(lock, [&] { return mine.ready; });
        slot = std::move(mine);
        mine = {};
        ++used_;
      }
      wake_.notify_all();
      if (slot.error) std::rethrow_exception(slot.error);
      if (!slot.sample.views.empty()) return std::move(slot.sample);
    }
  }
  const Dataset& dataset() const { return *dataset_; }

 private:
  /// A place of the ring: a sample (without views where it was skipped), or what went wrong, once `ready`.
  struct Slot {
    bool ready = false;
    Sample sample;
    std::exception_ptr error;
  };
  Slot& slot_of(std::int64_t index) { return ring_[static_cast<std::size_t>(index) % ring_.size()]; }

  void work() {
    Picture picture;
    Image image;
    std::unique_lock lock(mutex_);
    for (;;) {
      wake_.wait(lock, [&] { return stop_ || (taken_ < dataset_->size() && taken_ < used_ + std::ssize(ring_)); });
      if (stop_) return;
      const std::int64_t index = taken_++;
      lock.unlock();
      Slot slot;
      slot.sample = {.index = index, .label = dataset_->label(index), .views = {}};
      try {
        if (dataset_->get(index, image)) slot.sample.views = make_views(protocol_, image, picture);
      } catch (...) {
        slot.error = std::current_exception();
      }
      slot.ready = true;
      lock.lock();
      slot_of(index) = std::move(slot);
      delivered_.notify_one();
    }
  }

  const std::shared_ptr<const Dataset> dataset_;
  const Protocol protocol_;
  std::mutex mutex_;                   // over everything below
  std::condition_variable wake_;       // workers: a sample may be taken, or it is over
  std::condition_variable delivered_;  // the consumer: a slot is ready
  bool stop_ = false;
  std::int64_t taken_ = 0, used_ = 0;  // samples taken by workers, and used by the consumer
  std::vector<Slot> ring_;
  std::vector<std::thread> threads_;
};

ViewLoader::ViewLoader(std::shared_ptr<const Dataset> dataset, Protocol protocol, int workers, std::int64_t ahead) {
  check(!protocol.scales.empty(), "views: a protocol needs a scale");
  check(workers >= 1, "views: workers must be positive, not {}", workers);
  impl_ = std::make_unique<Impl>(std::move(dataset), std::move(protocol), workers, ahead);
}
ViewLoader::~ViewLoader() = default;
std::optional<ViewLoader::Sample> ViewLoader::next() { return impl_->next(); }
const Dataset& ViewLoader::dataset() const { return impl_->dataset(); }

}  // namespace gradus::data

#include "data/upload.hpp"

#include <cstring>

#include "ops/run.hpp"
#include "ops/view/view.hpp"

namespace gradus::data {

PlacedBytes::PlacedBytes(std::int64_t pictures, const Picture& first, const Normalization& normalization)
    : bytes_(empty({pictures, Image::kChannels, first.image().height, first.image().width},
                   {.dtype = DType::u8, .format = Format::channels_last})),
      places_(empty({pictures, 3}, {.dtype = DType::i64})),
      height_(first.height()),
      width_(first.width()),
      normalization_(normalization) {}

void PlacedBytes::set(std::int64_t i, const Picture& picture, const std::string& origin) {
  const Image& image = picture.image();
  check<ValueError>(image.height == bytes_.size(2) && image.width == bytes_.size(3) && picture.height() == height_ &&
                        picture.width() == width_,
                    "loader: {} is {} x {}, others of the batch {} x {}: a device takes images of one size", origin,
                    image.height, image.width, bytes_.size(2), bytes_.size(3));
  const std::int64_t row = std::int64_t{image.width} * Image::kChannels;
  for (int y = 0; y < image.height; ++y)
    std::memcpy(bytes_.data<std::uint8_t>() + (i * image.height + y) * row, image.row(y),
                static_cast<std::size_t>(row));
  std::int64_t* place = places_.data<std::int64_t>() + i * 3;
  place[0] = picture.window().top, place[1] = picture.window().left, place[2] = picture.flipped();
}

void PlacedBytes::keep(std::int64_t pictures) {
  bytes_ = narrow(bytes_, 0, 0, pictures);
  places_ = narrow(places_, 0, 0, pictures);
}

Tensor PlacedBytes::upload(Device device) const {
  check<DeviceError>(device.type == DeviceType::cuda, "upload: bytes are for CUDA devices, not for {}",
                     to_string(device));
  const std::int64_t n = bytes_.size(0);
  const Tensor bytes = to(bytes_, device), places = to(places_, device);
  Tensor y = empty({n, Image::kChannels, height_, width_}, {.device = device, .format = Format::channels_last});
  const PlaceProblem p{n,
                       bytes.size(2),
                       bytes.size(3),
                       height_,
                       width_,
                       normalization_.bgr,
                       pixel_map(normalization_),
                       bytes.data<std::uint8_t>(),
                       places.data<std::int64_t>(),
                       y.data<float>()};
  run(
      "upload.place", device, [] {}, [&] { cuda::place(p); });
  return y;
}

}  // namespace gradus::data

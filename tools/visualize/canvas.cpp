#include "tools/visualize/canvas.hpp"

#include <algorithm>
#include <cmath>

#include "core/error.hpp"
#include "data/resize.hpp"
#include "nn/files/atomic_file.hpp"
#include "tools/train/page.hpp"

namespace gradus::program {
namespace {

using data::Image;

std::uint8_t byte_of(double v) { return static_cast<std::uint8_t>(std::clamp(std::lround(v * 255), 0L, 255L)); }

Image of_size(std::int64_t height, std::int64_t width) {
  Image image;
  image.resize(static_cast<int>(height), static_cast<int>(width));
  return image;
}

/// Fills an image from f(channel, pixel), 0 … 1.
template <class F>
Image filled(std::int64_t height, std::int64_t width, F&& f) {
  Image image = of_size(height, width);
  for (std::size_t p = 0; p < static_cast<std::size_t>(height * width); ++p)
    for (std::size_t c = 0; c < 3; ++c) image.pixels[p * 3 + c] = byte_of(f(c, p));
  return image;
}

Image colours(const Tensor& x, double low, double high) {
  check<ShapeError>(x.rank() == 4 && x.size(0) == 1 && x.size(1) == 3, "picture: takes [1, 3, H, W]\n{}",
                    describe({{"x", &x}}));
  const std::vector<float> v = x.to_vector<float>();
  const auto area = static_cast<std::size_t>(x.size(2) * x.size(3));
  const double scale = high > low ? 1 / (high - low) : 0;
  return filled(x.size(2), x.size(3), [&](std::size_t c, std::size_t p) { return (v[c * area + p] - low) * scale; });
}

}  // namespace

Image heat(const Tensor& map, double low, double high) {
  const std::vector<float> v = map.to_vector<float>();
  if (low == high) {
    const auto [least, most] = std::minmax_element(v.begin(), v.end());
    low = *least, high = *most;
  }
  const double scale = high > low ? 1 / (high - low) : 0;
  return filled(map.size(0), map.size(1), [&](std::size_t c, std::size_t p) {
    return std::clamp((v[p] - low) * scale * 3 - static_cast<double>(c), 0.0, 1.0);  // red, then green, then blue
  });
}

Image grey(const Tensor& map) {
  const std::vector<float> v = map.to_vector<float>();
  const auto [least, most] = std::minmax_element(v.begin(), v.end());
  const double low = *least, scale = *most > *least ? 1.0 / (*most - *least) : 0;
  return filled(map.size(0), map.size(1), [&](std::size_t, std::size_t p) { return (v[p] - low) * scale; });
}

Image signed_picture(const Tensor& x) {
  double most = 0;
  for (const float v : x.to_vector<float>()) most = std::max<double>(most, std::abs(v));
  return colours(x, -most, most);
}

Image stretched_picture(const Tensor& x) {
  std::vector<float> v = x.to_vector<float>();
  const std::size_t cut = v.size() / 200;
  std::sort(v.begin(), v.end());
  return colours(x, v[cut], v[v.size() - 1 - cut]);
}

Image scaled(const Image& image, int height, int width) {
  Image out;
  data::resize(image, {0, 0, image.height, image.width}, height, width, out);
  return out;
}

Image blend(const Image& picture, const Image& over, double share) {
  Image out = scaled(over, picture.height, picture.width);
  for (std::size_t i = 0; i < out.pixels.size(); ++i)
    out.pixels[i] = byte_of((share * out.pixels[i] + (1 - share) * picture.pixels[i]) / 255);
  return out;
}

Image enlarged(const Image& image, int side) {
  const int times = std::max(1, (side + std::max(image.height, image.width) - 1) / std::max(image.height, image.width));
  Image out = of_size(image.height * times, image.width * times);
  for (int y = 0; y < out.height; ++y)
    for (int x = 0; x < out.width; ++x) std::copy_n(image.row(y / times) + x / times * 3, 3, out.row(y) + x * 3);
  return out;
}

Image grid(const std::vector<Image>& images, int columns, int gap) {
  check(!images.empty() && columns > 0, "grid: there is nothing to draw");
  int height = 0, width = 0;
  for (const Image& image : images) height = std::max(height, image.height), width = std::max(width, image.width);
  const int across = std::min(columns, static_cast<int>(images.size()));
  const int down = (static_cast<int>(images.size()) + across - 1) / across;
  Image out = of_size(down * (height + gap) - gap, across * (width + gap) - gap);
  std::fill(out.pixels.begin(), out.pixels.end(), std::uint8_t{255});
  for (std::size_t i = 0; i < images.size(); ++i) {
    const int top = static_cast<int>(i) / across * (height + gap), left = static_cast<int>(i) % across * (width + gap);
    for (int y = 0; y < images[i].height; ++y)
      std::copy_n(images[i].row(y), images[i].width * 3, out.row(top + y) + left * 3);
  }
  return out;
}

void write_figures(const std::string& path, const std::string& title, const std::string& note,
                   const std::vector<Figure>& figures, int columns) {
  if (path.ends_with(".png")) {
    std::vector<Image> images;
    for (const Figure& f : figures) images.push_back(f.image);
    data::write_png(path, grid(images, columns, 4));
    return;
  }
  check(path.ends_with(".html"), "--out: the ending of {} is neither .png nor .html", path);
  std::string page = fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}</title><style>body {{ margin: 2em auto; max-width: 1200px; padding: 0 1em; font: 15px/1.5 system-ui, "
      "sans-serif; color: #1d2433; background: #f5f6f9 }} h1 {{ font-size: 24px; margin: 0 }} p {{ color: #6b7385 }} "
      "main {{ display: flex; flex-wrap: wrap; gap: 14px }} figure {{ margin: 0; padding: 10px; background: #fff; "
      "border: 1px solid #e3e6ec; border-radius: 8px; max-width: 100% }} figcaption {{ font-size: 13px; margin-top: "
      "6px "
      "}} img {{ display: block; max-width: 100% }}</style><h1>{0}</h1><p>{1}</p><main>",
      html(title), html(note));
  for (const Figure& f : figures)
    page +=
        fmt::format("<figure><img alt=\"{0}\" src=\"data:image/png;base64,{1}\"><figcaption>{0}</figcaption></figure>",
                    html(f.caption), base64(data::encode_png(f.image)));
  files::write_file_atomic(path, page + "</main></html>\n");
}

}  // namespace gradus::program

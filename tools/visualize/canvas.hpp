#pragma once
// Tensors as pictures.

#include <cstdint>
#include <string>
#include <vector>

#include "core/tensor.hpp"
#include "data/image.hpp"

namespace gradus::program {

/// A map [h, w] in colours from black over red and yellow to white; `low` and `high` are the ends (equal: the map's
/// own).
data::Image heat(const Tensor& map, double low = 0, double high = 0);
/// A map [h, w] in grey, its own smallest value black, its largest white.
data::Image grey(const Tensor& map);
/// x [1, 3, h, w] with signs: zero is mid-grey, the largest magnitude black or white.
data::Image signed_picture(const Tensor& x);
/// x [1, 3, h, w] from its smallest value to its largest; 1 in 200 at both ends is cut off.
data::Image stretched_picture(const Tensor& x);
/// `over` laid on `picture`, which it is resized to: `share` of it shows.
data::Image blend(const data::Image& picture, const data::Image& over, double share);
/// Whole multiples of the pixels, so that the longer side is at least `side`.
data::Image enlarged(const data::Image& image, int side);
data::Image scaled(const data::Image& image, int height, int width);
/// Pictures in rows of `columns`, `gap` white pixels apart; cells are as large as the largest.
data::Image grid(const std::vector<data::Image>& images, int columns, int gap = 2);

/// What is drawn, with a word about it.
struct Figure {
  std::string caption;
  data::Image image;
};

/// Writes figures to `path`: a PNG (a grid, without captions) or, where it ends in .html, a page that needs no other
/// file. ValueError for another ending, FileError where it cannot be written.
void write_figures(const std::string& path, const std::string& title, const std::string& note,
                   const std::vector<Figure>& figures, int columns);

}  // namespace gradus::program

#pragma once
// A small fixed-width font, for numbers and a few words in pictures.

#include <array>
#include <cstdint>

namespace gradus::program {

/// Five columns of eight rows; bit 0 is the uppermost.
using Glyph = std::array<std::uint8_t, 5>;
constexpr int kGlyphAdvance = 6;  // columns from one glyph to the next

/// Of space, digits, letters (in lower case) and + - . , : / = % _; a hollow box for everything else.
const Glyph& glyph_of(char c);

}  // namespace gradus::program

#pragma once
// Two sizes, for height and width: the options of convolutions and pools take 3 or {3, 5}.

#include <cstdint>
#include <string>

#include "core/error.hpp"

namespace gradus {

struct Pair {
  std::int64_t h = 0, w = 0;
  constexpr Pair(std::int64_t both) : h(both), w(both) {}  // NOLINT: 3 means {3, 3}
  constexpr Pair(std::int64_t height, std::int64_t width) : h(height), w(width) {}
  constexpr bool operator==(const Pair&) const = default;
};

/// "3" or "3x5"
inline std::string to_string(Pair p) { return p.h == p.w ? fmt::format("{}", p.h) : fmt::format("{}x{}", p.h, p.w); }

}  // namespace gradus

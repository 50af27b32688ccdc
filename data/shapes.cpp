#include "data/shapes.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/error.hpp"
#include "data/random.hpp"

namespace gradus::data {
namespace {

// ---- three-vectors: points, directions and colours (components 0..1)
// --------------------------------------------------

struct Vec {
  float x = 0, y = 0, z = 0;
  Vec operator+(Vec o) const { return {x + o.x, y + o.y, z + o.z}; }
  Vec operator-(Vec o) const { return {x - o.x, y - o.y, z - o.z}; }
  Vec operator*(Vec o) const { return {x * o.x, y * o.y, z * o.z}; }
  Vec operator*(float s) const { return {x * s, y * s, z * s}; }
};
float dot(Vec a, Vec b) { return a.x * b.x + a.y * b.y + a.z * b.z; }
float length(Vec a) { return std::sqrt(dot(a, a)); }
float length(float x, float y) { return std::sqrt(x * x + y * y); }
Vec normalized(Vec a) { return a * (1.0f / length(a)); }
Vec mix(Vec a, Vec b, float t) { return a * (1 - t) + b * t; }

/// Cosine and sine of a uniform angle, by rejection: no call whose last bit could differ between C libraries.
struct Angle {
  float cos = 1, sin = 0;
};
Angle any_angle(Random& random) {
  for (;;) {
    const float x = random.uniform(-1, 1), y = random.uniform(-1, 1), r = length(x, y);
    if (r > 0.1f && r < 1) return {x / r, y / r};
  }
}
Vec any_direction(Random& random) {
  for (;;) {
    const Vec v{random.uniform(-1, 1), random.uniform(-1, 1), random.uniform(-1, 1)};
    const float r = length(v);
    if (r > 0.1f && r < 1) return v * (1 / r);
  }
}
Vec any_colour(Random& random) { return {random.uniform(), random.uniform(), random.uniform()}; }

// ---- the solids: signed distance, or a lower bound of it, from p to the surface (negative inside)
// -------------------- All lie inside the unit ball, their axis along y. Distances and folds as collected by Inigo
// Quilez, "Distance functions".

float box(Vec p, float hx, float hy, float hz) {
  return std::max({std::abs(p.x) - hx, std::abs(p.y) - hy, std::abs(p.z) - hz});
}
float sphere(Vec p) { return length(p) - 0.8f; }
float cube(Vec p) { return box(p, 0.57f, 0.57f, 0.57f); }
float cylinder(Vec p) { return std::max(length(p.x, p.z) - 0.44f, std::abs(p.y) - 0.8f); }
float cone(Vec p) {  // apex at y = 0.95, base of radius 0.5 at y = -0.75
  return std::max(0.9594f * length(p.x, p.z) + 0.2822f * (p.y - 0.95f), -0.75f - p.y);
}
float torus(Vec p) { return length(length(p.x, p.z) - 0.65f, p.y) - 0.23f; }
float pyramid(Vec p) {  // apex at y = 0.8, square base of half side 0.68 at y = -0.2
  return std::max(0.8269f * std::max(std::abs(p.x), std::abs(p.z)) + 0.5623f * (p.y - 0.8f), -0.2f - p.y);
}
float star(Vec p) {                                // a five-pointed plate: fold the plane into one tenth, then one edge
  constexpr float kC = 0.809017f, kS = 0.587785f;  // cos, sin of 36 degrees
  float x = std::abs(p.x), y = p.z;
  float fold = 2 * std::max(kC * x - kS * y, 0.0f) * -1;
  x += fold * kC, y -= fold * kS;
  fold = 2 * std::max(-kC * x - kS * y, 0.0f);
  x += fold * kC, y += fold * kS;
  x = std::abs(x), y -= 0.95f;
  const float ex = 0.2939f, ey = -0.5545f;  // from the tip to the inner corner
  const float t = std::min(std::max((x * ex + y * ey) / (ex * ex + ey * ey), 0.0f), 1.0f);
  const float edge = length(x - ex * t, y - ey * t) * (y * ex - x * ey > 0 ? 1.0f : -1.0f);
  return std::max(edge, std::abs(p.y) - 0.2f);
}
float cross(Vec p) {
  constexpr float kLong = 0.9f, kThin = 0.2f;
  return std::min({box(p, kLong, kThin, kThin), box(p, kThin, kLong, kThin), box(p, kThin, kThin, kLong)});
}
float dumbbell(Vec p) {
  const Vec end{p.x, std::abs(p.y) - 0.58f, p.z};
  return std::min(length(end) - 0.36f, std::max(length(p.x, p.z) - 0.13f, std::abs(p.y) - 0.58f));
}
float hemisphere(Vec p) { return std::max(length({p.x, p.y + 0.4f, p.z}) - 0.9f, -0.4f - p.y); }

/// What class a scene is of. Its drawing function is compiled for its distance function: marching is most of the work.
struct Pose;
using Canvas = std::array<Vec, Shapes::kSize * Shapes::kSize>;
struct Solid {
  const char* name;
  void (*draw)(Random&, const Pose&, Vec colour, Canvas&);
  float lowest, highest;  // bounds of the axis' component towards the viewer: no pose that hides what the solid is
};

// ---- textures: a number in [0, 1] at every place
// -----------------------------------------------------------------------

/// A hash of integer coordinates to [0, 1): the finaliser of MurmurHash3 over a linear mix.
float lattice(int x, int y, int z, std::uint32_t salt) {
  std::uint32_t h = salt + static_cast<std::uint32_t>(x) * 0x8da6b343u + static_cast<std::uint32_t>(y) * 0xd8163841u +
                    static_cast<std::uint32_t>(z) * 0xcb1ab31fu;
  h = (h ^ h >> 16) * 0x85ebca6bu;
  h = (h ^ h >> 13) * 0xc2b2ae35u;
  return static_cast<float>((h ^ h >> 16) >> 8) * 0x1p-24f;
}
/// Value noise: lattice values, smoothly interpolated.
float noise(Vec p, std::uint32_t salt) {
  const float fx = std::floor(p.x), fy = std::floor(p.y), fz = std::floor(p.z);
  const int x = static_cast<int>(fx), y = static_cast<int>(fy), z = static_cast<int>(fz);
  const auto smooth = [](float t) { return t * t * (3 - 2 * t); };
  const float u = smooth(p.x - fx), v = smooth(p.y - fy), w = smooth(p.z - fz);
  const auto along_x = [&](int dy, int dz) {
    return lattice(x, y + dy, z + dz, salt) * (1 - u) + lattice(x + 1, y + dy, z + dz, salt) * u;
  };
  return (along_x(0, 0) * (1 - v) + along_x(1, 0) * v) * (1 - w) + (along_x(0, 1) * (1 - v) + along_x(1, 1) * v) * w;
}

/// One of five patterns between two colours, at a random scale and direction.
struct Texture {
  enum Kind { kPlain, kStripes, kChecks, kSpots, kNoise, kKinds };

  Texture(Random& random, Vec colour, float contrast, float frequency)
      : kind(static_cast<Kind>(random.below(kKinds))),
        salt(random.bits()),
        scale(frequency * random.uniform(0.7f, 1.4f)),
        direction(any_direction(random)),
        first(colour),
        second(mix(colour, any_colour(random), contrast)) {}

  Vec at(Vec p) const { return mix(first, second, pattern(p * scale)); }

  float pattern(Vec p) const {
    switch (kind) {
      case kStripes: {
        const float t = dot(p, direction);
        return t - std::floor(t) < 0.5f ? 0.0f : 1.0f;
      }
      case kChecks: {
        const float sum = std::floor(p.x) + std::floor(p.y) + std::floor(p.z);
        return sum * 0.5f == std::floor(sum * 0.5f) ? 0.0f : 1.0f;
      }
      case kSpots: {
        const Vec cell{p.x - std::floor(p.x) - 0.5f, p.y - std::floor(p.y) - 0.5f, p.z - std::floor(p.z) - 0.5f};
        return dot(cell, cell) < 0.12f ? 1.0f : 0.0f;
      }
      case kNoise: return noise(p * 1.3f, salt);
      default: return 0;
    }
  }

  Kind kind;
  std::uint32_t salt;
  float scale;
  Vec direction, first, second;
};

// ---- the scene
// -----------------------------------------------------------------------------------------------------------

constexpr int kSize = Shapes::kSize;

/// What is flat and far away: a texture under a gradient, and up to six discs, bars and triangles.
void draw_background(Random& random, Vec colour, Canvas& canvas) {
  const Texture texture(random, colour, random.uniform(0.05f, 0.3f), random.uniform(2, 5));
  const Angle slope = any_angle(random);
  const float gradient = random.uniform(0, 0.4f);
  for (int i = 0; i < kSize * kSize; ++i) {
    const float x = (i % kSize + 0.5f) / kSize * 2 - 1, y = (i / kSize + 0.5f) / kSize * 2 - 1;
    canvas[i] = texture.at({x, y, 0.25f}) * (1 + gradient * (x * slope.cos + y * slope.sin));
  }
  const int clutter = static_cast<int>(random.below(5));
  for (int c = 0; c < clutter; ++c) {
    const float cx = random.uniform(-1.1f, 1.1f), cy = random.uniform(-1.1f, 1.1f);
    const Angle turn = any_angle(random);
    const float a = random.uniform(0.1f, 0.35f), b = a * random.uniform(0.3f, 1);
    const Vec paint = mix(colour, any_colour(random), 0.7f);
    const std::uint32_t kind = random.below(3);
    for (int i = 0; i < kSize * kSize; ++i) {
      const float x = (i % kSize + 0.5f) / kSize * 2 - 1 - cx, y = (i / kSize + 0.5f) / kSize * 2 - 1 - cy;
      const float u = (x * turn.cos + y * turn.sin) / a, v = (y * turn.cos - x * turn.sin) / b;
      const bool inside = kind == 0   ? u * u + v * v < 1
                          : kind == 1 ? std::abs(u) < 1 && std::abs(v) < 0.6f
                                      : v > -0.6f && v + 1.7f * std::abs(u) < 1;
      if (inside) canvas[i] = paint;
    }
  }
}

/// Where the solid stands and how it is turned: object = rotation * (screen - centre) / radius.
struct Pose {
  Pose(Random& random, const Solid& solid)
      : radius(random.uniform(0.7f, 0.95f)),
        x(random.uniform(-1, 1) * (1 - radius)),
        y(random.uniform(-1, 1) * (1 - radius)) {
    const Angle spin = any_angle(random);  // about the solid's own axis
    Angle tilt = any_angle(random);        // of the axis towards the viewer
    while (tilt.sin < solid.lowest || tilt.sin > solid.highest) tilt = any_angle(random);
    Angle roll = any_angle(random);  // in the picture's plane, up to 40 degrees
    while (roll.cos < 0.766f) roll = any_angle(random);
    // Columns: what the screen's right, up and towards-the-viewer are in the solid's own frame.
    const auto to_object = [&](Vec v) {
      v = {v.x * roll.cos + v.y * roll.sin, v.y * roll.cos - v.x * roll.sin, v.z};
      v = {v.x, v.y * tilt.cos + v.z * tilt.sin, v.z * tilt.cos - v.y * tilt.sin};
      return Vec{v.x * spin.cos + v.z * spin.sin, v.y, v.z * spin.cos - v.x * spin.sin};
    };
    right = to_object({1, 0, 0}), up = to_object({0, 1, 0}), viewer = to_object({0, 0, 1});
  }

  float radius, x, y;
  Vec right, up, viewer;
};

/// The light of the scene, in the solid's frame.
struct Light {
  Light(Random& random, const Pose& pose) {
    Vec d = any_direction(random);
    d.z = std::abs(d.z) * 0.8f + 0.2f;  // from the viewer's side
    direction = normalized(pose.right * d.x + pose.up * d.y + pose.viewer * d.z);
    halfway = normalized(direction + pose.viewer);
    ambient = random.uniform(0.2f, 0.45f);
    diffuse = random.uniform(0.5f, 0.9f);
    gloss = random.chance(0.5f) ? random.uniform(0.1f, 0.6f) : 0;
  }

  /// Lambert's law and a highlight (Blinn 1977, exponent 32).
  Vec shade(Vec albedo, Vec normal) const {
    float highlight = std::max(dot(normal, halfway), 0.0f);
    for (int square = 0; square < 5; ++square) highlight *= highlight;
    const float g = gloss * highlight;
    return albedo * (ambient + diffuse * std::max(dot(normal, direction), 0.0f)) + Vec{g, g, g};
  }

  Vec direction, halfway;
  float ambient, diffuse, gloss;
};

/// Marches a ray from `start` along -pose.viewer by the distance to the surface (Hart 1996, "Sphere tracing"). True and
/// the hit in `at` if it meets the solid before leaving the unit ball.
template <float (*kDistance)(Vec)>
bool march(Vec start, Vec step, float end, Vec& at) {
  constexpr float kNear = 0.004f;
  float t = 0;
  for (int i = 0; i < 40 && t < end; ++i) {
    at = start + step * t;
    const float d = kDistance(at);
    if (d < kNear) return true;
    t += d;
  }
  return false;
}

/// The outward normal, from differences at the corners of a tetrahedron.
template <float (*kDistance)(Vec)>
Vec normal_at(Vec p) {
  constexpr float kStep = 0.01f;
  Vec sum;
  for (const Vec corner : {Vec{1, -1, -1}, Vec{-1, -1, 1}, Vec{-1, 1, -1}, Vec{1, 1, 1}})
    sum = sum + corner * kDistance(p + corner * kStep);
  return normalized(sum + Vec{0, 1e-12f, 0});
}

/// The solid, seen without perspective, four rays to a pixel.
template <float (*kDistance)(Vec)>
void draw_solid(Random& random, const Pose& pose, Vec colour, Canvas& canvas) {
  const Texture texture(random, colour, random.uniform(0, 0.3f), random.uniform(1.5f, 3));
  const Light light(random, pose);
  for (int i = 0; i < kSize * kSize; ++i) {
    const float px = (i % kSize + 0.5f) / kSize * 2 - 1 - pose.x, py = 1 - (i / kSize + 0.5f) / kSize * 2 - pose.y;
    const float margin = 2.0f / kSize;
    if (length(px, py) > pose.radius + margin) continue;
    Vec sum;
    int hits = 0;
    for (int sub = 0; sub < 4; ++sub) {
      const float u = (px + ((sub & 1) - 0.5f) / kSize) / pose.radius,
                  v = (py + ((sub >> 1) - 0.5f) / kSize) / pose.radius;
      if (u * u + v * v >= 1) continue;
      const float depth = std::sqrt(1 - u * u - v * v);  // the ray enters the unit ball here
      Vec at;
      if (!march<kDistance>(pose.right * u + pose.up * v + pose.viewer * depth, pose.viewer * -1, 2 * depth, at))
        continue;
      sum = sum + light.shade(texture.at(at + Vec{3, 3, 3}), normal_at<kDistance>(at));
      ++hits;
    }
    canvas[i] = canvas[i] * (1 - 0.25f * hits) + sum * 0.25f;
  }
}

constexpr std::array<Solid, Shapes::kClasses> kSolids{{
    {"sphere", draw_solid<sphere>, -1, 1},
    {"cube", draw_solid<cube>, -0.8f, 0.8f},
    {"cylinder", draw_solid<cylinder>, -0.7f, 0.7f},
    {"cone", draw_solid<cone>, -0.6f, 0.3f},
    {"torus", draw_solid<torus>, 0.3f, 1},
    {"pyramid", draw_solid<pyramid>, 0.2f, 0.9f},
    {"star", draw_solid<star>, 0.5f, 1},
    {"cross", draw_solid<cross>, -0.9f, 0.9f},
    {"dumbbell", draw_solid<dumbbell>, -0.7f, 0.7f},
    {"hemisphere", draw_solid<hemisphere>, -0.7f, 0.1f},
}};

/// In two scenes of five, a bar in front that hides up to a quarter of the solid.
void draw_occluder(Random& random, const Pose& pose, Canvas& canvas) {
  const Angle turn = any_angle(random);
  const float offset = random.uniform(-0.9f, 0.9f) * pose.radius,
              half = random.uniform(0.04f, 0.14f) * pose.radius * 1.5f;
  const Vec paint = any_colour(random);
  if (random.chance(0.7f)) return;
  for (int i = 0; i < kSize * kSize; ++i) {
    const float x = (i % kSize + 0.5f) / kSize * 2 - 1 - pose.x, y = 1 - (i / kSize + 0.5f) / kSize * 2 - pose.y;
    if (std::abs(x * turn.cos + y * turn.sin - offset) < half) canvas[i] = paint;
  }
}

/// Exposure, colour cast, noise, rounding to bytes.
void expose(Random& random, const Canvas& canvas, Image& image) {
  const float exposure = random.uniform(0.7f, 1.15f), lift = random.uniform(0, 0.08f);
  const Vec cast{random.uniform(0.9f, 1.1f), random.uniform(0.9f, 1.1f), random.uniform(0.9f, 1.1f)};
  const float sigma = random.uniform(1, 8);
  // The sum of four bytes is nearly normal, with mean 510 and standard deviation 147.8.
  const auto to_byte = [&](float value) {
    const std::uint32_t bits = random.bits();
    const float sum = static_cast<float>((bits & 255) + (bits >> 8 & 255) + (bits >> 16 & 255) + (bits >> 24));
    const float level = (value * exposure + lift) * 255 + (sum - 510) * (sigma / 147.8f);
    return static_cast<std::uint8_t>(std::min(std::max(level, 0.0f), 255.0f) + 0.5f);
  };
  image.resize(kSize, kSize);
  for (int i = 0; i < kSize * kSize; ++i) {
    const Vec c = canvas[i] * cast;
    std::uint8_t* pixel = image.pixels.data() + i * Image::kChannels;
    pixel[0] = to_byte(c.x), pixel[1] = to_byte(c.y), pixel[2] = to_byte(c.z);
  }
}

void draw_scene(Random& random, const Solid& solid, Image& image) {
  Canvas canvas;
  const Vec background = any_colour(random);
  Vec colour = any_colour(random);
  constexpr float kContrast = 0.5f;  // between the two main colours, so that no solid melts into what is behind it
  while (length(colour - background) < kContrast) colour = any_colour(random);
  draw_background(random, background, canvas);
  const Pose pose(random, solid);
  solid.draw(random, pose, colour, canvas);
  draw_occluder(random, pose, canvas);
  expose(random, canvas, image);
}

}  // namespace

Shapes::Shapes(ShapesOptions options) : options_(options) {
  check<ValueError>(options.size > 0 && options.size <= 0xffffffff, "shapes: the size must be in 1..2^32-1, not {}",
                    options.size);
}

const std::vector<std::string>& Shapes::classes() const {
  static const std::vector<std::string> names = [] {
    std::vector<std::string> list;
    list.reserve(std::size(kSolids));
    for (const Solid& solid : kSolids) list.emplace_back(solid.name);
    return list;
  }();
  return names;
}

std::int64_t Shapes::label(std::int64_t index) const {
  check_index("shapes", index);
  return index % kClasses;
}

bool Shapes::get(std::int64_t index, Image& image) const {
  check_index("shapes", index);
  Random random(options_.seed, Purpose::kDrawing, options_.train ? 0 : 1, static_cast<std::uint64_t>(index));
  draw_scene(random, kSolids[index % kClasses], image);
  return true;
}

std::string Shapes::origin(std::int64_t index) const {
  return fmt::format("shapes {} {}", options_.train ? "train" : "validation", index);
}

}  // namespace gradus::data

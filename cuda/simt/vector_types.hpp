#pragma once
// CUDA's built-in vector types, at global scope under their own names, with CUDA's sizes and alignments.

#define GRADUS_SIMT_VECTORS(T, name, align2, align4)                            \
  struct name##1 {                                                              \
    T x;                                                                        \
  };                                                                            \
  struct alignas(align2) name##2 {                                              \
    T x, y;                                                                     \
  };                                                                            \
  struct name##3 {                                                              \
    T x, y, z;                                                                  \
  };                                                                            \
  struct alignas(align4) name##4 {                                              \
    T x, y, z, w;                                                               \
  };                                                                            \
  constexpr name##1 make_##name##1(T x) { return {x}; }                         \
  constexpr name##2 make_##name##2(T x, T y) { return {x, y}; }                 \
  constexpr name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }         \
  constexpr name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; } \
  static_assert(alignof(name##2) == (align2) && alignof(name##4) == (align4))

GRADUS_SIMT_VECTORS(signed char, char, 2, 4);
GRADUS_SIMT_VECTORS(unsigned char, uchar, 2, 4);
GRADUS_SIMT_VECTORS(short, short, 4, 8);
GRADUS_SIMT_VECTORS(unsigned short, ushort, 4, 8);
GRADUS_SIMT_VECTORS(int, int, 8, 16);
GRADUS_SIMT_VECTORS(unsigned int, uint, 8, 16);
GRADUS_SIMT_VECTORS(long long, longlong, 16, 16);
GRADUS_SIMT_VECTORS(unsigned long long, ulonglong, 16, 16);
GRADUS_SIMT_VECTORS(float, float, 8, 16);
GRADUS_SIMT_VECTORS(double, double, 16, 16);
#undef GRADUS_SIMT_VECTORS

struct dim3 {
  unsigned int x = 1, y = 1, z = 1;
  constexpr dim3() = default;
  constexpr dim3(unsigned int vx, unsigned int vy = 1, unsigned int vz = 1) : x(vx), y(vy), z(vz) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
  constexpr operator uint3() const { return {x, y, z}; }
};

#pragma once
// The pointwise functions of one tensor, as a table: the function, and its derivative in terms of what backward keeps.
//
// A new one is a struct here, its name in GRADUS_UNARY_OPS, its derivative as operators in unary.cpp, its declaration
// in unary.hpp, and a row in unary_test.cpp. `keeps` says what backward needs, and nothing else is saved.

#include <cmath>

#include "core/philox.hpp"  // GRADUS_HD

#if defined(__GNUC__) && !defined(__CUDACC__)
#define GRADUS_FORMULA GRADUS_HD __attribute__((always_inline)) static inline
#else
#define GRADUS_FORMULA GRADUS_HD static inline
#endif

namespace gradus {

enum class Keeps { nothing, input, output };

/// The constants of a function: slope, bounds, exponent.
struct UnaryParams {
  double a = 0, b = 0;
};

// A table, a line for each formula.
// clang-format off
namespace unary {

/// y = a x + b: every product and sum with a number.
struct Affine {
  static constexpr Keeps keeps = Keeps::nothing;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams p) { return T(p.a) * x + T(p.b); }
  template <class T> GRADUS_FORMULA T df(T, UnaryParams p) { return T(p.a); }
};

struct Exp {
  static constexpr Keeps keeps = Keeps::output;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return std::exp(x); }
  template <class T> GRADUS_FORMULA T df(T y, UnaryParams) { return y; }
};

struct Log {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return std::log(x); }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams) { return T(1) / x; }
};

struct Sqrt {
  static constexpr Keeps keeps = Keeps::output;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return std::sqrt(x); }
  template <class T> GRADUS_FORMULA T df(T y, UnaryParams) { return T(0.5) / y; }
};

struct Square {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return x * x; }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams) { return T(2) * x; }
};

/// y = x^a.
struct Pow {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams p) { return std::pow(x, T(p.a)); }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams p) { return T(p.a) * std::pow(x, T(p.a) - T(1)); }
};

/// The derivative at 0 is 0.
struct Abs {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return x < T(0) ? -x : x; }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams) { return x > T(0) ? T(1) : x < T(0) ? T(-1) : T(0); }
};

/// x within [a, b]; the derivative is 1 at the bounds. NaN stays NaN.
struct Clamp {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams p) { return x < T(p.a) ? T(p.a) : x > T(p.b) ? T(p.b) : x; }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams p) { return x >= T(p.a) && x <= T(p.b) ? T(1) : T(0); }
};

/// max(x, 0), with derivative 0 at 0 (Nair and Hinton 2010). Keeps y, which the next layer keeps anyway. NaN stays NaN.
struct Relu {
  static constexpr Keeps keeps = Keeps::output;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return x <= T(0) ? T(0) : x; }
  template <class T> GRADUS_FORMULA T df(T y, UnaryParams) { return y > T(0) ? T(1) : T(0); }
};

/// x where x > 0, a x elsewhere.
struct LeakyRelu {
  static constexpr Keeps keeps = Keeps::input;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams p) { return x > T(0) ? x : T(p.a) * x; }
  template <class T> GRADUS_FORMULA T df(T x, UnaryParams p) { return x > T(0) ? T(1) : T(p.a); }
};

/// y = 1 / (1 + exp(-x)), through exp(-|x|) so that no finite x overflows.
struct Sigmoid {
  static constexpr Keeps keeps = Keeps::output;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) {
    const T e = std::exp(x < T(0) ? x : -x);
    return (x < T(0) ? e : T(1)) / (T(1) + e);
  }
  template <class T> GRADUS_FORMULA T df(T y, UnaryParams) { return y * (T(1) - y); }
};

struct Tanh {
  static constexpr Keeps keeps = Keeps::output;
  template <class T> GRADUS_FORMULA T f(T x, UnaryParams) { return std::tanh(x); }
  template <class T> GRADUS_FORMULA T df(T y, UnaryParams) { return T(1) - y * y; }
};

}  // namespace unary

/// X(type, name): every function above and what messages and the tape call it.
#define GRADUS_UNARY_OPS(X)                                                                                    \
  X(Affine, "affine") X(Exp, "exp") X(Log, "log") X(Sqrt, "sqrt") X(Square, "square") X(Pow, "pow")            \
  X(Abs, "abs") X(Clamp, "clamp") X(Relu, "relu") X(LeakyRelu, "leaky_relu") X(Sigmoid, "sigmoid") X(Tanh, "tanh")

// clang-format on
enum class Unary {
#define GRADUS_ENTRY(Type, name) Type,
  GRADUS_UNARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
      count
};

}  // namespace gradus

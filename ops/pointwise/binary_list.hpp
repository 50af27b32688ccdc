#pragma once
// The pointwise functions of two tensors, as a table. Their derivatives are operators and stand in binary.cpp.

#include "ops/pointwise/unary_list.hpp"

namespace gradus {
// A table, a line for each formula.
// clang-format off
namespace binary {

struct Add { template <class T> GRADUS_FORMULA T f(T a, T b) { return a + b; } };
struct Sub { template <class T> GRADUS_FORMULA T f(T a, T b) { return a - b; } };
struct Mul { template <class T> GRADUS_FORMULA T f(T a, T b) { return a * b; } };
struct Div { template <class T> GRADUS_FORMULA T f(T a, T b) { return a / b; } };
// NaN in either operand gives NaN.
struct Maximum { template <class T> GRADUS_FORMULA T f(T a, T b) { return a > b || a != a ? a : b; } };
struct Minimum { template <class T> GRADUS_FORMULA T f(T a, T b) { return a < b || a != a ? a : b; } };
// 1 where true, 0 elsewhere, in the operands' dtype; no gradient.
struct Greater { template <class T> GRADUS_FORMULA T f(T a, T b) { return a > b ? T(1) : T(0); } };
struct Equal { template <class T> GRADUS_FORMULA T f(T a, T b) { return a == b ? T(1) : T(0); } };

}  // namespace binary

/// X(type, name)
#define GRADUS_BINARY_OPS(X)                                                                              \
  X(Add, "add") X(Sub, "sub") X(Mul, "mul") X(Div, "div") X(Maximum, "maximum") X(Minimum, "minimum")     \
  X(Greater, "greater") X(Equal, "equal")

// clang-format on
enum class Binary {
#define GRADUS_ENTRY(Type, name) Type,
  GRADUS_BINARY_OPS(GRADUS_ENTRY)
#undef GRADUS_ENTRY
      count
};

}  // namespace gradus

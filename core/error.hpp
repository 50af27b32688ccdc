#pragma once
// Errors. The library throws; it never prints, aborts or exits.
//
// A message reads: operator, rule that was broken, what came; then, a line each, the operands at fault with dtype,
// shape and device (see describe() in core/tensor.hpp):
//
//   conv2d: weight reads 3 input channels, x has 64
//     x       f32 [8, 64, 32, 32]  cpu
//     weight  f32 [16, 3, 3, 3]    cpu     stride 1, padding 1, groups 1

#include <fmt/core.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace gradus {

/// Everything Gradus throws derives from Error.
struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};
// clang-format off
struct ShapeError : Error { using Error::Error; };     // shapes that do not fit together
struct DTypeError : Error { using Error::Error; };     // a dtype the operation does not take
struct DeviceError : Error { using Error::Error; };    // a device that is absent, full, or not the operands' common one
struct GraphError : Error { using Error::Error; };     // misuse of the tape
struct ValueError : Error { using Error::Error; };     // an argument out of its range, an unknown name
struct FileError : Error { using Error::Error; };      // a file that cannot be read, written or believed
struct Interrupted : Error { using Error::Error; };    // the user asked to stop
// clang-format on

/// throw E with a fmt-formatted message.
template <class E = ValueError, class... Args>
[[noreturn]] void fail(fmt::format_string<Args...> format, Args&&... args) {
  throw E(fmt::format(format, std::forward<Args>(args)...));
}

/// fail<E>(...) unless `ok`. The arguments are formatted only on failure.
template <class E = ValueError, class... Args>
void check(bool ok, fmt::format_string<Args...> format, Args&&... args) {
  if (!ok) [[unlikely]]
    fail<E>(format, std::forward<Args>(args)...);
}

}  // namespace gradus

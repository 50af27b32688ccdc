#pragma once

namespace gradus::test {

/// Whether the tests run under a sanitizer, ten times slower and more: long ones then do less, and say what.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

}  // namespace gradus::test

#pragma once
// Pages that need no other file.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace gradus::program {

/// `text` with & < > " escaped.
std::string html(std::string_view text);
std::string base64(std::span<const std::uint8_t> bytes);

/// Everything before a page's own content, in the report's style; end_page() closes what it opened. `note` is HTML.
std::string begin_page(const std::string& title, const std::string& note);
std::string end_page();

}  // namespace gradus::program

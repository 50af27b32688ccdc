#include "tools/train/page.hpp"

#include <fmt/core.h>

namespace gradus::program {
namespace {

constexpr const char* kStyle = R"css(
:root { --ink: #1d2433; --dim: #6b7385; --line: #e3e6ec; --card: #fff; --page: #f5f6f9; --a: #2f6fde; --b: #e0662f;
        --c: #2a9d6f; --heat: 47, 111, 222; --bad: 214, 69, 65; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9f0; --dim: #98a1b3; --line: #2d3442; --card: #1b212c; --page: #12161e; --a: #6ea0ff; --b: #ff9466;
          --c: #5fd0a0; --heat: 90, 145, 255; --bad: 240, 100, 95; } }
* { box-sizing: border-box }
body { margin: 0; background: var(--page); color: var(--ink); font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif }
main { max-width: 1120px; margin: 0 auto; padding: 32px 20px 60px }
h1 { font-size: 26px; margin: 0 0 2px } h2 { font-size: 17px; margin: 0 0 12px } p { margin: 0 0 10px }
.dim { color: var(--dim); font-weight: 400 } h2 .dim { font-size: 13px; margin-left: 6px } .num { font-variant-numeric: tabular-nums }
.tiles { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0 }
.tile { flex: 1 1 150px; background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 12px 16px }
.tile b { display: block; font-size: 24px; font-weight: 650 } .tile span { color: var(--dim); font-size: 13px }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 16px }
section { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: 18px 20px; margin: 16px 0 0;
          overflow-x: auto }
.grid section { margin: 0 }
svg { width: 100%; height: auto; display: block } svg text { fill: var(--dim); font-size: 11px }
.key { display: inline-flex; align-items: center; gap: 6px; margin-right: 14px; font-size: 13px; color: var(--dim) }
.key i { width: 14px; height: 3px; border-radius: 2px; display: inline-block }
table { border-collapse: collapse; font-size: 13px } td, th { padding: 4px 8px; text-align: right; font-weight: 400 }
th { color: var(--dim) } .matrix td { min-width: 42px; text-align: center; border: 1px solid var(--card) }
.matrix th.up { writing-mode: vertical-rl; transform: rotate(180deg); text-align: left; padding: 6px 2px }
.filters, .samples { display: flex; flex-wrap: wrap; gap: 8px }
.filters img { width: 48px; height: 48px } img { image-rendering: pixelated; border-radius: 4px; display: block }
.samples figure { margin: 0; width: 112px; font-size: 12px; line-height: 1.35 }
.samples img { width: 112px; height: 112px; object-fit: contain; background: var(--page) }
.config td { text-align: left; border-top: 1px solid var(--line) } .config td:first-child { color: var(--dim) }
)css";

}  // namespace

std::string begin_page(const std::string& title, const std::string& note) {
  return fmt::format(
      "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">"
      "<title>{0}</title><style>{1}</style><main><h1>{0}</h1><p class=dim>{2}</p>",
      html(title), kStyle, note);
}
std::string end_page() { return "</main></html>\n"; }

std::string html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string base64(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    const std::size_t n = std::min<std::size_t>(3, bytes.size() - i);
    std::uint32_t word = std::uint32_t{bytes[i]} << 16;
    if (n > 1) word |= std::uint32_t{bytes[i + 1]} << 8;
    if (n > 2) word |= bytes[i + 2];
    for (std::size_t k = 0; k < 4; ++k) text += k <= n ? kDigits[word >> (18 - 6 * k) & 63] : '=';
  }
  return text;
}

}  // namespace gradus::program

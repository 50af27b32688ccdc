#include "data/arguments.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "core/error.hpp"

namespace gradus::data {
namespace {

std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1);
}

bool is_name(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) { return c == '_' || std::isalnum(c) != 0; });
}

int edits(std::string_view a, std::string_view b) {  // Levenshtein, one row at a time
  std::vector<int> row(b.size() + 1);
  std::iota(row.begin(), row.end(), 0);
  for (std::size_t i = 0; i < a.size(); ++i) {
    int diagonal = row[0];
    row[0] = static_cast<int>(i) + 1;
    for (std::size_t j = 0; j < b.size(); ++j) {
      const int above = row[j + 1];
      row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] != b[j] ? 1 : 0)});
      diagonal = above;
    }
  }
  return row.back();
}

}  // namespace

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> pieces;
  for (std::size_t begin = 0;;) {
    const std::size_t end = text.find(separator, begin);
    pieces.push_back(trimmed(text.substr(begin, end == std::string_view::npos ? end : end - begin)));
    if (end == std::string_view::npos) return pieces;
    begin = end + 1;
  }
}

std::string nearest_name(std::string_view name, std::span<const std::string_view> known) {
  return std::string(*std::min_element(known.begin(), known.end(), [&](std::string_view a, std::string_view b) {
    return edits(name, a) < edits(name, b);
  }));
}

Arguments::Arguments(std::string_view text) {
  text = trimmed(text);
  const std::size_t open = text.find('(');
  name_ = trimmed(text.substr(0, open));
  check<ValueError>(is_name(name_) && (open == std::string_view::npos || text.back() == ')'),
                    "transform: '{}' is not of the form name or name(arguments)", text);
  if (open == std::string_view::npos) return;
  const std::string_view inside = trimmed(text.substr(open + 1, text.size() - open - 2));
  if (inside.empty()) return;
  for (const std::string_view argument : split(inside, ',')) {
    const std::size_t equals = argument.find('=');
    const bool named = equals != std::string_view::npos;
    const std::string key(named ? trimmed(argument.substr(0, equals)) : std::string_view{});
    const std::string_view value = trimmed(named ? argument.substr(equals + 1) : argument);
    check<ValueError>((!named || is_name(key)) && !value.empty() && value.find_first_of("()=") == value.npos,
                      "{}: '{}' is not of the form value or key=value", name_, argument);
    check<ValueError>(!values_.contains(key), "{}: argument '{}' is given twice", name_, named ? key : value);
    for (const std::string_view word : split(value, ' '))
      if (!word.empty()) values_[key].emplace_back(word);
  }
}

const std::vector<std::string>& Arguments::words(const std::string& key) {
  static const std::vector<std::string> none;
  used_[key] = true;
  const auto found = values_.find(key);
  return found == values_.end() ? none : found->second;
}

std::vector<float> Arguments::numbers(const std::string& key, std::size_t low, std::size_t high,
                                      std::vector<float> otherwise) {
  const std::vector<std::string>& list = words(key);
  if (list.empty()) return otherwise;
  const std::string what = key.empty() ? "its argument" : "'" + key + "'";
  check<ValueError>(list.size() >= low && list.size() <= high, "{}: {} takes {} number{}, not {}", name_, what,
                    low == high ? std::to_string(low) : fmt::format("{} to {}", low, high), high == 1 ? "" : "s",
                    list.size());
  std::vector<float> result;
  for (const std::string& word : list) {
    char* end = nullptr;
    result.push_back(std::strtof(word.c_str(), &end));
    check<ValueError>(*end == '\0' && std::isfinite(result.back()), "{}: {} is '{}', not a number", name_, what, word);
  }
  return result;
}

std::vector<int> Arguments::integers(const std::string& key, std::size_t low, std::size_t high) {
  const std::vector<float> list = numbers(key, low, high, {});
  check<ValueError>(!list.empty(), "{}: needs {}", name_, key.empty() ? "an argument" : "'" + key + "'");
  std::vector<int> result;
  for (const float value : list) {
    check<ValueError>(value == std::floor(value) && std::abs(value) < 1e6f, "{}: {} is not a usable whole number",
                      name_, value);
    result.push_back(static_cast<int>(value));
  }
  return result;
}

int Arguments::integer(const std::string& key, int otherwise) {
  return words(key).empty() ? otherwise : integers(key, 1, 1)[0];
}

void Arguments::finish() const {
  for (const auto& [key, value] : values_)
    check<ValueError>(used_.contains(key), "{}: there is no argument '{}'", name_, key.empty() ? value[0] : key);
}

}  // namespace gradus::data

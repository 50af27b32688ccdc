#pragma once
// Reading "name(1 2, key=3)": the small notation in which recipes name transforms.

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace gradus::data {

/// A parsed call. Values are words or numbers; a value of several is separated by blanks.
class Arguments {
 public:
  /// ValueError if `text` is not of the form name or name(...).
  explicit Arguments(std::string_view text);

  const std::string& name() const { return name_; }
  /// The words of argument `key`; of the one without a key, if `key` is empty. Empty if it is not there.
  const std::vector<std::string>& words(const std::string& key);
  /// The numbers of argument `key`, at least `low` and at most `high` of them, or `otherwise` if it is not there.
  std::vector<float> numbers(const std::string& key, std::size_t low, std::size_t high, std::vector<float> otherwise);
  float number(const std::string& key, float otherwise) { return numbers(key, 1, 1, {otherwise})[0]; }
  /// As numbers(), each a whole number and not optional.
  std::vector<int> integers(const std::string& key, std::size_t low, std::size_t high);
  int integer(const std::string& key, int otherwise);
  /// ValueError if there is an argument nobody asked for.
  void finish() const;

 private:
  std::string name_;
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, bool> used_;
};

/// The name in `known` with the fewest edits to `name`.
std::string nearest_name(std::string_view name, std::span<const std::string_view> known);

/// `text` cut at `separator`, blanks removed at both ends of each piece.
std::vector<std::string_view> split(std::string_view text, char separator);

}  // namespace gradus::data

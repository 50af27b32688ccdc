#include "zoo/model_name.hpp"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <iterator>
#include <utility>
#include <variant>

namespace gradus::zoo {
namespace {

using Field = std::variant<double ModelOptions::*, std::int64_t ModelOptions::*, bool ModelOptions::*>;
const std::pair<const char*, Field> kNamedOptions[] = {{"dropout", &ModelOptions::dropout},
                                                       {"growth_rate", &ModelOptions::growth_rate},
                                                       {"compression", &ModelOptions::compression},
                                                       {"cardinality", &ModelOptions::cardinality},
                                                       {"base_width", &ModelOptions::base_width},
                                                       {"reduction", &ModelOptions::reduction},
                                                       {"survival", &ModelOptions::survival},
                                                       {"stride_on_1x1", &ModelOptions::stride_on_1x1},
                                                       {"zero_last_norm", &ModelOptions::zero_last_norm},
                                                       {"recompute", &ModelOptions::recompute}};

/// "growth_rate=48"; an option without a value is 1.
void set_option(ModelOptions& options, const std::string& model, const std::string& text) {
  const std::size_t equals = text.find('=');
  const std::string name = text.substr(0, equals);
  const std::string value = equals == std::string::npos ? "1" : text.substr(equals + 1);
  const auto* const option = std::find_if(std::begin(kNamedOptions), std::end(kNamedOptions),
                                          [&](const auto& known) { return known.first == name; });
  if (option == std::end(kNamedOptions)) {
    std::string known;
    for (const auto& [each, field] : kNamedOptions) known += (known.empty() ? "" : ", ") + std::string(each);
    fail("model: {}: no option \"{}\"; there are {}", model, name, known);
  }
  double number = 0;
  const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
  check(error == std::errc() && end == value.data() + value.size(), "model: {}: {} is a number, got \"{}\"", model,
        name, value);
  std::visit(
      [&]<class T>(T ModelOptions::*field) {
        check(std::is_same_v<T, double> || (number == std::floor(number) && std::abs(number) < 1e9),
              "model: {}: {} is a whole number, got {}", model, name, value);
        options.*field = static_cast<T>(number);
      },
      option->second);
}

}  // namespace

std::string take_options(const std::string& name, ModelOptions& options) {
  const std::size_t colon = name.find(':');
  const std::string model = name.substr(0, colon);
  for (std::size_t begin = colon; begin < name.size();) {
    const std::size_t end = std::min(name.find(',', begin + 1), name.size());
    set_option(options, model, name.substr(begin + 1, end - begin - 1));
    begin = end;
  }
  return model;
}

std::string canonical_name(const std::string& name, bool small_input) {
  return find_model(name, small_input).name + name.substr(std::min(name.find(':'), name.size()));
}

}  // namespace gradus::zoo

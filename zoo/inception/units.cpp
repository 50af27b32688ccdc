#include "zoo/inception/units.hpp"

namespace gradus::zoo {

ConvBnRelu unit(std::int64_t in, std::int64_t out, Pair kernel) {
  return {in, out, {.kernel = kernel, .padding = {kernel.h / 2, kernel.w / 2}, .eps = 1e-3}};
}

ConvBnRelu halving_unit(std::int64_t in, std::int64_t out) {
  return {in, out, {.kernel = 3, .stride = 2, .eps = 1e-3}};
}

Sequential chain(std::initializer_list<Named> units) {
  Sequential row;
  for (const Named& entry : units) row.add(entry.name, std::move(entry.unit));
  return row;
}

Sequential averaged(const std::string& name, ConvBnRelu unit, bool count_padding) {
  Sequential row;
  row.add(name + "_average", AvgPool2d(3, {.stride = 1, .padding = 1, .count_include_pad = count_padding}));
  row.add(name, std::move(unit));
  return row;
}

Branches fan(const std::string& name_a, ConvBnRelu a, const std::string& name_b, ConvBnRelu b) {
  Branches both;
  both.add(name_a, std::move(a));
  both.add(name_b, std::move(b));
  return both;
}

}  // namespace gradus::zoo

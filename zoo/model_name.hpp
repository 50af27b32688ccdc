#pragma once
// Options behind a model's name, understood wherever the zoo takes one: "densenet121:growth_rate=48,dropout=0.2".
//
// dropout, growth_rate, compression, cardinality, base_width, reduction, survival, stride_on_1x1, zero_last_norm and
// recompute: the fields of ModelOptions. One without a value is 1. A network without such a thing is built as ever.

#include <string>

#include "zoo/registry.hpp"

namespace gradus::zoo {

/// `name` without its options, which go into `options`. ValueError names an unknown option, or a value that is no
/// number.
std::string take_options(const std::string& name, ModelOptions& options);
/// The name that find_model() finds, with the options that follow `name`: what says later which network weights fit.
std::string canonical_name(const std::string& name, bool small_input = false);

}  // namespace gradus::zoo

#pragma once

namespace gradus {

/// How a loss per element becomes the loss: left as it is, averaged, or added up.
enum class Reduction { none, mean, sum };

}  // namespace gradus

#include "data/pipeline.hpp"

#include <algorithm>
#include <array>

#include "core/error.hpp"
#include "data/arguments.hpp"

namespace gradus::data {
namespace {

struct Named {
  std::string_view name;
  Normalization value;
};
constexpr float kByte = 1.0f / 255;
constexpr std::array kNormalizations{
    Named{"cifar10", {{0.4914f, 0.4822f, 0.4465f}, {0.2470f, 0.2435f, 0.2616f}}},
    Named{"cifar100", {{0.5071f, 0.4865f, 0.4409f}, {0.2673f, 0.2564f, 0.2762f}}},
    Named{"imagenet", {{0.485f, 0.456f, 0.406f}, {0.229f, 0.224f, 0.225f}}},
    Named{"half", {{0.5f, 0.5f, 0.5f}, {0.5f, 0.5f, 0.5f}}},
    Named{"caffe", {{128 * kByte, 117 * kByte, 104 * kByte}, {kByte, kByte, kByte}, true}},
    Named{"dpn",
          {{124 * kByte, 117 * kByte, 104 * kByte}, {1 / (0.0167f * 255), 1 / (0.0167f * 255), 1 / (0.0167f * 255)}}},
    Named{"none", {}},
};

std::array<float, 3> three(Arguments& arguments, const char* key) {
  std::vector<float> list = arguments.numbers(key, 1, 3, {});
  check<ValueError>(list.size() == 1 || list.size() == 3, "normalize: '{}' needs one number or three", key);
  list.resize(3, list[0]);
  return {list[0], list[1], list[2]};
}

Normalization parse_normalization(Arguments& arguments) {
  const std::vector<std::string>& words = arguments.words("");
  Normalization result;
  if (!words.empty()) {
    check<ValueError>(words.size() == 1, "normalize: takes one name, not {}", words.size());
    result = normalization(words[0]);
  } else {
    result = {three(arguments, "mean"), three(arguments, "std")};
    for (const float s : result.std) check<ValueError>(s > 0, "normalize: std must be positive, and {} is not", s);
  }
  arguments.finish();
  return result;
}

float parse_alpha(Arguments& arguments) {
  const float alpha = arguments.number("", 1);
  arguments.finish();
  check<ValueError>(alpha > 0, "{}: alpha must be positive, not {}", arguments.name(), alpha);
  return alpha;
}

}  // namespace

Normalization normalization(std::string_view name) {
  std::array<std::string_view, kNormalizations.size()> names;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (kNormalizations[i].name == name) return kNormalizations[i].value;
    names[i] = kNormalizations[i].name;
  }
  fail<ValueError>("normalize: there is no '{}'; the nearest is '{}'", name, nearest_name(name, names));
}

Pipeline Pipeline::parse(std::string_view text) {
  Pipeline pipeline;
  if (text.find_first_not_of(" \t\n") == text.npos) return pipeline;
  bool normalized = false;
  for (const std::string_view part : split(text, '|')) {
    check<ValueError>(!part.empty(), "transform: there is nothing between two '|' of '{}'", text);
    Arguments arguments(part);
    if (arguments.name() == "mixup") {
      pipeline.mix_.mixup = parse_alpha(arguments);
    } else if (arguments.name() == "cutmix") {
      pipeline.mix_.cutmix = parse_alpha(arguments);
    } else {
      check<ValueError>(!normalized, "{}: comes after normalize, which ends the work on a picture", arguments.name());
      normalized = arguments.name() == "normalize";
      if (normalized) {
        pipeline.normalization_ = parse_normalization(arguments);
      } else {
        pipeline.add(parse_transform(part));
      }
    }
  }
  return pipeline;
}

Pipeline& Pipeline::add(TransformPtr transform) {
  for (const TransformPtr& earlier : transforms_)
    check<ValueError>(transform->kind() == Transform::Kind::kAny || earlier->kind() <= transform->kind(),
                      "{}: must stand before {}", transform->describe(), earlier->describe());
  transforms_.push_back(std::move(transform));
  return *this;
}

Pipeline& Pipeline::set(const Normalization& normalization) {
  normalization_ = normalization;
  return *this;
}

Pipeline& Pipeline::set(const Mix& mix) {
  mix_ = mix;
  return *this;
}

void Pipeline::apply(Picture& picture, Random& random) const {
  for (const TransformPtr& transform : transforms_) transform->apply(picture, random);
}

bool Pipeline::only_places() const {
  int crops = 0;
  for (const TransformPtr& transform : transforms_) {
    if (!transform->only_places()) return false;
    crops += transform->kind() == Transform::Kind::kPlace;
  }
  return crops <= 1 && !mix_.on();
}

std::string Pipeline::describe() const {
  std::string text;
  for (const TransformPtr& transform : transforms_) text += transform->describe() + " | ";
  const auto known = std::find_if(kNormalizations.begin(), kNormalizations.end(), [&](const Named& named) {
    return named.value.mean == normalization_.mean && named.value.std == normalization_.std &&
           named.value.bgr == normalization_.bgr;
  });
  if (known != kNormalizations.end()) {
    text += fmt::format("normalize({})", known->name);
  } else {
    const auto& [mean, std, bgr] = normalization_;
    text += fmt::format("normalize(mean={} {} {}, std={} {} {})", mean[0], mean[1], mean[2], std[0], std[1], std[2]);
  }
  if (mix_.mixup > 0) text += fmt::format(" | mixup({})", mix_.mixup);
  if (mix_.cutmix > 0) text += fmt::format(" | cutmix({})", mix_.cutmix);
  return text;
}

}  // namespace gradus::data

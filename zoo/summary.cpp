#include "zoo/summary.hpp"

#include <nlohmann/json.hpp>

#include "autograd/engine.hpp"
#include "ops/cross_entropy/cross_entropy.hpp"
#include "ops/pointwise/binary.hpp"
#include "zoo/model_name.hpp"

namespace gradus::zoo {
namespace {

/// Notes every module without children as it runs.
struct Recorder final : ForwardObserver {
  explicit Recorder(std::vector<LayerSummary>& rows) : layers(rows) {}
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor& y) override {
    if (module.named_modules().size() > 1) return;
    layers.push_back({.name = module.path(),
                      .type = module.type_name(),
                      .options = module.options(),
                      .output = y.shape(),
                      .parameters = module.parameter_count(),
                      .multiply_adds = module.multiply_adds(x, y)});
  }
  std::vector<LayerSummary>& layers;
};

Shape input_shape(const ModelInfo& model, std::int64_t batch, const ModelOptions& options, std::int64_t image_size) {
  const std::int64_t channels = options.image_channels > 0 ? options.image_channels : 3;
  const std::int64_t side = image_size > 0 ? image_size : options.image_size > 0 ? options.image_size : model.input;
  return {batch, channels, side, side};
}

/// 1234567 -> "1,234,567"
std::string grouped(std::int64_t n) {
  std::string digits = std::to_string(n);
  for (std::size_t right = 3; right < digits.size(); right += 4) digits.insert(digits.size() - right, 1, ',');
  return digits;
}

}  // namespace

Summary summarize(const std::string& name, const ModelOptions& options, std::int64_t image_size, bool small_input) {
  const ModelInfo& model = find_model(name, small_input);
  const ConstructOn meta(kMeta);
  const NoGrad off;
  const auto net = build(name, options, small_input);
  net->eval();

  Summary summary;
  summary.model = canonical_name(name, small_input);
  summary.input = input_shape(model, 1, options, image_size);
  {
    Recorder recorder(summary.layers);
    (*net)(empty(summary.input, {.device = kMeta}));
  }
  for (const LayerSummary& layer : summary.layers) summary.multiply_adds += layer.multiply_adds;
  for (const NamedState& entry : net->state()) {
    if (entry.is_buffer) {
      summary.buffers += entry.tensor->numel();
    } else {
      summary.parameters += entry.tensor->numel();
      ++summary.parameter_tensors;
    }
  }
  return summary;
}

std::string to_text(const Summary& summary) {
  std::size_t name_width = 5, type_width = 4;
  for (const LayerSummary& layer : summary.layers) {
    name_width = std::max(name_width, layer.name.size());
    type_width = std::max(type_width, layer.type.size());
  }
  std::string text = fmt::format("{}, input {}\n\n", summary.model, to_string(summary.input));
  text += fmt::format("{:<{}}  {:<{}}  {:>20}  {:>12}  {:>15}\n", "layer", name_width, "type", type_width, "output",
                      "parameters", "multiply-adds");
  for (const LayerSummary& layer : summary.layers)
    text += fmt::format("{:<{}}  {:<{}}  {:>20}  {:>12}  {:>15}\n", layer.name, name_width, layer.type, type_width,
                        to_string(layer.output), grouped(layer.parameters), grouped(layer.multiply_adds));
  text += fmt::format("\nparameters {} in {} tensors, multiply-adds {}\n", grouped(summary.parameters),
                      summary.parameter_tensors, grouped(summary.multiply_adds));
  return text;
}

std::string to_json(const Summary& summary) {
  const auto list = [](const Shape& shape) { return std::vector<std::int64_t>(shape.begin(), shape.end()); };
  nlohmann::ordered_json layers = nlohmann::ordered_json::array();
  for (const LayerSummary& layer : summary.layers)
    layers.push_back({{"name", layer.name},
                      {"type", layer.type},
                      {"options", layer.options},
                      {"output", list(layer.output)},
                      {"parameters", layer.parameters},
                      {"multiply_adds", layer.multiply_adds}});
  const nlohmann::ordered_json all = {{"model", summary.model},
                                      {"input", list(summary.input)},
                                      {"parameters", summary.parameters},
                                      {"parameter_tensors", summary.parameter_tensors},
                                      {"buffers", summary.buffers},
                                      {"multiply_adds", summary.multiply_adds},
                                      {"layers", layers}};
  return all.dump();
}

MemoryPrediction predict_memory(const std::string& name, std::int64_t batch, const ModelOptions& options,
                                std::int64_t image_size, bool small_input) {
  check(batch > 0, "summary: the batch is positive, got {}", batch);
  const ModelInfo& model = find_model(name, small_input);
  const ConstructOn meta(kMeta);
  const std::int64_t before = memory_stats(kMeta).current;
  const auto net = build(name, options, small_input);
  MemoryPrediction prediction;
  prediction.batch = batch;
  prediction.parameters = memory_stats(kMeta).current - before;

  const Tensor x = empty(input_shape(model, batch, options, image_size), {.device = kMeta});
  const Tensor labels = empty({batch}, {.dtype = DType::i64, .device = kMeta});
  std::vector<Tensor> momentum;
  for (const Tensor& p : net->parameters()) momentum.push_back(empty_like(p));
  // SGD's step is in place, so that nothing of it shows here but its momentum. Twice: the second step meets the
  // gradients of the first.
  for (int step = 0; step < 2; ++step) {
    reset_peak_memory(kMeta);
    net->zero_grad();
    const Heads heads = net->forward_heads(x);
    Tensor loss = cross_entropy(heads.logits, labels);
    for (const Heads::Auxiliary& head : heads.auxiliary)
      loss = loss + cross_entropy(head.logits, labels) * head.loss_weight;
    backward(loss);
  }
  prediction.peak = memory_stats(kMeta).peak - before;
  return prediction;
}

}  // namespace gradus::zoo

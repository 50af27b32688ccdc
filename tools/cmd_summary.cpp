// gradus summary

#include <nlohmann/json.hpp>

#include "tools/program.hpp"
#include "zoo/summary.hpp"

namespace gradus::program {
namespace {

struct Options {
  std::string model, input;
  std::int64_t classes = 0, batch = 1;
  bool as_json = false, memory = false, recompute = false;
};

void summary(const Options& o) {
  zoo::ModelOptions model{.classes = o.classes, .recompute = o.recompute};
  std::int64_t size = 0;
  if (!o.input.empty()) {
    const InputSize in = parse_input(o.input);
    check<UsageError>(in.height == in.width, "--input: takes square images, got {}", o.input);
    model.image_channels = in.channels;
    model.image_size = size = in.height;
  }
  const bool small = size > 0 && size <= 64;
  const zoo::Summary s = reading_options([&] { return zoo::summarize(o.model, model, size, small); });
  zoo::MemoryPrediction memory;
  if (o.memory) memory = reading_options([&] { return zoo::predict_memory(o.model, o.batch, model, size, small); });
  const auto mib = [](std::int64_t bytes) { return static_cast<double>(bytes) / (1 << 20); };
  if (o.as_json) {
    auto result = nlohmann::ordered_json::parse(zoo::to_json(s));
    if (o.memory)
      result["memory"] = {
          {"batch", memory.batch}, {"parameters_mib", mib(memory.parameters)}, {"peak_mib", mib(memory.peak)}};
    fmt::print("{}\n", result.dump());
    return;
  }
  fmt::print("{}", zoo::to_text(s));
  if (o.memory)
    fmt::print(
        "a training step of batch {}: {:.0f} MiB at its peak, {:.0f} MiB of them parameters and running statistics\n",
        memory.batch, mib(memory.peak), mib(memory.parameters));
}

}  // namespace

void add_summary(Command app) {
  const Command command = app.add_command("summary", "List a network's layers, shapes, parameters and multiply-adds",
                                          "gradus summary resnet50 --memory --batch 16");
  auto o = std::make_shared<Options>();
  command.add_option("model", o->model, "a name from `gradus models`").required();
  command.add_option("--input", o->input, "channels x height x width (default: the network's own)");
  command.add_option("--classes", o->classes, "number of classes (0: the network's own)").show_default();
  command.add_flag("--memory", o->memory, "predict the memory of a training step");
  command.add_option("-b,--batch", o->batch, "images per step, for --memory").show_default();
  command.add_flag("--recompute", o->recompute, "with recomputation of blocks, for --memory");
  command.add_flag("--json", o->as_json, "print one JSON object");
  command.callback([o] { summary(*o); });
}

}  // namespace gradus::program

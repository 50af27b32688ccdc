// gradus graph

#include "autograd/graph.hpp"
#include "nn/files/atomic_file.hpp"
#include "nn/losses.hpp"
#include "tools/program.hpp"
#include "tools/train/progress.hpp"
#include "zoo/registry.hpp"

namespace gradus::program {
namespace {

struct Options {
  std::string model, input, out = "graph.html";
  std::int64_t batch = 1, classes = 0;
};

void graph(const Options& o) {
  check<UsageError>(o.batch > 0, "--batch: must be positive, got {}", o.batch);
  const bool html = o.out.ends_with(".html"), dot = o.out.ends_with(".dot"), text = o.out.ends_with(".txt");
  check<UsageError>(html || dot || text, "--out: takes a name that ends in .html, .dot or .txt, got \"{}\"", o.out);
  const InputSize asked = o.input.empty() ? InputSize{} : parse_input(o.input);
  const bool small = !o.input.empty() && asked.height <= 64;
  const zoo::ModelInfo& info =
      reading_options([&]() -> const zoo::ModelInfo& { return zoo::find_model(o.model, small); });
  const InputSize in = o.input.empty() ? InputSize{.channels = 3, .height = info.input, .width = info.input} : asked;

  // On the meta device the tape is recorded and nothing is computed.
  const ConstructOn meta(kMeta);
  const auto model = reading_options([&] {
    return zoo::build(o.model, {.classes = o.classes, .image_channels = in.channels, .image_size = in.height}, small);
  });
  model->train();
  const Tensor x =
      empty({o.batch, in.channels, in.height, in.width}, {.device = kMeta, .format = Format::channels_last});
  const Tensor labels = empty({o.batch}, {.dtype = DType::i64, .device = kMeta});
  LeafNames names;
  for (const NamedParameter& p : model->named_parameters()) names.emplace_back(p.name, *p.parameter);
  const Tape tape = tape_of(heads_loss(model->forward_heads(x), labels), names);
  const std::string title = fmt::format("{}, batch {}", info.title, o.batch);
  files::write_file_atomic(o.out, html ? to_html(tape, title) : dot ? to_dot(tape, title) : to_text(tape));
  fmt::print("{}: the tape of one step of {}, {} entries, {:.1f} MiB saved for backward\n", o.out, info.name,
             grouped(static_cast<std::int64_t>(tape.entries.size())),
             static_cast<double>(tape.saved_bytes()) / (1 << 20));
}

}  // namespace

void add_graph(Command app) {
  const Command command =
      app.add_command("graph", "Draw the tape of one training step", "gradus graph resnet20 -o graph.html");
  auto o = std::make_shared<Options>();
  command.add_option("model", o->model, "a name from `gradus models`").required();
  command.add_option("-o,--out", o->out, "a page (.html), Graphviz (.dot) or text (.txt)").show_default();
  command.add_option("--input", o->input, "channels x height x width (default: the network's own)");
  command.add_option("-b,--batch", o->batch, "images in the step").show_default();
  command.add_option("--classes", o->classes, "number of classes (0: the network's own)").show_default();
  command.callback([o] { graph(*o); });
}

}  // namespace gradus::program

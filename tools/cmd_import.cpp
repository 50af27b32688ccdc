// gradus import and gradus export: weight files of other programs into ours, and back.

#include "nn/checkpoint.hpp"
#include "nn/files/weights.hpp"
#include "tools/program.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/progress.hpp"
#include "tools/train/transfer.hpp"
#include "zoo/model_name.hpp"

namespace gradus::program {
namespace {

struct Options {
  std::string from, to, model;
  bool drop_background = false, half = false;
};

void convert(const Options& o) {
  NamedTensors weights = weights_of(load_weights(o.from, {.drop_background = o.drop_background}));
  if (!o.model.empty()) {
    const zoo::ModelInfo& info = reading_options([&]() -> const zoo::ModelInfo& { return zoo::find_model(o.model); });
    const ConstructOn meta(kMeta);
    const auto model = zoo::build(o.model, {.classes = count_classes(weights, info)});
    const StateMismatch mismatch = compare_state(model->state(), weights);
    check<FileError>(mismatch.none(), "{}: does not fit {}: {}", o.from, info.name, mismatch.text());
    // What goes with the weights travels with them from now on.
    const WeightNotes notes = notes_of(weights, info, o.from);
    weights.metadata["model"] = zoo::canonical_name(o.model);
    weights.metadata["preprocess"] = notes.preprocess;
    if (!notes.classes.empty()) write_classes(notes.classes, weights.metadata);
  }
  std::int64_t values = 0;
  for (NamedTensor& t : weights.tensors) {
    if (o.half && is_floating(t.tensor.dtype())) {
      const Tensor half = empty(t.tensor.shape(), {.dtype = DType::f16});
      t.tensor = half.detach().copy_(t.tensor);
    }
    values += t.tensor.numel();
  }
  save_weights(o.to, weights);
  fmt::print("{}: {} tensors, {} values\n", o.to, weights.tensors.size(), grouped(values));
}

void add_convert(Command app, const char* name, const char* text, const char* example, const char* target) {
  const Command command = app.add_command(name, text, example);
  auto o = std::make_shared<Options>();
  command.add_option("weights", o->from, "safetensors, .pth, .pt, .th, or a run's checkpoint").required();
  command.add_option("-o,--out", o->to, target).required();
  command.add_option("-m,--model", o->model,
                     "check that they fit this network, and note its name, preprocessing and classes");
  command.add_flag("--drop-background", o->drop_background, "drop class 0 of 1,001 (TensorFlow's Inceptions)");
  command.add_flag("--half", o->half, "write 16-bit floats");
  command.callback([o] { convert(*o); });
}

}  // namespace

void add_import(Command app) {
  add_convert(app, "import", "Turn PyTorch weights into safetensors",
              "gradus import resnet18.pth --model resnet18 -o resnet18.safetensors", "the file to write, .safetensors");
}

void add_export(Command app) {
  add_convert(app, "export", "Turn weights into a file that PyTorch loads",
              "gradus export runs/r20/best.safetensors -o r20.pth", "the file to write: .pth, .pt or .safetensors");
}

}  // namespace gradus::program

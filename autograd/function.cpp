#include "autograd/function.hpp"

namespace gradus {

struct CustomNode final : Node {
  std::string op;
  CustomBackward rule;
  CustomOptions options;
  Context context;

  const char* name() const override { return op.c_str(); }
  Grads backward(const Tensor& gy) override { return rule(context, gy); }
  bool twice_differentiable() const override { return options.twice_differentiable; }
  void release() override {
    for (Saved& s : context.saved_) s.reset();
    rule = nullptr;  // it may hold tensors of its own
  }
  std::int64_t saved_bytes() const override {
    std::int64_t bytes = 0;
    for (const Saved& s : context.saved_) bytes += s.bytes();
    return bytes;
  }

  /// Ties the context to the finished node; `y` is forward's result.
  void adopt(Context&& filled, const Tensor& y) {
    if (filled.output_ >= 0 && !filled.saved_[static_cast<std::size_t>(filled.output_)].holds(y))
      fail<GraphError>("{}: save_output() was called with a tensor that forward did not return\n  returned  {}", op,
                       describe(y));
    context = std::move(filled);
    context.node_ = this;
  }
};

int Context::save(const Tensor& x) {
  saved_.emplace_back(x);
  return static_cast<int>(saved_.size()) - 1;
}

int Context::save_output(const Tensor& y) {
  saved_.push_back(Saved::output(y));
  return output_ = static_cast<int>(saved_.size()) - 1;
}

Tensor Context::get(int number) const {
  check<GraphError>(node_ != nullptr, "context: get() is for backward; forward has the tensors themselves");
  check<GraphError>(number >= 0 && number < static_cast<int>(saved_.size()),
                    "{}: backward asks for saved tensor {} of {}", node_->name(), number, saved_.size());
  return saved_[static_cast<std::size_t>(number)].get(*node_);
}

bool Context::needs(std::size_t i) const { return node_ != nullptr && node_->needs(i); }

Tensor custom_op(const std::string& name, const std::vector<Tensor>& inputs, const CustomForward& forward,
                 CustomBackward backward, const CustomOptions& options) {
  Context context;
  Tensor y;
  {
    const NoGrad off;
    y = forward(context, inputs);
  }
  check<GraphError>(y.defined(), "{}: forward returned no tensor", name);
  if (!recording(inputs)) return y;
  // An input handed through is a tensor of its own on the tape.
  for (const Tensor& x : inputs)
    if (x.same(y)) y = y.detach();
  auto node = std::make_shared<CustomNode>();
  node->op = name;
  node->rule = std::move(backward);
  node->options = options;
  node->adopt(std::move(context), y);
  attach(y, std::move(node), inputs);
  return y;
}

}  // namespace gradus

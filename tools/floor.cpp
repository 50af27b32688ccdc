#include "tools/floor.hpp"

#include <algorithm>

#include "autograd/node.hpp"
#include "nn/layers/batch_norm.hpp"
#include "ops/peak.hpp"

namespace gradus::program {
namespace {

class WorkRecorder final : public ForwardObserver {
 public:
  WorkRecorder(const Tensor& input, bool inference) : input_(input.data_ptr()), inference_(inference) {}
  void before(Module&, const Tensor&) override {}
  void after(Module& module, const Tensor& x, const Tensor& y) override {
    if (module.named_modules().size() > 1) return;
    work[module.path()] += work_of(module, x, y);
  }
  std::map<std::string, Work> work;

 private:
  Work work_of(Module& module, const Tensor& x, const Tensor& y) const {
    const auto bytes = [](const Tensor& t) { return static_cast<double>(t.numel()) * sizeof(float); };
    if (dynamic_cast<BatchNorm2d*>(&module)) return {0, inference_ ? bytes(x) + bytes(y) : 10 * bytes(x)};
    const auto multiply_adds = static_cast<double>(module.multiply_adds(x, y));
    if (multiply_adds == 0) return {0, (inference_ ? 1 : 2) * (bytes(x) + bytes(y))};
    double weights = 0;
    for (const Tensor& p : module.parameters()) weights += bytes(p);
    if (inference_) return {2 * multiply_adds, bytes(x) + bytes(y) + weights};
    const bool first = x.data_ptr() == input_;
    return {(first ? 4 : 6) * multiply_adds, 3 * (bytes(x) + bytes(y)) + 8 * weights};
  }

  const void* input_;
  bool inference_;
};

}  // namespace

Work& Work::operator+=(const Work& other) {
  operations += other.operations, bytes += other.bytes;
  return *this;
}

std::map<std::string, Work> work_by_layer(Classifier& net, const Tensor& x, bool inference) {
  const NoGrad no_grad;
  WorkRecorder recorder(x, inference);
  net.forward_heads(x);
  return std::move(recorder.work);
}

Floor::Floor() : gflops_(measure_flops()), bandwidth_(measure_bandwidth().copy) {}

double Floor::ms(const Work& work) const { return std::max(work.operations / gflops_, work.bytes / bandwidth_) * 1e-6; }

}  // namespace gradus::program

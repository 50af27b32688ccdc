#include "autograd/autocast.hpp"

#include <memory>
#include <unordered_map>
#include <utility>

#include "autograd/node.hpp"

namespace gradus {

struct Autocast::Scope {
  struct Cast {
    std::shared_ptr<Node> leaf;  // so that no other leaf gets its address
    std::uint64_t version;       // of the leaf's memory when it was cast
    Tensor tensor;
  };
  DType dtype;
  Scope* outer;
  std::unordered_map<const Node*, Cast> casts;
  static thread_local Scope* innermost;
};
thread_local Autocast::Scope* Autocast::Scope::innermost = nullptr;

Autocast::Autocast(DType dtype) {
  check<ValueError>(dtype == DType::bf16 || dtype == DType::f32, "autocast: casts to bf16 (or f32: not at all), not {}",
                    dtype_name(dtype));
  scope_ = new Scope{dtype, Scope::innermost, {}};
  Scope::innermost = scope_;
}
Autocast::~Autocast() {
  Scope::innermost = scope_->outer;
  delete scope_;
}

DType autocast_dtype() { return Autocast::Scope::innermost ? Autocast::Scope::innermost->dtype : DType::f32; }

Tensor kept_cast(const Tensor& leaf) {
  auto& casts = Autocast::Scope::innermost->casts;
  const auto found = casts.find(leaf.node().get());
  if (found == casts.end()) return {};
  const auto& [node, version, tensor] = found->second;
  if (version != leaf.version()) return {};
  if (!grad_enabled()) return tensor.detach();
  return tensor.requires_grad() && !tensor.node()->released ? tensor : Tensor();
}

void keep_cast(const Tensor& leaf, const Tensor& cast) {
  Autocast::Scope::innermost->casts.insert_or_assign(leaf.node().get(),
                                                     Autocast::Scope::Cast{leaf.node(), leaf.version(), cast});
}

}  // namespace gradus

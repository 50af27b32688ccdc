#include "ops/conv2d/conv2d_weights.hpp"

#include <mutex>
#include <string>
#include <vector>

#include "core/storage.hpp"

namespace gradus::cpu {
namespace {

/// One packed form of a weight. Several tensors may lie in one storage, and a batch of another size may want another
/// form of the same weight.
struct Kept {
  std::string candidate;
  const void* w;
  std::int64_t K, C, R, S, groups;
  std::uint64_t version;
  std::shared_ptr<Workspace<float>> packed;
};
struct KeptList final : Derived {
  std::vector<Kept> forms;
};

std::mutex mutex;  // of all lists

std::shared_ptr<KeptList> list_of(const Storage& storage) {
  return std::dynamic_pointer_cast<KeptList>(storage.derived);
}

bool is_form(const Kept& kept, const ConvForward& f, const char* candidate) {
  const ConvShape& c = f.shape;
  return kept.w == f.w && kept.K == c.K && kept.C == c.C && kept.R == c.R && kept.S == c.S && kept.groups == c.groups &&
         kept.candidate == candidate;
}

}  // namespace

PackedWeights::Held PackedWeights::find_kept(const ConvForward& f, const char* candidate) {
  if (!f.keep) return nullptr;
  const std::scoped_lock lock(mutex);
  const auto list = list_of(*f.keep);
  if (!list) return nullptr;
  for (const Kept& kept : list->forms)
    if (kept.version == f.keep->version && is_form(kept, f, candidate)) return kept.packed;
  return nullptr;
}

void PackedWeights::keep(const ConvForward& f, const char* candidate, const Held& packed) {
  if (!f.keep) return;
  const std::scoped_lock lock(mutex);
  auto list = list_of(*f.keep);
  if (!list) f.keep->derived = list = std::make_shared<KeptList>();
  std::erase_if(list->forms,
                [&](const Kept& kept) { return kept.version != f.keep->version || is_form(kept, f, candidate); });
  const ConvShape& c = f.shape;
  list->forms.push_back({candidate, f.w, c.K, c.C, c.R, c.S, c.groups, f.keep->version, packed});
}

}  // namespace gradus::cpu

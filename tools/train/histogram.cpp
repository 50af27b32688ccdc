#include "tools/train/histogram.hpp"

#include <algorithm>
#include <cmath>
#include <set>

#include "autograd/node.hpp"

namespace gradus::program {

double Histogram::edge(std::size_t bin) const {
  return bin == counts.size() ? most
                              : least + (most - least) * static_cast<double>(bin) / static_cast<double>(counts.size());
}
double Histogram::mean() const { return count == 0 ? 0 : sum / static_cast<double>(count); }
double Histogram::deviation() const {
  return count == 0 ? 0 : std::sqrt(std::max(0.0, sum_squares / static_cast<double>(count) - mean() * mean()));
}

Histogram histogram_of(const Tensor& x) {
  Histogram h;
  std::vector<double> v = x.to_vector<double>();
  const auto finite = std::remove_if(v.begin(), v.end(), [](double e) { return !std::isfinite(e); });
  h.not_finite = v.end() - finite;
  v.erase(finite, v.end());
  if (v.empty()) return h;
  const auto [least, most] = std::minmax_element(v.begin(), v.end());
  h.count = std::ssize(v);
  h.least = *least, h.most = *most;
  h.counts.assign(Histogram::kBins, 0);
  const double scale = h.most > h.least ? static_cast<double>(Histogram::kBins) / (h.most - h.least) : 0;
  for (const double e : v) {
    h.sum += e;
    h.sum_squares += e * e;
    h.zeros += e == 0;
    ++h.counts[std::min(static_cast<std::size_t>((e - h.least) * scale), Histogram::kBins - 1)];
  }
  return h;
}

nlohmann::json to_json(const LayerHistograms& all, std::int64_t epoch, std::int64_t step) {
  const auto rows = [](const std::vector<LayerHistograms::Layer>& layers) {
    nlohmann::json list = nlohmann::json::array();
    for (const auto& [name, h] : layers)
      list.push_back({{"name", name},
                      {"count", h.count},
                      {"zeros", h.zeros},
                      {"not_finite", h.not_finite},
                      {"least", h.least},
                      {"most", h.most},
                      {"mean", h.mean()},
                      {"deviation", h.deviation()},
                      {"counts", h.counts}});
    return list;
  };
  return {{"epoch", epoch}, {"step", step}, {"activations", rows(all.activations)}, {"gradients", rows(all.gradients)}};
}

ActivationHistograms::ActivationHistograms(Module& net) {
  const std::vector<NamedModule> modules = net.named_modules();
  std::set<std::string> own;  // modules that hold parameters themselves
  for (const NamedParameter& p : net.named_parameters())
    own.insert(p.name.substr(0, std::min(p.name.rfind('.'), p.name.size())));
  for (const auto& [name, module] : modules) {
    if (!own.contains(name)) continue;
    const bool leaf = std::none_of(modules.begin(), modules.end(),
                                   [below = name + "."](const NamedModule& m) { return m.name.starts_with(below); });
    if (leaf) watched_[module] = name;
  }
}

void ActivationHistograms::after(Module& module, const Tensor&, const Tensor& y) {
  const auto found = watched_.find(&module);
  if (found != watched_.end()) layers_.push_back({found->second, histogram_of(y)});
}

std::vector<LayerHistograms::Layer> gradient_histograms(Module& net) {
  std::vector<LayerHistograms::Layer> all;
  for (const NamedParameter& p : net.named_parameters())
    if (const Tensor g = grad_of(*p.parameter); p.parameter->rank() >= 2 && g.defined())
      all.push_back({p.name, histogram_of(g)});
  return all;
}

}  // namespace gradus::program

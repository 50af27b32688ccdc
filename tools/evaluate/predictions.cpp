#include "tools/evaluate/predictions.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>

#include "autograd/node.hpp"
#include "nn/files/atomic_file.hpp"
#include "ops/view/view.hpp"
#include "tools/evaluate/dense.hpp"

namespace gradus::program {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

/// Puts a module into eval mode for a while.
class EvalMode {
 public:
  explicit EvalMode(Module& net) : net_(net), training_(net.is_training()) { net.eval(); }
  ~EvalMode() { net_.train(training_); }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  Module& net_;
  bool training_;
};

/// log(sum of exp(x)).
double log_sum_exp(const double* x, std::int64_t n) {
  const double highest = *std::max_element(x, x + n);
  double total = 0;
  for (std::int64_t i = 0; i < n; ++i) total += std::exp(x[i] - highest);
  return std::log(total) + highest;
}

/// Gathers rows and times the network.
class Collector {
 public:
  Collector(Module& net, const data::Dataset& dataset) : net_(net) { out_.classes = std::ssize(dataset.classes()); }

  /// x may be on another device than the network.
  std::vector<double> logits(const Tensor& x, bool dense) {
    const Clock::time_point begin = Clock::now();
    const Tensor there = to(x, net_.parameters().front().device());
    const Tensor y = to(dense ? dense_logits(net_, there) : net_(there), kCpu);
    out_.forward_seconds += seconds_since(begin);
    check<ShapeError>(y.rank() == 2 && y.size(1) == out_.classes, "eval: the data has {} classes, the network gives {}",
                      out_.classes, describe(y));
    return y.to_vector<double>();
  }

  /// A sample whose probability is the mean over `views` rows of logits.
  void add(std::int64_t index, std::int64_t label, const std::vector<const double*>& views) {
    const auto c = static_cast<std::size_t>(out_.classes);
    std::vector<double> p(c, 0);
    if (views.size() == 1) {  // stays a logarithm throughout
      const double norm = log_sum_exp(views[0], out_.classes);
      for (std::size_t i = 0; i < c; ++i) p[i] = views[0][i] - norm;
    } else {
      for (const double* x : views) {
        const double norm = log_sum_exp(x, out_.classes);
        for (std::size_t i = 0; i < c; ++i) p[i] += std::exp(x[i] - norm);
      }
      for (double& v : p) v = std::log(std::max(v / static_cast<double>(views.size()), 1e-300));
    }
    out_.indices.push_back(index);
    out_.labels.push_back(label);
    out_.log_probabilities.insert(out_.log_probabilities.end(), p.begin(), p.end());
    right_ += std::max_element(p.begin(), p.end()) - p.begin() == label;
  }

  void tell(const PredictProgress& progress) const {
    if (progress && !progress(out_.samples(), right_)) throw Interrupted("stopped");
  }
  Predictions finish() {
    out_.seconds = seconds_since(begin_);
    return std::move(out_);
  }

 private:
  Module& net_;
  Predictions out_;
  std::int64_t right_ = 0;
  Clock::time_point begin_ = Clock::now();
};

/// One tensor of the views of several samples, which all have one size.
Tensor joined(const std::vector<Tensor>& parts) {
  if (parts.size() == 1) return parts[0];
  Shape shape = parts[0].shape();
  shape[0] = 0;
  for (const Tensor& t : parts) shape[0] += t.size(0);
  const Tensor all = empty(shape, {.format = Format::channels_last});
  float* to = all.data<float>();
  for (const Tensor& t : parts) {
    std::memcpy(to, t.data<float>(), static_cast<std::size_t>(t.bytes()));
    to += t.numel();
  }
  return all;
}

}  // namespace

Predictions predict(Module& net, data::Loader& loader, const PredictProgress& progress) {
  const NoGrad no_grad;
  const EvalMode mode(net);
  Collector out(net, loader.dataset());
  const std::int64_t classes = std::ssize(loader.dataset().classes());
  loader.start(0);
  while (const std::optional<data::Batch> batch = loader.next()) {
    const std::vector<double> x = out.logits(batch->images, false);
    const std::vector<std::int64_t> labels = batch->labels.to_vector<std::int64_t>();
    for (std::size_t i = 0; i < labels.size(); ++i)
      out.add(batch->indices[i], labels[i], {x.data() + static_cast<std::int64_t>(i) * classes});
    out.tell(progress);
  }
  return out.finish();
}

Predictions predict(Module& net, data::ViewLoader& loader, bool dense, std::int64_t batch,
                    const PredictProgress& progress) {
  const NoGrad no_grad;
  const EvalMode mode(net);
  Collector out(net, loader.dataset());
  const std::int64_t classes = std::ssize(loader.dataset().classes());
  std::vector<data::ViewLoader::Sample> waiting;  // of one size each, to run together
  std::int64_t views = 0;
  const auto run = [&] {
    if (waiting.empty()) return;
    std::vector<Tensor> parts;
    for (const auto& sample : waiting) parts.push_back(sample.views[0]);
    const std::vector<double> x = out.logits(joined(parts), dense);
    const double* row = x.data();
    for (const auto& sample : waiting) {
      std::vector<const double*> rows;
      for (std::int64_t v = 0; v < sample.views[0].size(0); ++v, row += classes) rows.push_back(row);
      out.add(sample.index, sample.label, rows);
    }
    waiting.clear();
    views = 0;
    out.tell(progress);
  };
  while (std::optional<data::ViewLoader::Sample> sample = loader.next()) {
    if (sample->views.size() > 1) {  // whole pictures at several scales
      run();
      std::vector<std::vector<double>> x;
      std::vector<const double*> rows;
      for (const Tensor& view : sample->views) {
        x.push_back(out.logits(view, dense));
        for (std::int64_t v = 0; v < view.size(0); ++v) rows.push_back(x.back().data() + v * classes);
      }
      out.add(sample->index, sample->label, rows);
      out.tell(progress);
      continue;
    }
    const Tensor& mine = sample->views[0];
    if (!waiting.empty()) {
      const Tensor& first = waiting[0].views[0];
      if (first.size(2) != mine.size(2) || first.size(3) != mine.size(3) || views + mine.size(0) > batch) run();
    }
    views += mine.size(0);
    waiting.push_back(std::move(*sample));
  }
  run();
  return out.finish();
}

Predictions average(const std::vector<Predictions>& members) {
  check(!members.empty(), "ensemble: has no members");
  Predictions mean = members[0];
  std::vector<double> sum(mean.log_probabilities.size(), 0);
  mean.seconds = mean.forward_seconds = 0;
  for (const Predictions& m : members) {
    check(m.classes == mean.classes && m.indices == mean.indices,
          "ensemble: the members are about different samples or classes ({} of {} and {} of {})", mean.samples(),
          mean.classes, m.samples(), m.classes);
    for (std::size_t i = 0; i < sum.size(); ++i) sum[i] += std::exp(static_cast<double>(m.log_probabilities[i]));
    mean.seconds += m.seconds;
    mean.forward_seconds += m.forward_seconds;
  }
  if (members.size() == 1) return members[0];
  for (std::size_t i = 0; i < sum.size(); ++i)
    mean.log_probabilities[i] =
        static_cast<float>(std::log(std::max(sum[i] / static_cast<double>(members.size()), 1e-300)));
  return mean;
}

Evaluation score(const Predictions& p) {
  Scorer scorer(p.classes);
  constexpr std::int64_t kRows = 1024;
  for (std::int64_t begin = 0; begin < p.samples(); begin += kRows) {
    const std::int64_t n = std::min(kRows, p.samples() - begin);
    const auto part = [&](const std::vector<std::int64_t>& all) {
      return std::vector<std::int64_t>(all.begin() + begin, all.begin() + begin + n);
    };
    const std::vector<float> rows(p.row(begin), p.row(begin) + n * p.classes);
    scorer.add(from_data<float>(rows, {n, p.classes}),
               from_data<std::int64_t>(part(p.labels), {n}, {.dtype = DType::i64}), part(p.indices));
  }
  return scorer.result();
}

namespace {

/// A field of a CSV file (RFC 4180).
std::string field(const std::string& text) {
  if (text.find_first_of(",\"\n\r") == std::string::npos) return text;
  std::string out = "\"";
  for (const char c : text) out += c == '"' ? std::string("\"\"") : std::string(1, c);
  return out + '"';
}

}  // namespace

void write_predictions(const std::string& path, const Predictions& p, const data::Dataset& dataset) {
  const bool lines = path.ends_with(".jsonl");
  const std::vector<std::string>& names = dataset.classes();
  const auto shown = std::min<std::int64_t>(5, p.classes);
  std::string text;
  if (!lines) {
    text = "index,origin,label,label_name";
    for (std::int64_t k = 1; k <= shown; ++k) text += fmt::format(",class{0},name{0},probability{0}", k);
    text += '\n';
  }
  std::vector<std::int64_t> order(static_cast<std::size_t>(p.classes));
  for (std::int64_t i = 0; i < p.samples(); ++i) {
    const float* row = p.row(i);
    std::iota(order.begin(), order.end(), 0);
    std::partial_sort(order.begin(), order.begin() + shown, order.end(),
                      [&](std::int64_t a, std::int64_t b) { return row[a] > row[b] || (row[a] == row[b] && a < b); });
    const auto at = static_cast<std::size_t>(i);
    const std::int64_t label = p.labels[at];
    const std::string origin = dataset.origin(p.indices[at]), &name = names[static_cast<std::size_t>(label)];
    if (lines) {
      nlohmann::ordered_json line{{"index", p.indices[at]}, {"origin", origin}, {"label", label}, {"label_name", name}};
      for (std::int64_t k = 0; k < shown; ++k) {
        const auto c = static_cast<std::size_t>(order[static_cast<std::size_t>(k)]);
        line["top"].push_back({{"class", c}, {"name", names[c]}, {"probability", std::exp(row[c])}});
      }
      text += line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
    } else {
      text += fmt::format("{},{},{},{}", p.indices[at], field(origin), label, field(name));
      for (std::int64_t k = 0; k < shown; ++k) {
        const auto c = static_cast<std::size_t>(order[static_cast<std::size_t>(k)]);
        text += fmt::format(",{},{},{:.6g}", c, field(names[c]), std::exp(row[c]));
      }
      text += '\n';
    }
  }
  files::write_file_atomic(path, text);
}

void write_confusion(const std::string& path, const Evaluation& e, const std::vector<std::string>& classes) {
  std::string text = "true";
  for (const std::string& name : classes) text += "," + field(name);
  for (std::int64_t label = 0; label < e.classes; ++label) {
    text += "\n" + field(classes[static_cast<std::size_t>(label)]);
    for (std::int64_t c = 0; c < e.classes; ++c)
      text += fmt::format(",{}", e.confusion[static_cast<std::size_t>(label * e.classes + c)]);
  }
  files::write_file_atomic(path, text + "\n");
}

}  // namespace gradus::program

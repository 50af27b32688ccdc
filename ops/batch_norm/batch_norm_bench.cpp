#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/batch_norm/batch_norm.hpp"
#include "ops/bench.hpp"

namespace gradus {

void bench_batch_norm(BenchList& list) {
  struct Problem {
    const char* label;
    Shape shape;
  };
  for (const Problem& p : {Problem{"128x16x32x32", {128, 16, 32, 32}}, Problem{"128x64x8x8", {128, 64, 8, 8}},
                           Problem{"8x256x56x56", {8, 256, 56, 56}}, Problem{"8x2048x7x7", {8, 2048, 7, 7}}}) {
    const std::int64_t channels = p.shape[1];
    const Tensor x = randn(p.shape, {.format = Format::channels_last}),
                 r = randn(p.shape, {.format = Format::channels_last});
    const Tensor weight = rand({channels}), bias = rand({channels}), mean = zeros({channels}), var = ones({channels});
    const auto bytes = static_cast<double>(x.bytes()), n = static_cast<double>(x.numel());
    const BatchNormOptions train{.training = true, .relu = true};
    list.push_back({"batch_norm.eval", p.label, 2 * n, 2 * bytes,
                    [=] { batch_norm(x, mean, var, weight, bias, {.relu = true}); }});
    list.push_back(
        {"batch_norm.train", p.label, 5 * n, 3 * bytes, [=] { batch_norm(x, mean, var, weight, bias, train); }});
    list.push_back({"batch_norm.train_residual", p.label, 6 * n, 4 * bytes,
                    [=] { batch_norm(x, mean, var, weight, bias, train, r); }});

    const Tensor leaf = x.detach(), shortcut = r.detach(), scale = weight.detach(), seed = r.clone();
    for (const Tensor& t : {leaf, shortcut, scale}) set_requires_grad(t);
    const Tensor y = batch_norm(leaf, mean, var, scale, bias, train);
    const Tensor y_residual = batch_norm(leaf, mean, var, scale, bias, train, shortcut);
    list.push_back({"batch_norm.backward", p.label, 10 * n, 5 * bytes, [=] {
                      grad({y}, {leaf, scale}, {.seeds = {seed}, .retain_graph = true});
                    }});
    list.push_back({"batch_norm.backward_residual", p.label, 10 * n, 6 * bytes, [=] {
                      grad({y_residual}, {leaf, scale, shortcut}, {.seeds = {seed}, .retain_graph = true});
                    }});
  }
}

}  // namespace gradus

#include "autograd/recompute.hpp"

#include <doctest/doctest.h>

#include "autograd/engine.hpp"
#include "core/random.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {
namespace {

Tensor leaf(const Shape& shape, std::uint64_t seed) {
  Generator g{seed, 0};
  const Tensor x = randn(shape, {}, g);
  set_requires_grad(x);
  return x;
}

/// Something with random numbers and a parameter.
Tensor segment(const Tensor& x, const Tensor& w) {
  const Tensor noise = rand(x.shape());
  const Tensor h = x * w;  // read once: sums over several segments are then added in the same order
  return tanh(h + noise) * sigmoid(h);
}

}  // namespace

TEST_CASE("recompute: gives the same bits as without, random numbers included, also for what follows") {
  std::vector<std::vector<float>> results[2];
  for (const bool again : {false, true}) {
    manual_seed(3);
    const Tensor x = leaf({5, 7}, 1), w = leaf({7}, 2);
    const auto fn = [&](const Tensor& in) { return segment(in, w); };
    Tensor y = x;
    for (int i = 0; i < 3; ++i) y = again ? recompute(fn, y, {w}) : fn(y);
    const Tensor after = rand({3});
    backward(sum(y));
    const Tensor later = rand({3});
    for (const Tensor& t : {y, grad_of(x), grad_of(w), after, later}) results[again].push_back(t.to_vector<float>());
  }
  CHECK(results[0] == results[1]);
}

TEST_CASE("recompute: keeps the segment's input and nothing from inside it") {
  const Tensor x = leaf({64, 64}, 1), w = leaf({64}, 2);
  const std::int64_t before = memory_stats(kCpu).current;
  const Tensor y = recompute([&](const Tensor& in) { return segment(in, w); }, x, {w});
  CHECK(memory_stats(kCpu).current - before == y.bytes());
  CHECK(y.node()->saved_bytes() == x.bytes());
}

TEST_CASE("recompute: tells layers that they run for the second time") {
  const Tensor x = leaf({2}, 1);
  std::vector<bool> seen;
  const auto fn = [&](const Tensor& in) {
    seen.push_back(recomputing());
    return in * 2;
  };
  backward(sum(recompute(fn, x, {})));
  CHECK(seen == std::vector<bool>{false, true});
  CHECK_FALSE(recomputing());
}

TEST_CASE("recompute: without recording runs once") {
  const Tensor x = leaf({2}, 1);
  int runs = 0;
  const NoGrad off;
  const Tensor y = recompute([&](const Tensor& in) { return ++runs, in * 2; }, x, {});
  CHECK(runs == 1);
  CHECK_FALSE(y.requires_grad());
}

TEST_CASE("recompute: segments nest") {
  const Tensor x = leaf({3}, 1), w = leaf({3}, 2);
  const auto inner = [&](const Tensor& in) { return tanh(in * w); };
  const auto outer = [&](const Tensor& in) { return recompute(inner, in * 2, {w}) + in; };
  const auto plain = grad({sum(inner(x * 2) + x)}, {x, w});
  const auto nested = grad({sum(recompute(outer, x, {w}))}, {x, w});
  for (int i = 0; i < 2; ++i)
    CHECK(plain[static_cast<std::size_t>(i)].to_vector<float>() ==
          nested[static_cast<std::size_t>(i)].to_vector<float>());
}

TEST_CASE("recompute: gives only the gradients that grad() asks for") {
  const Tensor x = leaf({3}, 1), w = leaf({3}, 2), v = leaf({3}, 4);
  const Tensor y = sum(recompute([&](const Tensor& in) { return in * w + v; }, x, {w, v}));
  CHECK(grad({y}, {v})[0].to_vector<float>() == std::vector<float>{1, 1, 1});
}

TEST_CASE("recompute: a parameter that is a result, or listed twice, gets its gradient once") {
  const Tensor x = leaf({1}, 1), w = leaf({1}, 2);
  const Tensor scaled = w * 3;
  const auto fn = [&](const Tensor& in) { return in * scaled; };
  backward(sum(recompute(fn, x, {scaled, scaled})));
  CHECK(grad_of(w).item() == doctest::Approx(3 * x.item()));
}

TEST_CASE("recompute: runs the hooks of parameters and input once") {
  const Tensor x = leaf({1}, 1), w = leaf({1}, 2);
  int of_w = 0, of_x = 0;
  register_hook(w, [&](const Tensor& g) { return ++of_w, g * 2; });
  register_hook(x, [&](const Tensor&) { return ++of_x, Tensor(); });
  backward(sum(recompute([&](const Tensor& in) { return in * w; }, x, {w})));
  CHECK(of_w == 1);
  CHECK(of_x == 1);
  CHECK(grad_of(w).item() == doctest::Approx(2 * x.item()));
}

TEST_CASE("recompute: notices that its input or a parameter was written in between") {
  const Tensor x = leaf({1}, 1), w = leaf({1}, 2);
  const Tensor y = sum(recompute([&](const Tensor& in) { return in * w; }, x, {w}));
  Tensor(w).fill_(0);
  CHECK_THROWS_WITH_AS(
      backward(y),
      "recompute: a tensor it saved for backward was written in place by fill_ (version 3, saved at 2)\n"
      "  saved  f32 [1]  cpu",
      GraphError);
}

TEST_CASE("recompute: an error in the second run leaves everything as it was") {
  manual_seed(5);
  const Tensor x = leaf({1}, 1);
  int runs = 0;
  const Tensor y = sum(recompute(
      [&](const Tensor& in) {
        if (++runs == 2) fail("second run");
        return in * rand({1});
      },
      x, {}));
  const Generator before = default_generator();
  CHECK_THROWS_WITH_AS(backward(y), "second run", ValueError);
  CHECK(default_generator().next_stream == before.next_stream);
  CHECK_FALSE(recomputing());
}

TEST_CASE("recompute: has no gradient of its gradient, and says so") {
  const Tensor x = leaf({1}, 1);
  const Tensor y = sum(recompute([](const Tensor& in) { return in * in; }, x, {}));
  CHECK_THROWS_WITH_AS(grad({y}, {x}, {.create_graph = true}),
                       "recompute: has no gradient of its gradient (create_graph)", GraphError);
}

}  // namespace gradus

#include "autograd/engine.hpp"

#include <doctest/doctest.h>

#include <pthread.h>
#include <limits>

#include <cmath>
#include <functional>

#include "autograd/finite.hpp"
#include "autograd/gradcheck.hpp"
#include "core/random.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "ops/view/view.hpp"

namespace gradus {
namespace {

using Doubles = std::vector<double>;
Doubles values(const Tensor& x) { return x.to_vector<double>(); }

Tensor leaf(std::initializer_list<double> v) {
  const Tensor x = from_data(v, {static_cast<std::int64_t>(v.size())}, {.dtype = DType::f64});
  set_requires_grad(x);
  return x;
}

/// Runs fn on a thread whose stack is so small that a recursion along the tape would overflow it.
void on_small_stack(const std::function<void()>& fn) {
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  REQUIRE(pthread_attr_setstacksize(&attributes, 256 << 10) == 0);
  pthread_t thread;
  REQUIRE(pthread_create(
              &thread, &attributes,
              [](void* f) -> void* {
                (*static_cast<const std::function<void()>*>(f))();
                return nullptr;
              },
              const_cast<void*>(static_cast<const void*>(&fn))) == 0);
  pthread_join(thread, nullptr);
  pthread_attr_destroy(&attributes);
}

}  // namespace

TEST_CASE("backward: a tensor that is read several times gets the sum of its gradients") {
  const Tensor x = leaf({2, 3});
  backward(sum(x * x + x * 5 + x));
  CHECK(values(grad_of(x)) == Doubles{10, 12});
}

TEST_CASE("backward: adds to what a leaf holds already") {
  const Tensor x = leaf({1});
  backward(sum(x * 2));
  backward(sum(x * 3));
  CHECK(values(grad_of(x)) == Doubles{5});
  set_grad(x, {});
  CHECK_FALSE(grad_of(x).defined());
  backward(sum(x * 3));
  CHECK(values(grad_of(x)) == Doubles{3});
}

TEST_CASE("backward: a gradient that is an expanded view is never added to in place") {
  // The sum over x is the newest reader of x, so its gradient, one number seen everywhere, comes first.
  const Tensor x = leaf({1, 2, 3, 4});
  const Tensor squares = sum(square(x));
  backward(squares + sum(x) * 10);
  CHECK(values(grad_of(x)) == Doubles{12, 14, 16, 18});
  CHECK(grad_of(x).is_dense());

  const Tensor y = leaf({1, 2, 3, 4});  // the leaf's own store
  backward(sum(y) * 10);
  CHECK(grad_of(y).is_dense());
  backward(sum(square(y)));
  CHECK(values(grad_of(y)) == Doubles{12, 14, 16, 18});
}

TEST_CASE("backward: a leaf's grad is its own memory, the seed and other leaves' grads are others") {
  const Tensor a = leaf({1}), b = leaf({1}), seed = ones({1}, {.dtype = DType::f64});
  backward(a + b, seed);
  grad_of(a).fill_(7);
  CHECK(values(grad_of(b)) == Doubles{1});
  CHECK(values(seed) == Doubles{1});
}

TEST_CASE("backward: a gradient handed out earlier is not changed by a later backward") {
  const Tensor x = leaf({1});
  backward(sum(x * 2));
  const Tensor kept = grad_of(x);
  backward(sum(x * 2));
  CHECK(values(kept) == Doubles{2});
  CHECK(values(grad_of(x)) == Doubles{4});
}

TEST_CASE("backward: a leaf is its own gradient's end") {
  const Tensor x = leaf({5});
  backward(x);
  CHECK(values(grad_of(x)) == Doubles{1});
}

TEST_CASE("backward: needs a seed for more than one number, and one that fits") {
  const Tensor x = leaf({1, 2});
  CHECK_THROWS_WITH_AS(backward(x * 2),
                       "backward: the output has 2 elements; give a seed or reduce it to one number\n  f64 [2]  cpu",
                       ShapeError);
  CHECK_THROWS_WITH_AS(backward(x * 2, ones({2})),
                       "backward: the seed is not like the output\n  output  f64 [2]  cpu\n  seed    f32 [2]  cpu",
                       ShapeError);
  backward(x * 2, from_data({1, 10}, {2}, {.dtype = DType::f64}));
  CHECK(values(grad_of(x)) == Doubles{2, 20});
}

TEST_CASE("backward: without history there is nothing to do, and that is an error") {
  CHECK_THROWS_WITH_AS(backward(ones({1})),
                       "backward: the tensor has no history; no input asked for a gradient\n  f32 [1]  cpu",
                       GraphError);
}

TEST_CASE("backward: frees the graph, and a second run says so; retain_graph keeps it") {
  const Tensor x = leaf({3});
  const Tensor y = sum(square(x));
  backward(y, {}, {.retain_graph = true});
  backward(y);
  CHECK(values(grad_of(x)) == Doubles{12});
  CHECK_THROWS_WITH_AS(
      backward(y),
      "sum: backward runs a second time through a graph that was freed (pass retain_graph to the first call)",
      GraphError);
}

TEST_CASE("backward: saved tensors are freed as it passes, not at the end") {
  const Tensor x = leaf({1});
  Tensor y = x;
  for (int i = 0; i < 4; ++i) y = exp(y);
  std::vector<std::int64_t> saved;  // what the older half still holds when the newest has run
  Node* newest = y.node().get();
  register_hook(y.node()->inputs[0].node ? y : y, [&](const Tensor&) {
    saved.push_back(newest->saved_bytes());
    return Tensor();
  });
  backward(y);
  CHECK(saved == std::vector<std::int64_t>{8});
  CHECK(newest->saved_bytes() == 0);
}

TEST_CASE("create_graph: a gradient has a gradient, to any depth") {
  const Tensor x = leaf({2});
  Tensor y = pow(x, 5);
  for (const double expected : {5 * 16.0, 20 * 8.0, 60 * 4.0, 120 * 2.0}) {
    y = grad({sum(y)}, {x}, {.create_graph = true})[0];
    CHECK(values(y)[0] == doctest::Approx(expected));
  }
}

TEST_CASE("create_graph: the sum rule is recorded") {
  const Tensor x = leaf({2});
  const Tensor y = sum(x * x * x + x * x);
  const Tensor g = grad({y}, {x}, {.create_graph = true})[0];
  CHECK(values(g)[0] == 16);
  backward(sum(g));
  CHECK(values(grad_of(x))[0] == 14);
}

TEST_CASE("create_graph: backward() into a leaf records too") {
  const Tensor x = leaf({3});
  backward(sum(x * x), {}, {.create_graph = true});
  const Tensor g = grad_of(x);
  CHECK(g.requires_grad());
  set_grad(x, {});  // breaks the cycle leaf -> grad -> history -> leaf
  backward(sum(g));
  CHECK(values(grad_of(x)) == Doubles{2});
}

TEST_CASE("grad: returns gradients of leaves and results, and leaves no trace in leaves") {
  const Tensor x = leaf({2}), w = leaf({3});
  const Tensor h = x * w;
  const auto g = grad({sum(square(h))}, {x, h, w});
  CHECK(values(g[0]) == Doubles{36});
  CHECK(values(g[1]) == Doubles{12});
  CHECK(values(g[2]) == Doubles{24});
  CHECK_FALSE(grad_of(x).defined());
}

TEST_CASE("grad: of several outputs is the gradient of their weighted sum") {
  const Tensor x = leaf({2});
  const Tensor a = x * 3, b = square(x), seed = full({1}, 10, {.dtype = DType::f64}), one = ones_like(seed);
  CHECK(values(grad({a, b, a}, {x}, {.seeds = {one, seed, one}})[0]) == Doubles{46});
  CHECK_THROWS_WITH_AS(grad({x * 1}, {x}, {.seeds = {one, one}}), "grad: 2 seeds for 1 outputs", GraphError);
}

TEST_CASE("grad: of an output with respect to itself is the seed") {
  const Tensor x = leaf({2});
  const Tensor y = x * 3;
  CHECK(values(grad({y}, {y})[0]) == Doubles{1});
}

TEST_CASE("grad: an input that nothing depends on is an error, or undefined with allow_unused") {
  const Tensor x = leaf({2}), other = leaf({1});
  const Tensor y = x * 3;
  CHECK_THROWS_WITH_AS(grad({y}, {x, other}, {.retain_graph = true}),
                       "grad: no output depends on input 1 (allow_unused)\n  f64 [1]  cpu", GraphError);
  const auto g = grad({y}, {x, other}, {.allow_unused = true});
  CHECK(values(g[0]) == Doubles{3});
  CHECK_FALSE(g[1].defined());
  CHECK_THROWS_WITH_AS(grad({x * 1}, {ones({1})}), "grad: an input does not require a gradient\n  f32 [1]  cpu",
                       GraphError);
}

namespace {
/// a * b that counts which gradients it is asked for.
struct CountingProduct final : Node {
  Saved a, b;
  int* first;
  int* second;
  const char* name() const override { return "counting_product"; }
  Grads backward(const Tensor& gy) override {
    Grads g(2);
    if (needs(0)) g[0] = gy * b.get(*this), ++*first;
    if (needs(1)) g[1] = gy * a.get(*this), ++*second;
    return g;
  }
  void release() override { a.reset(), b.reset(); }
};
Tensor counting_product(const Tensor& a, const Tensor& b, int* first, int* second) {
  const Tensor y = a.detach().clone();
  {
    const NoGrad off;
    Tensor(y).copy_(a * b);
  }
  auto node = std::make_shared<CountingProduct>();
  node->a = a, node->b = b, node->first = first, node->second = second;
  attach(y, std::move(node), {a, b});
  return y;
}
}  // namespace

TEST_CASE("grad: computes only what leads to the inputs asked for, and all of it again afterwards") {
  int first = 0, second = 0;
  const Tensor x = leaf({2}), w = leaf({3});
  const Tensor y = counting_product(x, w, &first, &second);
  CHECK(values(grad({y}, {w}, {.retain_graph = true})[0]) == Doubles{2});
  CHECK(first == 0);
  CHECK(second == 1);
  backward(y);
  CHECK(first == 1);
  CHECK(second == 2);
}

TEST_CASE("grad: stops at a result it was asked for and leaves what lies below intact") {
  int first = 0, second = 0;
  const Tensor x = leaf({2}), w = leaf({3});
  const Tensor h = counting_product(x, w, &first, &second);
  CHECK(values(grad({square(h)}, {h})[0]) == Doubles{12});
  CHECK(first + second == 0);
  backward(h);  // not freed
  CHECK(values(grad_of(x)) == Doubles{3});
}

TEST_CASE("hooks: see the complete gradient and may replace it") {
  const Tensor x = leaf({2});
  const Tensor h = x * 3;
  Doubles seen;
  register_hook(h, [&](const Tensor& g) {
    seen = values(g);
    return g * 10;
  });
  register_hook(h, [](const Tensor&) { return Tensor(); });  // looks only
  backward(sum(h + h * 4));
  CHECK(seen == Doubles{5});
  CHECK(values(grad_of(x)) == Doubles{150});
}

TEST_CASE("hooks: a leaf's runs once its last reader is done, before older parts of the tape") {
  const Tensor w1 = leaf({2}), w2 = leaf({3}), x = leaf({1});
  std::vector<std::string> order;
  const auto note = [&](const char* name) {
    return [&order, name](const Tensor&) {
      order.emplace_back(name);
      return Tensor();
    };
  };
  const Tensor h = x * w1;
  register_hook(h, note("h"));
  register_hook(x, note("x"));
  register_hook(w1, note("w1"));
  register_hook(w2, note("w2"));
  backward(h * w2);
  CHECK(order == std::vector<std::string>{"w2", "h", "x", "w1"});
}

TEST_CASE("hooks: a replacement of another shape is refused, and so is a hook on what has no gradient") {
  const Tensor x = leaf({2, 3});
  register_hook(x, [](const Tensor&) { return ones({1}, {.dtype = DType::f64}); });
  CHECK_THROWS_WITH_AS(backward(sum(x)),
                       "hook: replaced a gradient of leaf by one of another shape or dtype\n"
                       "  gradient  f64 [2]  cpu\n  replaced  f64 [1]  cpu",
                       GraphError);
  CHECK_THROWS_WITH_AS(register_hook(ones({1}), nullptr), "register_hook: the tensor has no gradient\n  f32 [1]  cpu",
                       GraphError);
}

TEST_CASE("NoGrad: records nothing while it lives, and nests") {
  const Tensor x = leaf({1});
  {
    const NoGrad off;
    CHECK_FALSE(grad_enabled());
    CHECK_FALSE((x * 2).requires_grad());
    {
      const GradMode on(true);
      CHECK((x * 2).requires_grad());
    }
    CHECK_FALSE(grad_enabled());
  }
  CHECK(grad_enabled());
}

TEST_CASE("detach: the same elements, off the tape") {
  const Tensor x = leaf({2});
  backward(sum(x * (x * 5).detach()));
  CHECK(values(grad_of(x)) == Doubles{10});
}

TEST_CASE("versions: an in-place write to what backward needs names both operators") {
  const Tensor x = leaf({1, 2});
  const Tensor y = exp(x) * 1;
  const Tensor z = square(y);
  y.detach().fill_(0);
  CHECK_THROWS_WITH_AS(backward(sum(z)),
                       "square: a tensor it saved for backward was written in place by fill_ (version 1, saved at 0)\n"
                       "  saved  f64 [2]  cpu",
                       GraphError);
}

TEST_CASE("versions: writing what backward does not need is allowed") {
  const Tensor x = leaf({1, 2});
  const Tensor y = x * 3;
  const Tensor z = sum(y);
  y.detach().fill_(0);
  CHECK_NOTHROW(backward(z));
}

TEST_CASE("in-place writes: a leaf may be written, a result on the tape may not") {
  const Tensor x = leaf({1, 2});
  CHECK_NOTHROW(Tensor(x).fill_(3));
  Tensor y = x * 2;
  CHECK_THROWS_WITH_AS(y.fill_(0),
                       "fill_: the tensor is a result on the tape; writing it would falsify its gradient "
                       "(write a clone(), or detach() it if that is meant)\n  self  f64 [2]  cpu",
                       GraphError);
  CHECK_THROWS_AS(y.copy_(x), GraphError);
  CHECK_THROWS_AS(y.accumulate_(x), GraphError);
}

TEST_CASE("leaves: integers have no gradient, results are no leaves, and a leaf can leave the tape") {
  CHECK_THROWS_WITH_AS(set_requires_grad(arange(0, 2)),
                       "requires_grad: only floating tensors have gradients, got i64 [2]  cpu", DTypeError);
  const Tensor x = leaf({1});
  const Tensor y = x * 2;
  CHECK(is_leaf(x));
  CHECK_FALSE(is_leaf(y));
  CHECK_THROWS_WITH_AS(set_requires_grad(y),
                       "requires_grad: the tensor is the result of affine, not a leaf (detach() it)\n  f64 [1]  cpu",
                       GraphError);
  CHECK_THROWS_AS(grad_of(y), GraphError);
  set_requires_grad(x, false);
  CHECK_FALSE((x * 2).requires_grad());
}

TEST_CASE("anomaly mode: forward stops at the first operator whose result is not finite") {
  const AnomalyMode on;
  const std::string name = "layer1.conv1";
  const Scope scope(name);
  const Tensor x = leaf({-1, 1});
  CHECK_THROWS_WITH_AS(log(x),
                       "log: the result has a NaN or an infinity, in layer1.conv1\n"
                       "  y   f64 [2]  cpu\n  x0  f64 [2]  cpu",
                       ValueError);
}

TEST_CASE("anomaly mode: backward stops at the first gradient that is not finite, and says where it was made") {
  const std::string name = "head";
  const Tensor x = leaf({0, 1});
  Tensor y;
  {
    const Scope scope(name);
    y = sum(sqrt(x));
  }
  CHECK_NOTHROW(backward(y, {}, {.retain_graph = true}));
  CHECK(std::isinf(values(grad_of(x))[0]));
  const AnomalyMode on;
  CHECK_THROWS_WITH_AS(backward(y),
                       "sqrt: backward gave input 0 a gradient with a NaN or an infinity, in head\n"
                       "  gradient  f64 [2]  cpu",
                       ValueError);
}

TEST_CASE("all_finite: finds one bad element anywhere, in every floating dtype and layout") {
  for (const DType dtype : {DType::f32, DType::f64, DType::bf16, DType::f16}) {
    Tensor x = zeros({2, 3, 40, 50}, {.dtype = dtype, .format = Format::channels_last});
    CHECK(all_finite(x));
    x.as_strided({}, {}, x.numel() - 1).fill_(NAN);
    CHECK_FALSE(all_finite(x));
    CHECK(all_finite(x.as_strided({10}, {1}, 0)));
    x.fill_(-INFINITY);
    CHECK_FALSE(all_finite(x));
  }
  CHECK(all_finite(arange(0, 3)));
  CHECK(all_finite(zeros({0})));
}

TEST_CASE("scope: nodes carry the innermost name") {
  const std::string outer = "layer1", inner = "layer1.0";
  const Tensor x = leaf({1});
  const Scope a(outer);
  {
    const Scope b(inner);
    CHECK((x * 2).node()->where == "layer1.0");
  }
  CHECK((x * 2).node()->where == "layer1");
}

TEST_CASE("tape: a chain of 200,000 operators builds, runs backward and is freed on a small stack") {
  on_small_stack([] {
    const Tensor x = leaf({1});
    Tensor y = x;
    for (int i = 0; i < 200'000; ++i) y = y + 1.0;
    backward(y);
    CHECK(values(grad_of(x)) == Doubles{1});
  });
}

TEST_CASE("tape: long chains of saved tensors, shared nodes and diamonds are freed on a small stack") {
  on_small_stack([] {
    const Tensor x = leaf({1});
    {
      Tensor y = x;
      for (int i = 0; i < 100'000; ++i) y = sigmoid(y) * x;  // never run: what is saved is freed with the tape
    }
    std::vector<Tensor> half;
    Tensor y = x;
    for (int i = 0; i < 60'000; ++i) {
      y = y * 0.5 + y * 0.5;
      if (i % 1000 == 0) half.push_back(y);
    }
    backward(y);
    CHECK(values(grad_of(x))[0] == doctest::Approx(1));
    y = Tensor();
    half.clear();
  });
}

TEST_CASE("gradcheck: a gradient that is NaN is wrong") {
  struct NotANumber final : Node {
    const char* name() const override { return "not_a_number"; }
    Grads backward(const Tensor& gy) override { return {gy * std::numeric_limits<double>::quiet_NaN()}; }
    void release() override {}
  };
  const auto twice = [](const std::vector<Tensor>& in) {
    const Tensor y = (in[0].detach() * 2);
    attach(y, std::make_shared<NotANumber>(), {in[0]});
    return y;
  };
  CHECK_THROWS_WITH_AS(gradcheck(twice, {leaf({1, 2})}), doctest::Contains("backward says nan"), GraphError);
}

TEST_CASE("gradcheck: finds a wrong rule and names input, place and both numbers") {
  struct Wrong final : Node {
    const char* name() const override { return "wrong"; }
    Grads backward(const Tensor& gy) override { return {gy * 3}; }
    void release() override {}
  };
  const auto twice_but_wrong = [](const std::vector<Tensor>& in) {
    const Tensor y = (in[0].detach() * 2);
    attach(y, std::make_shared<Wrong>(), {in[0]});
    return y;
  };
  try {
    gradcheck(twice_but_wrong, {leaf({1, 2})});
    FAIL("accepted");
  } catch (const GraphError& e) {
    const std::string text = e.what();
    CHECK(text.starts_with("gradcheck: input 0 at [0]: backward says "));
    CHECK(text.find("\n  input  f64 [2]  cpu") != std::string::npos);
  }
  CHECK_THROWS_WITH_AS(gradcheck(twice_but_wrong, {ones({1})}), "gradcheck: no input requires a gradient", GraphError);
}

}  // namespace gradus

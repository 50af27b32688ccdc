// Fits y = 3 x - 2 with the installed library; exits 0 if it finds the line.
#include <cmath>
#include <cstdio>
#include <gradus/gradus.hpp>

int main() {
  using namespace gradus;
  manual_seed(1);
  const Tensor x = randn({64, 1}), y = 3 * x - 2;
  const Tensor w = zeros({1}), b = zeros({1});
  set_requires_grad(w);
  set_requires_grad(b);
  for (int step = 0; step < 100; ++step) {
    const Tensor loss = mean(square(x * w + b - y));
    const auto g = grad({loss}, {w, b});
    Tensor(w).accumulate_(g[0] * -0.1);
    Tensor(b).accumulate_(g[1] * -0.1);
  }
  std::printf("w %.4f, b %.4f, %s\n", w.item(), b.item(), isa_name(isa()));
  return std::abs(w.item() - 3) < 1e-3 && std::abs(b.item() + 2) < 1e-3 ? 0 : 1;
}

#include "nn/ema.hpp"

#include <doctest/doctest.h>

#include "core/random.hpp"

using namespace gradus;

namespace {

struct Net : Module {
  Tensor forward(const Tensor& x) override { return x; }
  Parameter w{zeros({2, 3, 2, 2}, {.format = Format::channels_last})};
  Buffer mean{zeros({5})};
  Buffer batches{zeros({}, {.dtype = DType::i64})};
  GRADUS_MEMBERS(w, mean, batches)
};

}  // namespace

TEST_CASE("ema: follows weights and running statistics, with a ramp at the start; counters are copied") {
  Net net;
  Ema ema(net, 0.9);
  net.w.fill_(1);
  net.mean.fill_(2);
  net.batches.fill_(7);
  ema.update();  // decay (1 + 1) / (10 + 1)
  ema.swap();
  CHECK(net.w.to_vector<float>()[3] == doctest::Approx(9.0 / 11));
  CHECK(net.mean.to_vector<float>()[3] == doctest::Approx(18.0 / 11));
  CHECK(net.batches.item() == 7);
  ema.swap();
  CHECK(net.w.to_vector<float>()[3] == 1);
  for (int i = 0; i < 300; ++i) ema.update();
  CHECK(ema.state()[0].name == "w");
  CHECK(ema.state()[0].tensor->to_vector<float>()[0] == doctest::Approx(1));
}

TEST_CASE("ema: refuses a decay of one") {
  Net net;
  CHECK_THROWS_WITH_AS(Ema(net, 1), "ema: decay must be in [0, 1), got 1", ValueError);
}

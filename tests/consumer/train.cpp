// The page of code in the README: a network of one's own, trained on the built-in images.
#include <cstdio>
#include <cstdlib>
#include <gradus/gradus.hpp>

using namespace gradus;

// A residual block. A module is its members, one line that names them, and forward.
struct Block : Module {
  explicit Block(int width)
      : conv1(width, width, {.kernel = 3, .padding = 1, .bias = false}),
        bn1(width),
        conv2(width, width, {.kernel = 3, .padding = 1, .bias = false}),
        bn2(width) {}
  Tensor forward(const Tensor& x) override {  // [N, width, H, W] -> the same
    return bn2.add_relu(conv2(bn1.relu(conv1(x))), x);
  }
  Conv2d conv1;
  BatchNorm2d bn1;
  Conv2d conv2;
  BatchNorm2d bn2;
  GRADUS_MEMBERS(conv1, bn1, conv2, bn2)  // "conv1.weight", "bn1.weight", "bn1.bias", …
};

int main(int argc, char** argv) {
  const int steps = argc > 1 ? std::atoi(argv[1]) : 300;
  manual_seed(1);  // the same seed gives the same bits, whatever the number of threads
  Sequential net(Conv2d(3, 32, {.kernel = 3, .padding = 1}), Block(32), MaxPool2d(2), Block(32), MaxPool2d(2),
                 Block(32), AdaptiveAvgPool2d(1), Flatten(), Linear(32, 10));

  const auto images = std::make_shared<data::Shapes>();  // or data::read_cifar(folder, …)
  data::Loader loader(images, data::Pipeline::parse("random_crop(32, padding=4) | flip | normalize(cifar10)"),
                      {.batch = 128, .shuffle = true, .drop_last = true});
  optim::Sgd sgd(net, {.momentum = 0.9, .weight_decay = 1e-4});
  const Schedule lr = schedule::one_cycle({.max_lr = 0.1, .total = steps});

  double first = 0, last = 0;
  for (int t = 0; t < steps; ++t) {
    auto batch = loader.next();
    if (!batch) batch = loader.next();  // an epoch ended, another begins
    const Tensor loss = cross_entropy(net(batch->images), batch->labels);
    sgd.zero_grad();
    backward(loss);  // walks the tape from newest to oldest
    sgd.set_lr(lr(t));
    sgd.step();
    last = loss.item();
    if (t == 0) first = last;
    if (t % 50 == 0) std::printf("step %3d  loss %.3f\n", t, last);
  }
  std::printf("loss %.3f -> %.3f\n", first, last);
  return last < first ? 0 : 1;
}

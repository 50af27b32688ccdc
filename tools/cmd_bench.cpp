// gradus bench

#include "tools/program.hpp"

namespace gradus::program {

void add_bench_step(Command bench);
void add_bench_op(Command bench);
void add_bench_kernel(Command bench);
void add_bench_loader(Command bench);

void add_bench(Command app) {
  const Command bench =
      app.add_command("bench", "Measure speed and memory",
                      "gradus bench step --model resnet20 --batch 128 --input 3x32x32 --classes 10 --threads 2");
  bench.require_command();
  add_bench_step(bench);
  add_bench_op(bench);
  add_bench_kernel(bench);
  add_bench_loader(bench);
}

}  // namespace gradus::program

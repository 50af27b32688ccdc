// gradus bench

#include "tools/program.hpp"

namespace gradus::program {

void add_bench_step(CLI::App& bench);
void add_bench_op(CLI::App& bench);

void add_bench(CLI::App& app) {
  CLI::App& bench =
      add_command(app, "bench", "Measure speed and memory",
                  "gradus bench step --model resnet20 --batch 128 --input 3x32x32 --classes 10 --threads 2");
  bench.require_subcommand(1);
  add_bench_step(bench);
  add_bench_op(bench);
}

}  // namespace gradus::program

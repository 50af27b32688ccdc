#pragma once
// The commands around training runs, beside `train` itself (tools/program.hpp).

#include "tools/command_line.hpp"

namespace gradus::program {

void add_find_lr(Command app);
void add_sweep(Command app);
void add_report(Command app);

}  // namespace gradus::program

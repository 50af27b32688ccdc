#include <csignal>

#include "tools/program.hpp"

int main(int argc, char** argv) {
  // A write past `ulimit -f` is then an error with a message, like a full disk's, and not the end of the process.
  std::signal(SIGXFSZ, SIG_IGN);
  return gradus::program::run(argc, argv);
}

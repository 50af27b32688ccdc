#include "tools/program.hpp"

int main(int argc, char** argv) { return gradus::program::run(argc, argv); }

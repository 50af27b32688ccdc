#pragma once
// The tape of a result, to look at: as text, as Graphviz DOT, and as a page that needs no network.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "autograd/node.hpp"

namespace gradus {

/// One entry of the tape, without its data.
struct TapeEntry {
  std::string op;      // "conv2d"; "leaf" for a parameter or an input
  std::string name;    // a leaf's name, where it is known: "layer1.0.conv1.weight"
  std::string module;  // where it was recorded: "layer1.0.conv1"; empty outside modules
  std::string dtype;   // of the result
  Shape shape;
  std::int64_t saved_bytes = 0;  // kept for backward by this entry alone (a tensor that two entries save counts twice)
  std::vector<int> inputs;       // entries that it reads; -1 where an input needs no gradient
  bool leaf = false;
};

/// A copy of the tape's structure: entries in the order they were recorded, so that inputs come first.
struct Tape {
  std::vector<TapeEntry> entries;
  std::int64_t saved_bytes() const;
};

/// Names for leaves, e.g. a model's parameters.
using LeafNames = std::vector<std::pair<std::string, Tensor>>;

/// The tape below the results. GraphError if one of them has no history.
Tape tape_of(const std::vector<Tensor>& results, const LeafNames& names = {});
inline Tape tape_of(const Tensor& result, const LeafNames& names = {}) {
  return tape_of(std::vector<Tensor>{result}, names);
}

/// A line per entry: number, operator, result, the entries it reads, bytes saved, module.
std::string to_text(const Tape& tape);
/// For Graphviz: `dot -Tsvg`. Modules are clusters.
std::string to_dot(const Tape& tape, const std::string& title = "tape");
/// A self-contained page: modules fold and unfold, the drawing zooms and pans.
std::string to_html(const Tape& tape, const std::string& title = "tape");

}  // namespace gradus

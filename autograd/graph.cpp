#include "autograd/graph.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>
#include <unordered_set>

#include "autograd/graph_page.hpp"

namespace gradus {
namespace {

/// "8.0 MiB"
std::string readable_bytes(std::int64_t bytes) {
  if (bytes < 1024) return fmt::format("{} B", bytes);
  if (bytes < 1024 * 1024) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1024 * 1024));
}

/// A string literal of JSON, which is also one of DOT. '<' is escaped, so that no text can end a page's script.
std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\')
      out += fmt::format("\\{}", c);
    else if (static_cast<unsigned char>(c) < 0x20 || c == '<')
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(c));
    else
      out += c;
  }
  return out + '"';
}

std::string html_escaped(const std::string& text) {
  std::string out;
  for (const char c : text) out += c == '<' ? "&lt;" : c == '>' ? "&gt;" : c == '&' ? "&amp;" : std::string(1, c);
  return out;
}

/// "layer1.0.conv1.weight" -> "layer1.0.conv1"
std::string parent(const std::string& path) {
  const std::size_t dot = path.rfind('.');
  return dot == std::string::npos ? "" : path.substr(0, dot);
}

std::string result_of(const TapeEntry& e) { return fmt::format("{} {}", e.dtype, to_string(e.shape)); }

}  // namespace

std::int64_t Tape::saved_bytes() const {
  std::int64_t bytes = 0;
  for (const TapeEntry& e : entries) bytes += e.saved_bytes;
  return bytes;
}

Tape tape_of(const std::vector<Tensor>& results, const LeafNames& names) {
  std::vector<Node*> found;
  std::unordered_set<Node*> seen;
  for (const Tensor& y : results) {
    if (!y.requires_grad())
      fail<GraphError>("graph: the tensor has no history; no input asked for a gradient\n  {}", describe(y));
    if (seen.insert(y.node().get()).second) found.push_back(y.node().get());
  }
  for (std::size_t i = 0; i < found.size(); ++i)  // a list instead of recursion: tapes are long
    for (const InputEdge& input : found[i]->inputs)
      if (input.node && seen.insert(input.node.get()).second) found.push_back(input.node.get());

  // A leaf is as old as its tensor, maybe older than the module that reads it; it is listed before its first reader.
  std::unordered_map<Node*, std::uint64_t> place;
  for (Node* n : found) place[n] = n->born;
  for (Node* n : found)
    for (const InputEdge& input : n->inputs)
      if (input.node && input.node->inputs.empty()) {
        auto& at = place[input.node.get()];
        at = at == input.node->born ? n->born : std::min(at, n->born);
      }
  std::sort(found.begin(), found.end(), [&](Node* a, Node* b) {
    return std::pair(place[a], !a->inputs.empty()) < std::pair(place[b], !b->inputs.empty()) ||
           (std::pair(place[a], !a->inputs.empty()) == std::pair(place[b], !b->inputs.empty()) && a->born < b->born);
  });

  std::unordered_map<Node*, std::string> name_of;
  for (const auto& [name, tensor] : names)
    if (tensor.requires_grad()) name_of[tensor.node().get()] = name;
  std::unordered_map<Node*, int> number;
  for (std::size_t i = 0; i < found.size(); ++i) number[found[i]] = static_cast<int>(i);

  Tape tape;
  for (Node* n : found) {
    TapeEntry e;
    e.op = n->name();
    e.leaf = dynamic_cast<Leaf*>(n) != nullptr;
    if (const auto name = name_of.find(n); name != name_of.end()) e.name = name->second;
    e.module = e.leaf ? parent(e.name) : n->where;
    e.dtype = dtype_name(n->dtype);
    e.shape = n->shape;
    e.saved_bytes = n->saved_bytes();
    for (const InputEdge& input : n->inputs) e.inputs.push_back(input.node ? number[input.node.get()] : -1);
    tape.entries.push_back(std::move(e));
  }
  return tape;
}

std::string to_text(const Tape& tape) {
  std::vector<std::array<std::string, 4>> rows;
  std::array<std::size_t, 4> width{};
  for (const TapeEntry& e : tape.entries) {
    std::vector<std::string> reads;
    for (const int i : e.inputs) reads.push_back(i < 0 ? "-" : fmt::format("%{}", i));
    rows.push_back({e.leaf && !e.name.empty() ? e.name : e.op, result_of(e), fmt::format("{}", fmt::join(reads, ", ")),
                    e.saved_bytes > 0 ? "saves " + readable_bytes(e.saved_bytes) : ""});
    for (std::size_t k = 0; k < width.size(); ++k) width[k] = std::max(width[k], rows.back()[k].size());
  }
  std::string out;
  for (std::size_t i = 0; i < rows.size(); ++i) {
    std::string line = fmt::format("%{:<3}", i);
    for (std::size_t k = 0; k < width.size(); ++k) line += fmt::format("  {:<{}}", rows[i][k], width[k]);
    if (!tape.entries[i].leaf && !tape.entries[i].module.empty()) line += "  " + tape.entries[i].module;
    out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
  }
  return out;
}

std::string to_dot(const Tape& tape, const std::string& title) {
  std::string out = fmt::format(
      "digraph {} {{\n  label={};\n  labelloc=t;\n  node [shape=box, style=\"rounded,filled\", fillcolor=\"#e8eef7\", "
      "fontname=\"Helvetica\"];\n",
      quoted(title), quoted(title));
  std::map<std::string, std::vector<std::size_t>> members;
  for (std::size_t i = 0; i < tape.entries.size(); ++i) {
    const TapeEntry& e = tape.entries[i];
    members[e.module].push_back(i);
    for (std::string path = e.module; !path.empty(); path = parent(path)) members[parent(path)];
    std::string label = (e.leaf && !e.name.empty() ? e.name : e.op) + "\n" + result_of(e);
    if (e.saved_bytes > 0) label += "\nsaves " + readable_bytes(e.saved_bytes);
    std::string text = quoted(label);
    for (std::size_t at; (at = text.find("\\u000a")) != std::string::npos;) text.replace(at, 6, "\\n");
    out += fmt::format("  n{} [label={}{}];\n", i, text, e.leaf ? ", fillcolor=\"#f6ecd9\"" : "");
    for (const int input : e.inputs)
      if (input >= 0) out += fmt::format("  n{} -> n{};\n", input, i);
  }
  // Nested clusters; paths are as deep as modules nest, which is little.
  int cluster = 0;
  const std::function<void(const std::string&, int)> write = [&](const std::string& path, int depth) {
    const std::string indent(static_cast<std::size_t>(depth) * 2, ' ');
    if (!path.empty()) {
      out += fmt::format("{}subgraph cluster_{} {{\n{}  label={};\n", indent, cluster++, indent, quoted(path));
      for (const std::size_t i : members[path]) out += fmt::format("{}  n{};\n", indent, i);
    }
    for (const auto& [inner, _] : members)
      if (!inner.empty() && parent(inner) == path) write(inner, depth + 1);
    if (!path.empty()) out += indent + "}\n";
  };
  write("", 0);
  return out + "}\n";
}

std::string to_html(const Tape& tape, const std::string& title) {
  std::string data = "[";
  for (const TapeEntry& e : tape.entries)
    data +=
        fmt::format("{}{{\"op\":{},\"name\":{},\"module\":{},\"result\":{},\"saved\":{},\"inputs\":[{}],\"leaf\":{}}}",
                    data.size() > 1 ? ",\n" : "\n", quoted(e.op), quoted(e.name), quoted(e.module),
                    quoted(result_of(e)), e.saved_bytes, fmt::join(e.inputs, ","), e.leaf);
  data += "\n]";
  std::string page = kGraphPage;
  const auto fill = [&](const std::string& mark, const std::string& text) {
    for (std::size_t at = page.find(mark); at != std::string::npos; at = page.find(mark, at + text.size()))
      page.replace(at, mark.size(), text);
  };
  fill("@TITLE@", html_escaped(title));
  fill("@TAPE@", data);
  return page;
}

}  // namespace gradus

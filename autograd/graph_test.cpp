#include "autograd/graph.hpp"

#include <doctest/doctest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"

namespace gradus {
namespace {

Tensor leaf(const Shape& shape) {
  const Tensor x = ones(shape);
  set_requires_grad(x);
  return x;
}

/// relu(x * w) + x, summed; two modules.
struct Example {
  Tensor x = leaf({2, 3}), w = leaf({3}), y;
  Example() {
    const std::string block = "layer1.0", head = "head";
    Tensor h;
    {
      const Scope scope(block);
      h = relu(x * w) + x;
    }
    const Scope scope(head);
    y = sum(h);
  }
};

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) ++n;
  return n;
}

}  // namespace

TEST_CASE("tape_of: lists the entries in the order they were recorded, inputs first") {
  const Example e;
  const Tape tape = tape_of(e.y, {{"layer1.0.weight", e.w}});
  CHECK(to_text(tape) ==
        "%0    leaf             f32 [2, 3]\n"
        "%1    layer1.0.weight  f32 [3]\n"
        "%2    mul              f32 [2, 3]  %0, %1  saves 36 B  layer1.0\n"
        "%3    relu             f32 [2, 3]  %2      saves 24 B  layer1.0\n"
        "%4    add              f32 [2, 3]  %3, %0              layer1.0\n"
        "%5    sum              f32 []      %4                  head\n");
  CHECK(tape.saved_bytes() == 60);
  CHECK(tape.entries[1].module == "layer1.0");
}

TEST_CASE("tape_of: an input without gradient is a dash, and a result without history is refused") {
  const Tensor x = leaf({2});
  CHECK(to_text(tape_of(x * ones({2}))).find("%0, -") != std::string::npos);
  CHECK_THROWS_WITH_AS(tape_of(ones({2})),
                       "graph: the tensor has no history; no input asked for a gradient\n  f32 [2]  cpu", GraphError);
}

TEST_CASE("tape_of: several results share one tape") {
  const Tensor x = leaf({2});
  const Tensor h = x * 2;
  CHECK(tape_of({exp(h), relu(h)}).entries.size() == 4);
}

TEST_CASE("to_dot: has a node for each entry, an edge for each input, and modules as nested clusters") {
  const Example e;
  const std::string dot = to_dot(tape_of(e.y), "a \"title\"");
  CHECK(dot.starts_with("digraph \"a \\\"title\\\"\" {"));
  CHECK(count(dot, "[label=") == 6);
  CHECK(count(dot, " -> ") == 6);
  CHECK(count(dot, "subgraph cluster_") == 3);  // layer1, layer1.0, head
  CHECK(dot.find("label=\"relu\\nf32 [2, 3]\\nsaves 24 B\"") != std::string::npos);
}

TEST_CASE("to_html: is one page with the tape as JSON in it and nothing loaded from elsewhere") {
  const Example e;
  const std::string page = to_html(tape_of(e.y, {{"</script>", e.w}}), "<ResNet>");
  CHECK(page.find("<title>&lt;ResNet&gt;</title>") != std::string::npos);
  CHECK(count(page, "</script>") == 1);
  for (const char* outside : {"src=", "href=", "@import", "fetch("}) CHECK(count(page, outside) == 0);
  const std::size_t begin = page.find("const tape = ") + 13;
  const auto json = nlohmann::json::parse(page.substr(begin, page.find("];", begin) + 1 - begin));
  CHECK(json.size() == 6);
  CHECK(json[2]["op"] == "mul");
  CHECK(json[2]["inputs"] == nlohmann::json({0, 1}));
  CHECK(json[2]["saved"] == 36);
  CHECK(json[1]["name"] == "</script>");
  CHECK(json[3]["module"] == "layer1.0");
}

}  // namespace gradus

// The snippets of docs/tape.md: each block of C++ there must stand here, and each output there must be what comes out.
#include <doctest/doctest.h>

#include <fstream>
#include <sstream>

#include "autograd/engine.hpp"
#include "autograd/function.hpp"
#include "autograd/gradcheck.hpp"
#include "autograd/graph.hpp"
#include "ops/pointwise/binary.hpp"
#include "ops/reduce/reduce.hpp"
#include "tests/harness/paths.hpp"

namespace gradus {
namespace {

std::string read(const std::string& path) {
  std::ifstream in(test::source_dir() + "/" + path);
  REQUIRE_MESSAGE(in.good(), path);
  std::stringstream text;
  text << in.rdbuf();
  return text.str();
}

/// The fenced blocks of a document that begin with ``` and this language.
std::vector<std::string> blocks(const std::string& document, const std::string& language) {
  std::vector<std::string> found;
  std::istringstream in(document);
  bool inside = false, wanted = false;
  for (std::string line; std::getline(in, line);) {
    if (line.starts_with("```")) {
      if (!inside && (wanted = line == "```" + language)) found.emplace_back();
      inside = !inside;
    } else if (inside && wanted) {
      found.back() += line + "\n";
    }
  }
  return found;
}

/// Without comments and white space, so that a snippet may be laid out for its page.
std::string essence(const std::string& code) {
  std::string out;
  std::istringstream in(code);
  for (std::string line; std::getline(in, line);) {
    line = line.substr(0, line.find("//"));
    for (const char c : line)
      if (!std::isspace(static_cast<unsigned char>(c))) out += c;
  }
  return out;
}

template <class Fn>
std::string error_of(const Fn& fn) {
  try {
    fn();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

Tensor softplus(const Tensor& x) {
  return custom_op(
      "softplus", {x},
      [](Context& saved, const std::vector<Tensor>& in) {
        saved.save(in[0]);
        return log(exp(in[0]) + 1.0);
      },
      [](const Context& saved, const Tensor& gy) -> Grads { return {gy * sigmoid(saved.get(0))}; });
}

}  // namespace

TEST_CASE("docs/tape.md: every snippet is compiled") {
  const std::string here = essence(read("tests/docs_test.cpp"));
  const auto snippets = blocks(read("docs/tape.md"), "cpp");
  CHECK(snippets.size() >= 7);
  for (const std::string& snippet : snippets) {
    INFO(snippet);
    CHECK(here.find(essence(snippet)) != std::string::npos);
  }
}

TEST_CASE("docs/tape.md: every output is what comes out") {
  std::vector<std::string> outputs;

  const Tensor x = from_data({1, 2, 3, 4, 5, 6}, {2, 3});
  const Tensor w = from_data({0.5, -1, 2}, {3});
  set_requires_grad(w);
  const Tensor loss = mean(square(relu(x * w)));
  outputs.push_back(to_text(tape_of(loss, {{"w", w}})));

  backward(loss);
  outputs.push_back(to_string(grad_of(w)));
  outputs.push_back(error_of([&] { backward(loss); }));

  outputs.push_back(error_of([&] {
    const Tensor y = square(relu(x * w));
    Tensor(x).fill_(0);
    backward(sum(y));
  }));

  const Tensor a = from_data({3}, {1});
  set_requires_grad(a);
  const Tensor first = grad({pow(a, 4)}, {a}, {.create_graph = true})[0];
  const Tensor second = grad({first}, {a})[0];
  CHECK(first.item() == doctest::Approx(108));
  CHECK(second.item() == doctest::Approx(108));

  const auto printed = blocks(read("docs/tape.md"), "");
  REQUIRE(printed.size() == outputs.size());
  for (std::size_t i = 0; i < printed.size(); ++i)
    CHECK(printed[i] == outputs[i] + (outputs[i].ends_with("\n") ? "" : "\n"));
}

TEST_CASE("docs/tape.md: the operator of one's own has the right gradients") {
  const Tensor p = from_data({-2, 0.5, 3}, {3}, {.dtype = DType::f64});
  set_requires_grad(p);
  gradcheck([](const std::vector<Tensor>& in) { return softplus(in[0]); }, {p});
  gradgradcheck([](const std::vector<Tensor>& in) { return softplus(in[0]); }, {p});
}

}  // namespace gradus

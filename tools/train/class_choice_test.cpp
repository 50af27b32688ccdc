#include "tools/train/class_choice.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "nn/files/files_test_support.hpp"

using namespace gradus;
using namespace gradus::program;
using files::TemporaryFolder;

namespace {

std::string folders(const TemporaryFolder& root, std::initializer_list<const char*> names) {
  for (const char* name : names) std::filesystem::create_directories(root / name);
  return root / "";
}

std::string error_of(const std::string& root, const std::string& file, const data::ClassList& known, int outputs) {
  try {
    choose_classes(root, file, known, outputs);
  } catch (const FileError& error) {
    return error.what();
  }
  return "";
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("class choice: folders named by WordNet get ImageNet's labels") {
  const TemporaryFolder root;
  const auto classes = choose_classes(folders(root, {"n15075141", "n01443537"}), "", data::imagenet_classes(), 1000);
  CHECK(classes.label("n01443537") == 1);
  CHECK(classes.label("n15075141") == 999);
}

TEST_CASE("class choice: other folders follow the list that travels with the weights") {
  const TemporaryFolder root;
  const data::ClassList own({"cats", "dogs", "owls"}, {"cats", "dogs", "owls"}, "net.safetensors");
  CHECK(choose_classes(folders(root, {"owls", "dogs"}), "", own, 3).label("owls") == 2);
}

TEST_CASE("class choice: a list that is given comes first, and must have the network's size") {
  const TemporaryFolder root, list;
  std::ofstream(list / "c.txt") << "cats\t1\ndogs\t0\n";
  const std::string at = folders(root, {"cats", "dogs"});
  CHECK(choose_classes(at, list / "c.txt", data::imagenet_classes(), 2).label("cats") == 1);
  CHECK(contains(error_of(at, list / "c.txt", {}, 10), "c.txt: lists 2 classes, the network has 10"));
}

TEST_CASE("class choice: without any list the folders count in order of their names, if their number fits") {
  const TemporaryFolder root;
  const std::string at = folders(root, {"b", "a"});
  CHECK(choose_classes(at, "", {}, 2).label("b") == 1);
  CHECK(contains(error_of(at, "", {}, 10), "holds 2 class folders, and the network tells 10 classes apart"));
}

TEST_CASE("class choice: folders of which some are no class are an error that names the first and counts the rest") {
  const TemporaryFolder root;
  const std::string error =
      error_of(folders(root, {"n01443537", "n15075141", "cats"}), "", data::imagenet_classes(), 1000);
  CHECK_MESSAGE(contains(error, "cats is none of the 1000 classes of ImageNet (2 of the 3 folders are)"), error);
  CHECK_MESSAGE(contains(error, "--classes FILE"), error);
}

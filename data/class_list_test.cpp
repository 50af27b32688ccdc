#include "data/class_list.hpp"

#include <algorithm>

#include "data/data_test_support.hpp"

namespace gradus::data {

TEST_CASE("class list: ImageNet's 1,000 classes are known, with the labels that published networks use") {
  const ClassList& list = imagenet_classes();
  REQUIRE(list.size() == 1000);
  CHECK(list.folders()[0] == "n01440764");
  CHECK(list.names()[0] == "tench");
  CHECK(list.label("n02123045") == 281);
  CHECK(list.names()[281] == "tabby");
  CHECK(list.label("n15075141") == 999);
  CHECK(list.names()[999] == "toilet tissue");
  CHECK(list.label("cats") == -1);
  CHECK(std::is_sorted(list.folders().begin(), list.folders().end()));
}

TEST_CASE("class list: a file gives folders, labels in any order, and names where they differ") {
  const TemporaryFolder folder;
  write_text(folder / "classes.txt", "dogs\t1\r\n\ncats\t0\tall cats\n");
  const ClassList list = read_class_list(folder / "classes.txt");
  CHECK(list.folders() == std::vector<std::string>{"cats", "dogs"});
  CHECK(list.names() == std::vector<std::string>{"all cats", "dogs"});
  CHECK(list.label("dogs") == 1);
}

TEST_CASE("class list: gaps, repeated labels and folders, and lines of another form are named") {
  const TemporaryFolder folder;
  const auto error = [&](const std::string& text) {
    write_text(folder / "list.txt", text);
    return error_of<FileError>([&] { read_class_list(folder / "list.txt"); });
  };
  CHECK(contains(error("n02\t0\ta\nn01\t2\tb\n"), "list.txt: there is no label 1"));
  CHECK(contains(error("n02 goldfish\n"), "list.txt: line 1 is not 'folder <tab> label <tab> name'"));
  CHECK(contains(error("a\t0\nb\t0\n"), "list.txt: line 2 gives label 0 again"));
  CHECK(contains(error("a\t0\na\t1\n"), "a comes twice in"));
  CHECK(contains(error(""), "list.txt: the list of classes is empty"));
  CHECK(contains(error_of<FileError>([&] { read_class_list(folder / "none.txt"); }), "none.txt"));
}

TEST_CASE("class list: folders are numbered by name, and ImageNet's bear their names") {
  const TemporaryFolder root;
  for (const char* name : {"n01443537", "cats", ".hidden"}) std::filesystem::create_directory(root / name);
  write_text(root / "readme.txt", "no folder");
  const ClassList list = class_folders(root.path());
  CHECK(list.folders() == std::vector<std::string>{"cats", "n01443537"});
  CHECK(list.names() == std::vector<std::string>{"cats", "goldfish"});
}

}  // namespace gradus::data

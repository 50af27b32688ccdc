// What the program says of bad use, bad files and full disks: one line, a status that is not 0, and nothing lost.

#include <doctest/doctest.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "data/image.hpp"
#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "tests/harness/program.hpp"

using namespace gradus;
using namespace gradus::test;
using files::read_all;
using nlohmann::json;
namespace fs = std::filesystem;

namespace {

/// A file system of a few MiB in memory, mounted on a folder while it lives; not mounted() where that is not allowed.
class SmallDisk {
 public:
  SmallDisk(std::string folder, const std::string& size) : folder_(std::move(folder)) {
    fs::create_directories(folder_);
    mounted_ = ::mount("tmpfs", folder_.c_str(), "tmpfs", 0, ("size=" + size).c_str()) == 0;
    if (!mounted_) MESSAGE("skipped: a tmpfs cannot be mounted here");
  }
  ~SmallDisk() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  void make_read_only() { REQUIRE(::mount("tmpfs", folder_.c_str(), "tmpfs", MS_REMOUNT | MS_RDONLY, nullptr) == 0); }
  /// Writes `name` until nothing more fits.
  void fill(const std::string& name) const {
    std::ofstream out(folder_ + "/" + name, std::ios::binary);
    const std::string block(4096, 'x');
    while (out << block << std::flush) {
    }
  }

 private:
  std::string folder_;
  bool mounted_ = false;
};

void check_evaluates(const std::string& weights) {
  const Result r = gradus_run({"eval", "--weights", weights, "--data-dir", small_data()});
  CHECK_MESSAGE(r.status == 0, r.err);
}

/// Two classes of two pictures each in FOLDER/train and FOLDER/val, of which train/cat/2.png is cut short.
std::string pictures(const std::string& folder) {
  data::Image image;
  image.resize(40, 36);
  for (const char* part : {"train", "val"})
    for (const char* name : {"cat", "dog"})
      for (const char* file : {"1.png", "2.png", "3.png"}) {
        fs::create_directories(folder + "/" + part + "/" + name);
        for (std::size_t i = 0; i < image.pixels.size(); ++i)
          image.pixels[i] = static_cast<std::uint8_t>(i * (name[0] == 'c' ? 7 : 31));
        data::write_png(folder + "/" + part + "/" + name + "/" + file, image);
      }
  const std::string bad = folder + "/train/cat/2.png";
  fs::resize_file(bad, fs::file_size(bad) / 2);
  return folder;
}

}  // namespace

TEST_CASE("program: bad use ends with status 2 and one line") {
  failure({}, 2);
  CHECK(failure({"tarin"}, 2) ==
        "gradus: there is no command \"gradus tarin\"; the nearest is train (see `gradus --help`)\n");
  CHECK(contains(failure({"bench", "stp"}, 2), "there is no command \"gradus bench stp\"; the nearest is step"));
  CHECK(failure({"train", "--epoch", "3"}, 2) ==
        "gradus: there is no option --epoch; the nearest is --epochs (see `gradus train --help`)\n");
  CHECK(contains(failure({"summary", "resnet20", "more"}, 2), "gradus summary --help"));
  CHECK(contains(failure({"train", "--epochs", "many"}, 2), "--epochs"));
  CHECK(contains(failure({"train", "--epochs", "0"}, 2), "--epochs: must be positive, got 0"));
  CHECK(contains(failure({"train", "--model", "resnet21"}, 2), "cifar_resnet20"));
  CHECK(contains(failure({"train", "--data", "cifar"}, 2), "the nearest is cifar10"));
  CHECK(contains(failure({"train", "--data", "cifar10"}, 2), "needs --data-dir"));
  CHECK(contains(failure({"train", "--schedule", "cosin", "--data", "cifar10", "--data-dir", small_data()}, 2),
                 "the nearest is cosine"));
  CHECK(contains(failure({"train", "--optimizer", "adm", "--data", "cifar10", "--data-dir", small_data()}, 2),
                 "the nearest is adam"));
  CHECK(contains(failure({"train", "--augment", "flop", "--data", "cifar10", "--data-dir", small_data()}, 2),
                 "the nearest is 'flip'"));
  CHECK(contains(failure({"bench", "step", "--model", "resnet20", "--input", "32x32"}, 2), "3x224x224"));
  CHECK(contains(failure({"summary", "resent50"}, 2), "nearest"));
}

TEST_CASE("program: what this build cannot do is a failure that says so") {
  CHECK(contains(failure({"train", "--device", "cuda"}, 1), "this build has no CUDA"));
  CHECK(contains(failure({"train", "--amp"}, 1), "needs a CUDA device"));
  for (const char* command : {"train", "eval"})
    CHECK(contains(failure({command, "--weights", "w.pth", "--tf32"}, 1), "--tf32: needs a CUDA device"));
  CHECK(contains(failure({"bench", "step", "--model", "resnet20", "--tf32"}, 1), "--tf32: needs a CUDA device"));
  CHECK(contains(failure({"train", "--device", "gpu"}, 2), "expected cpu, cuda"));
}

TEST_CASE("train: a loss that is no number stops it, is explained, and keeps the last good checkpoint") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const std::string error = failure(training(run, {"--schedule", "step:1,1e30", "--quiet"}), 1);
  CHECK_MESSAGE(contains(error, "in epoch 2"), error);
  CHECK_MESSAGE(contains(error, "First seen: "), error);
  CHECK_MESSAGE(contains(error, "checkpoint.safetensors"), error);
  CHECK(read_log(run).size() == 1);
  check_evaluates(run + "/checkpoint.safetensors");
}

TEST_CASE("train: a folder that cannot be written to is found before training starts") {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  CHECK(contains(failure(training(folder / "file/run", {"--quiet"}), 1), "cannot be made into a run folder"));
  fs::create_directories(folder / "run/config.json/in_the_way");
  CHECK(contains(failure(training(folder / "run", {"--quiet"}), 1),
                 "config.json: cannot be replaced (Directory not empty"));
  if (::geteuid() != 0) {
    fs::create_directories(folder / "closed");
    fs::permissions(folder / "closed", fs::perms::owner_read | fs::perms::owner_exec);
    CHECK(contains(failure(training(folder / "closed", {"--quiet"}), 1), "cannot be written: Permission denied"));
  }
  SmallDisk disk(folder / "disk", "1m");
  if (!disk.mounted()) return;
  disk.make_read_only();
  CHECK(contains(failure(training(folder / "disk/run", {"--quiet"}), 1), "Read-only file system"));
}

TEST_CASE("train: a disk that is too small is found before training starts") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder / "disk", "2m");
  if (!disk.mounted()) return;
  const std::string error = failure(training(folder / "disk/run", {"--quiet"}), 1);
  CHECK_MESSAGE(contains(error, "disk/run: the disk has 2 MiB left and this run needs "), error);
  CHECK_FALSE(fs::exists(folder / "disk/run/log.jsonl"));
}

TEST_CASE("train: a disk that others fill while a run is under way costs only what came after the last checkpoint") {
  const TemporaryFolder folder;
  const SmallDisk disk(folder / "disk", "40m");
  if (!disk.mounted()) return;
  const std::string run = folder / "disk/run";
  {
    Process process(training(run, {"--quiet"}));
    REQUIRE(wait_for(process, [&] { return !read_log(run).empty(); }));
    disk.fill("other");
    const Result stopped = process.wait();
    CHECK(stopped.status == 1);
    CHECK_MESSAGE(contains(stopped.err, "cannot be written: No space left on device"), stopped.err);
    CHECK_MESSAGE(std::count(stopped.err.begin(), stopped.err.end(), '\n') == 1, stopped.err);
  }
  check_evaluates(run + "/checkpoint.safetensors");
  check_evaluates(run + "/best.safetensors");
  fs::remove(folder / "disk/other");
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(read_log(run).size() == 3);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

// A bound on the size of files, set while the run is under way, fails a write in its middle as a full disk does.
TEST_CASE("train: a disk that fills up ends the run with one line, loses nothing, and the run can go on") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  {
    Process process(training(run, {"--quiet"}));
    REQUIRE(wait_for(process, [&] { return !read_log(run).empty(); }));
    const rlimit full{4096, 4096};
    REQUIRE(prlimit(process.pid(), RLIMIT_FSIZE, &full, nullptr) == 0);
    const Result stopped = process.wait();
    CHECK(stopped.status == 1);
    CHECK_MESSAGE(std::count(stopped.err.begin(), stopped.err.end(), '\n') == 1, stopped.err);
    CHECK_MESSAGE(contains(stopped.err, ": cannot be written: File too large"), stopped.err);
  }
  for (const auto& entry : fs::directory_iterator(run)) CHECK_FALSE(entry.path().string().ends_with(".tmp"));
  check_evaluates(run + "/checkpoint.safetensors");
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: data that are cut short or not there are named") {
  const TemporaryFolder folder;
  CHECK(contains(failure({"train", "--data", "cifar10", "--data-dir", folder / "none"}, 1), "none"));
  fs::copy(small_data(), folder / "cut");
  const auto train_on_cut = [&] { return failure({"train", "--data", "cifar10", "--data-dir", folder / "cut"}, 1); };
  for (const std::uintmax_t size : {3073u * 10 + 5, 0u}) {
    fs::resize_file(folder / "cut/data_batch_3.bin", size);
    CHECK(contains(train_on_cut(), "data_batch_3.bin"));
  }
  fs::remove(folder / "cut/data_batch_3.bin");
  CHECK(contains(train_on_cut(), "data_batch_3.bin"));
}

TEST_CASE("eval: weights that do not fit, are cut short, or lie about their size are refused") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors";
  const auto eval = [&](const std::string& weights, std::vector<std::string> more = {}) {
    std::vector<std::string> all{"eval", "--weights", weights, "--data", "cifar10", "--data-dir", small_data()};
    all.insert(all.end(), more.begin(), more.end());
    return failure(all, 1);
  };
  const std::string other = eval(best, {"--model", "resnet32"});
  CHECK_MESSAGE(contains(other, "best.safetensors: does not fit this network: 60 missing (layer1.3.conv1.weight, "),
                other);
  NamedTensors changed = files::read_safetensors(best);
  for (NamedTensor& t : changed.tensors)
    if (t.name == "conv1.weight") t.tensor = zeros({16, 3, 5, 5});
  changed.tensors.push_back({"conv9.weight", zeros({1})});
  files::write_safetensors(folder / "changed", changed);
  const std::string shapes = eval(folder / "changed");
  CHECK_MESSAGE(contains(shapes,
                         "1 unexpected (conv9.weight); 1 of another shape (conv1.weight [16, 3, 5, 5] in the "
                         "file, [16, 3, 3, 3] here)"),
                shapes);
  std::string bytes = read_all(best);
  std::ofstream(folder / "cut", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  CHECK(contains(eval(folder / "cut"), "cut"));
  bytes[6] = '\x7f';  // a header of 2^54 bytes
  std::ofstream(folder / "hostile", std::ios::binary) << bytes;
  CHECK(contains(eval(folder / "hostile"), "hostile"));
  CHECK(contains(eval(folder / "absent"), "absent"));
}

TEST_CASE("train: a checkpoint of another network is not resumed, and stays as it is") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  fs::copy(whole_run(), run);
  json config = json::parse(read_all(run + "/config.json"));
  config["model"] = "resnet32";
  config["epochs"] = 4;
  std::ofstream(run + "/config.json") << config;
  const std::string before = read_all(run + "/checkpoint.safetensors");
  const std::string error = failure({"train", "--resume", "--out", run}, 1);
  CHECK_MESSAGE(contains(error, "checkpoint.safetensors: does not fit this network: 60 missing ("), error);
  CHECK(read_all(run + "/checkpoint.safetensors") == before);
  std::ofstream(run + "/config.json") << "{";
  CHECK(contains(failure({"train", "--resume", "--out", run}, 1), "config.json: is no JSON"));
}

TEST_CASE("train, eval: one bad picture in a folder is named, and left out only if asked") {
  const TemporaryFolder folder;
  const std::string data = pictures(folder / "pictures"), run = folder / "run";
  const std::vector<std::string> command{
      "train",     "--model", "squeezenet1_1", "--data", "imagefolder", "--data-dir", data,   "--size", "64",
      "--augment", "none",    "--epochs",      "1",      "--batch",     "3",          "--lr", "0.001",  "--out",
      run};
  const std::string error = failure(
      [&] {
        auto quiet = command;
        quiet.emplace_back("--quiet");
        return quiet;
      }(),
      1);
  CHECK_MESSAGE(contains(error, "train/cat/2.png: cannot be decoded"), error);
  auto lenient = command;
  lenient.emplace_back("--skip-bad");
  const Result r = gradus_run(lenient);
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK_MESSAGE(contains(r.err, "train/cat/2.png: cannot be decoded"), r.err);
  const std::vector<std::string> judge{"eval",       "--weights",     run + "/best.safetensors",
                                       "--data-dir", data + "/train", "--quiet"};
  CHECK(contains(failure(judge, 1), "train/cat/2.png: cannot be decoded"));
  auto judge_rest = judge;
  judge_rest.insert(judge_rest.end(), {"--skip-bad", "--json"});
  const Result judged = gradus_run(judge_rest);
  REQUIRE_MESSAGE(judged.status == 0, judged.err);
  CHECK(json::parse(judged.out).at("images") == 5);
  CHECK(json::parse(judged.out).at("skipped") == 1);
}

TEST_CASE("predict: a picture of absurd size is refused before it is decoded") {
  const TemporaryFolder folder;
  std::ofstream(folder / "huge.ppm", std::ios::binary) << "P6 30000 30000 255\n";
  const std::string error =
      failure({"predict", "--weights", whole_run() + "/best.safetensors", folder / "huge.ppm", "--quiet"}, 1);
  CHECK_MESSAGE(contains(error, "huge.ppm: 30000 x 30000 pixels are too many"), error);
}

// The program `gradus`, run as a user runs it.

#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <thread>

#include "core/random.hpp"
#include "data/image.hpp"
#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "tests/harness/paths.hpp"

extern char** environ;

using namespace gradus;
using files::read_all;
using files::TemporaryFolder;
using nlohmann::json;

namespace {

namespace fs = std::filesystem;

struct Result {
  int status = -1;  // exit status, or -signal
  std::string out, err;
};

/// A running gradus whose output goes to files.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), test::binary_dir() + "/gradus");
    std::vector<char*> argv;
    for (std::string& a : arguments) argv.push_back(a.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    const auto redirect = [&](int fd, const std::string& file) {
      posix_spawn_file_actions_addopen(&actions, fd, file.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
    };
    redirect(STDOUT_FILENO, folder_ / "out");
    redirect(STDERR_FILENO, folder_ / "err");
    REQUIRE(posix_spawn(&pid_, argv[0], &actions, nullptr, argv.data(), environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
  }
  ~Process() {
    if (pid_ > 0) wait(SIGKILL);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running() { return ::kill(pid_, 0) == 0 && waitid_running(); }
  Result wait(int signal = 0) {
    if (signal != 0) ::kill(pid_, signal);
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), read_all(folder_ / "out"),
            read_all(folder_ / "err")};
  }

 private:
  bool waitid_running() const {
    siginfo_t info{};
    return waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == 0;
  }
  TemporaryFolder folder_;
  pid_t pid_ = -1;
};

Result gradus_run(std::vector<std::string> arguments) { return Process(std::move(arguments)).wait(); }

/// The one line on stderr of a command that failed with that status.
std::string failure(std::vector<std::string> arguments, int status) {
  const Result r = gradus_run(std::move(arguments));
  CHECK_MESSAGE(r.status == status, r.err);
  CHECK_MESSAGE(std::count(r.err.begin(), r.err.end(), '\n') == 1, r.err);
  CHECK(r.err.starts_with("gradus: "));
  return r.err;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

/// 320 training and 100 test images in CIFAR-10's form, made once.
const std::string& small_data() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    const Result r = gradus_run({"data", "make", "--out", folder / "data", "--train", "320", "--test", "100"});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return folder / "data";
  }();
  return path;
}

std::vector<std::string> training(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> all{"train",      "--model",  "resnet20", "--data",  "cifar10", "--data-dir",
                               small_data(), "--epochs", "3",        "--batch", "32",      "--lr",
                               "0.05",       "--seed",   "7",        "--out",   out};
  all.insert(all.end(), more.begin(), more.end());
  return all;
}

std::vector<json> read_log(const std::string& run) {
  std::vector<json> lines;
  std::ifstream in(run + "/log.jsonl");
  for (std::string line; std::getline(in, line);)
    if (!line.empty()) lines.push_back(json::parse(line));
  return lines;
}

/// Waits until `ready()`, while the process runs, ten minutes at most: a sanitizer on a busy machine is slow.
template <class Ready>
bool wait_for(Process& process, Ready&& ready) {
  for (int i = 0; i < 60000; ++i) {
    if (ready()) return true;
    if (!process.running()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

/// All tensors of two checkpoints have the same bytes.
void check_same_state(const std::string& a, const std::string& b) {
  const NamedTensors x = files::read_safetensors(a), y = files::read_safetensors(b);
  REQUIRE(x.tensors.size() == y.tensors.size());
  for (std::size_t i = 0; i < x.tensors.size(); ++i) {
    CHECK(x.tensors[i].name == y.tensors[i].name);
    CHECK_MESSAGE(x.tensors[i].tensor.to_vector<double>() == y.tensors[i].tensor.to_vector<double>(),
                  x.tensors[i].name);
  }
}

/// The run that nothing interrupts, made once.
const std::string& whole_run() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    const Result r = gradus_run(training(folder / "whole"));
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return folder / "whole";
  }();
  return path;
}

}  // namespace

TEST_CASE("program: every command explains itself with an example") {
  const std::vector<std::vector<std::string>> commands{
      {"train"},
      {"eval"},
      {"predict"},
      {"summary"},
      {"models"},
      {"data"},
      {"data", "make"},
      {"data", "inspect"},
      {"data", "download"},
      {"bench"},
      {"graph"},
      {"visualize", "gradcam"},
      {"visualize", "deconv"},
      {"import"},
      {"export"},
      {"bench", "step"},
      {"bench", "op"},
      {"bench", "kernel"},
  };
  for (std::vector<std::string> command : commands) {
    command.push_back("--help");
    const Result r = gradus_run(command);
    CHECK(r.status == 0);
    CHECK_MESSAGE(contains(r.out, "Example:\n  gradus " + command[0]), r.out);
  }
  CHECK(gradus_run({"--version"}).status == 0);
}

TEST_CASE("program: bad use ends with status 2 and one line") {
  failure({}, 2);
  failure({"tarin"}, 2);
  CHECK(contains(failure({"train", "--epoch", "3"}, 2), "gradus train --help"));
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
  CHECK(contains(failure({"train", "--device", "gpu"}, 2), "expected cpu, cuda"));
}

TEST_CASE("train: leaves a folder with configuration, log, checkpoints and report") {
  const std::string& run = whole_run();
  const std::vector<json> log = read_log(run);
  REQUIRE(log.size() == 3);
  for (std::size_t i = 0; i < 3; ++i) {
    CHECK(log[i].at("epoch") == i + 1);
    for (const char* key : {"lr", "train_loss", "val_loss", "val_top1", "val_top5", "images_per_second"})
      CHECK(log[i].at(key).is_number());
  }
  CHECK(json::parse(read_all(run + "/config.json")).at("model") == "resnet20");
  CHECK(fs::exists(run + "/checkpoint.safetensors"));
  CHECK(fs::exists(run + "/best.safetensors"));
  const std::string report = read_all(run + "/report.html");
  for (const char* part :
       {"<svg", "Confusion matrix", "First-layer filters", "Worst samples", "data:image/png;base64,"})
    CHECK_MESSAGE(contains(report, part), part);
  CHECK_FALSE(contains(report, "://"));  // self-contained
}

TEST_CASE("train: the same seed gives the same bits with other numbers of threads and workers") {
  const TemporaryFolder folder;
  const Result r = gradus_run(training(folder / "run", {"--threads", "3", "--workers", "2", "--json"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(json::parse(r.out).at("epoch") == 3);
  check_same_state(folder / "run/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: killed and resumed it ends in the same bits as left alone") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  {
    Process process(training(run));
    REQUIRE(wait_for(process, [&] { return !read_log(run).empty(); }));
    CHECK(process.wait(SIGKILL).status == -SIGKILL);
  }
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  CHECK(read_log(run).size() == 3);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
  check_same_state(run + "/best.safetensors", whole_run() + "/best.safetensors");
}

TEST_CASE("train: Ctrl-C saves in the middle of an epoch and says how to go on") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  Process process(training(run));
  REQUIRE(wait_for(process, [&] { return fs::exists(run + "/config.json"); }));
  std::this_thread::sleep_for(std::chrono::milliseconds(100));
  const Result stopped = process.wait(SIGINT);
  CHECK(stopped.status == 130);
  CHECK_MESSAGE(contains(stopped.err, "gradus train --resume --out " + run), stopped.err);
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: a run that is there is neither overwritten nor changed by accident") {
  const std::string& run = whole_run();
  CHECK(contains(failure(training(run), 2), "--resume continues it"));
  CHECK(contains(failure({"train", "--resume", "--lr", "0.3", "--out", run}, 2), "--lr 0.05, not 0.3"));
  CHECK(contains(failure({"train", "--resume", "--out", run + "/nothing"}, 1), "no run here to resume"));
}

TEST_CASE("train: a loss that is no number stops it, is explained, and keeps the last good checkpoint") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const std::string error = failure(training(run, {"--schedule", "step:1,1e30", "--quiet"}), 1);
  CHECK_MESSAGE(contains(error, "in epoch 2"), error);
  CHECK_MESSAGE(contains(error, "First seen: "), error);
  CHECK_MESSAGE(contains(error, "checkpoint.safetensors"), error);
  CHECK(read_log(run).size() == 1);
  CHECK(gradus_run({"eval", "--weights", run + "/checkpoint.safetensors", "--data-dir", small_data()}).status == 0);
}

TEST_CASE("train: a folder that cannot be written to is found before training starts") {
  const TemporaryFolder folder;
  std::ofstream(folder / "file") << "x";
  CHECK(contains(failure(training(folder / "file/run", {"--quiet"}), 1), "cannot be made into a run folder"));
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
  CHECK(gradus_run({"eval", "--weights", run + "/checkpoint.safetensors", "--data-dir", small_data()}).status == 0);
  const Result r = gradus_run({"train", "--resume", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  check_same_state(run + "/checkpoint.safetensors", whole_run() + "/checkpoint.safetensors");
}

TEST_CASE("train: data that are cut short or not there are named") {
  const TemporaryFolder folder;
  CHECK(contains(failure({"train", "--data", "cifar10", "--data-dir", folder / "none"}, 1), "none"));
  fs::copy(small_data(), folder / "cut");
  fs::resize_file(folder / "cut/data_batch_3.bin", 3073 * 10 + 5);
  CHECK(contains(failure({"train", "--data", "cifar10", "--data-dir", folder / "cut"}, 1), "data_batch_3.bin"));
}

TEST_CASE("eval: prints images, top1 and top5") {
  const Result r = gradus_run({"eval", "--weights", whole_run() + "/best.safetensors", "--data", "cifar10",
                               "--data-dir", small_data(), "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  CHECK(result.at("images") == 100);
  double best = 0;
  for (const json& epoch : read_log(whole_run())) best = std::max(best, epoch.at("val_top1").get<double>());
  CHECK(result.at("top1").get<double>() == doctest::Approx(best));
  CHECK(result.at("top5").get<double>() >= best);
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
  CHECK_MESSAGE(contains(other, "missing ("), other);
  std::string bytes = read_all(best);
  std::ofstream(folder / "cut", std::ios::binary) << bytes.substr(0, bytes.size() / 2);
  CHECK(contains(eval(folder / "cut"), "cut"));
  bytes[6] = '\x7f';  // a header of 2^54 bytes
  std::ofstream(folder / "hostile", std::ios::binary) << bytes;
  CHECK(contains(eval(folder / "hostile"), "hostile"));
  CHECK(contains(eval(folder / "absent"), "absent"));
}

TEST_CASE("predict: names what a picture shows, and refuses what is none") {
  const TemporaryFolder folder;
  data::Image image;
  image.resize(40, 50);
  data::write_png(folder / "grey.png", image);
  const Result r = gradus_run(
      {"predict", "--weights", whole_run() + "/best.safetensors", folder / "grey.png", "--top", "3", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  REQUIRE(result.size() == 1);
  CHECK(result[0].at("classes").size() == 3);
  CHECK(result[0].at("classes")[0].at("probability").get<double>() >= 0.1);
  std::ofstream(folder / "text.png") << "no picture";
  CHECK(contains(failure({"predict", "--weights", whole_run() + "/best.safetensors", folder / "text.png"}, 1),
                 "text.png"));
}

TEST_CASE("summary: counts parameters and multiply-adds") {
  const Result r = gradus_run({"summary", "cifar_resnet20", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  CHECK(result.at("parameters") == 269'722);
  CHECK(result.at("multiply_adds").get<std::int64_t>() > 40'000'000);
  CHECK(gradus_run({"models"}).status == 0);
}

TEST_CASE("bench step: prints one object with speed and memory") {
  const TemporaryFolder folder;
  const Result r =
      gradus_run({"bench", "step", "--model", "resnet20", "--batch", "4", "--input", "3x32x32", "--classes", "10",
                  "--threads", "2", "--steps", "2", "--json", "--trace", folder / "trace.json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json result = json::parse(r.out);
  for (const char* key : {"images_per_second", "step_ms_median", "peak_mem_mib", "allocator_peak_mib"})
    CHECK(result.at(key).get<double>() > 0);
  CHECK(json::parse(read_all(folder / "trace.json")).at("traceEvents").size() > 100);
}

TEST_CASE("bench step --inference: times the forward pass, which keeps nothing for a backward") {
  const auto peak = [](std::vector<std::string> more) {
    std::vector<std::string> all{"bench",   "step",      "--model", "resnet20", "--batch", "16",    "--input",
                                 "3x32x32", "--classes", "10",      "--steps",  "1",       "--json"};
    all.insert(all.end(), more.begin(), more.end());
    const Result r = gradus_run(all);
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return json::parse(r.out).at("allocator_peak_mib").get<double>();
  };
  CHECK(peak({"--inference"}) < 0.5 * peak({}));
}

TEST_CASE("bench kernel: times every candidate that supports the problem, and tells its error") {
  const Result r = gradus_run({"bench", "kernel", "conv2d.forward", "--shape", "1x8x9x9", "--weight", "8x8x3x3",
                               "--seconds", "0.001", "--json"});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  std::vector<std::string> names;
  const json result = json::parse(r.out);
  for (const json& row : result.at("rows")) {
    names.push_back(row.at("candidate"));
    CHECK(row.at("ms").get<double>() > 0);
    CHECK(row.at("error").get<double>() < 1e-5);
    CHECK((row.at("error") == 0.0) == (names.back() == "reference"));
  }
  CHECK(std::count(names.begin(), names.end(), "direct") == 1);
  CHECK(std::count(names.begin(), names.end(), "reference") == 1);
  const Result layers = gradus_run(
      {"bench", "kernel", "conv2d.forward", "--layers", "lenet5", "--batch", "1", "--seconds", "0.001", "--json"});
  REQUIRE_MESSAGE(layers.status == 0, layers.err);
  CHECK(json::parse(layers.out).at("best_ms").get<double>() > 0);
  CHECK(contains(failure({"bench", "kernel", "relu"}, 2), "conv2d.forward"));
  CHECK(contains(failure({"bench", "kernel", "conv2d", "--shape", "8x8"}, 2), "8x64x56x56"));
  CHECK(contains(failure({"bench", "kernel", "conv2d", "--layers", "mlp"}, 2), "no convolutions"));
}

TEST_CASE("graph: writes the tape as page, Graphviz and text") {
  const TemporaryFolder folder;
  for (const char* name : {"g.html", "g.dot", "g.txt"}) {
    const Result r = gradus_run({"graph", "resnet20", "-o", folder / name});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    CHECK(contains(read_all(folder / name), "layer1.0.conv1"));
  }
  failure({"graph", "resnet20", "-o", folder / "g.png"}, 2);
}

TEST_CASE("import, export: weights go to PyTorch's form and back unchanged") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors";
  CHECK(gradus_run({"export", best, "--model", "cifar_resnet20", "-o", folder / "w.pth"}).status == 0);
  CHECK(gradus_run({"import", folder / "w.pth", "--model", "cifar_resnet20", "-o", folder / "w.safetensors"}).status ==
        0);
  check_same_state(best, folder / "w.safetensors");
  CHECK(
      contains(failure({"import", best, "--model", "cifar_resnet32", "-o", folder / "x.safetensors"}, 1), "missing ("));
  CHECK_FALSE(fs::exists(folder / "x.safetensors"));
}

TEST_CASE("train: a recipe sets what the command line does not") {
  const TemporaryFolder folder;
  const std::string run = folder / "run";
  const Result r =
      gradus_run({"train", "--recipe", "densenet-cifar", "--epochs", "1", "--model", "resnet20", "--data", "cifar10",
                  "--data-dir", small_data(), "--limit", "64", "--limit-val", "20", "--quiet", "--out", run});
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const json config = json::parse(read_all(run + "/config.json"));
  CHECK(config.at("epochs") == 1);
  CHECK(config.at("batch") == 64);
  CHECK(config.at("weight_decay") == 1e-4);
  CHECK(contains(failure({"train", "--recipe", "densenet-cifer"}, 2), "densenet-cifar"));
}

TEST_CASE("train: starts from weights with a new head, and leaves a frozen backbone as it is") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors", run = folder / "run";
  const Result r = gradus_run(training(run, {"--weights", best, "--replace-head", "--freeze", "backbone", "--quiet"}));
  REQUIRE_MESSAGE(r.status == 0, r.err);
  const NamedTensors before = files::read_safetensors(best), after = files::read_safetensors(run + "/best.safetensors");
  for (const NamedTensor& t : before.tensors) {
    const bool same = t.tensor.to_vector<float>() == after.find(t.name)->to_vector<float>();
    CHECK_MESSAGE(same != t.name.starts_with("linear."), t.name);
  }
  CHECK(contains(failure({"train", "--model", "resnet32", "--data", "cifar10", "--data-dir", small_data(), "--weights",
                          best, "--out", folder / "other"},
                         1),
                 "missing ("));
  failure({"train", "--freeze", "half", "--data", "cifar10", "--data-dir", small_data(), "--out", folder / "other"}, 2);
}

TEST_CASE("visualize: every method draws, and says what it cannot draw") {
  const TemporaryFolder folder;
  const std::string best = whole_run() + "/best.safetensors";
  data::Image image;
  image.resize(32, 32);
  for (std::size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<std::uint8_t>(i * 7);
  data::write_png(folder / "in.png", image);
  const auto draw = [&](std::vector<std::string> arguments, const std::string& out) {
    arguments.insert(arguments.begin(), "visualize");
    for (const std::string& a : {std::string("--weights"), best, std::string("-o"), folder / out})
      arguments.push_back(a);
    return gradus_run(arguments);
  };
  for (const char* method : {"saliency", "guided", "gradcam", "occlusion", "features"}) {
    CAPTURE(method);
    const Result r = draw({method, folder / "in.png"}, "out.png");
    REQUIRE_MESSAGE(r.status == 0, r.err);
    data::Image drawn;
    data::read_image(folder / "out.png", drawn);
    CHECK(drawn.width > 200);
  }
  CHECK(draw({"filters"}, "filters.png").status == 0);
  CHECK(draw({"maximise", "--class", "3", "--steps", "4"}, "best.png").status == 0);
  for (const char* method : {"pca", "tsne"})
    CHECK(draw({method, "--data", "cifar10", "--data-dir", small_data(), "--limit", "40"}, "map.html").status == 0);
  CHECK(contains(read_all(folder / "map.html"), "<circle"));
  CHECK_FALSE(contains(read_all(folder / "map.html"), "://"));
  const Result r = draw({"deconv", "--layer", "layer2", folder / "in.png"}, "deconv.png");
  CHECK(r.status == 2);
  CHECK_MESSAGE(contains(r.err, "has no inverse in a deconvolutional network"), r.err);
  CHECK(draw({"saliency", folder / "in.png"}, "out.gif").status == 2);
}

#include "tests/harness/program.hpp"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "nn/files/files_test_support.hpp"
#include "nn/files/safetensors.hpp"
#include "tests/harness/paths.hpp"

extern char** environ;

namespace gradus::test {

using nlohmann::json;

Process::Process(std::vector<std::string> arguments) {
  arguments.insert(arguments.begin(), binary_dir() + "/gradus");
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

Process::~Process() {
  if (pid_ > 0) wait(SIGKILL);
}

bool Process::running() const {
  siginfo_t info{};
  return pid_ > 0 && waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

Result Process::wait(int signal) {
  if (signal != 0) ::kill(pid_, signal);
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = -1;
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), files::read_all(folder_ / "out"),
          files::read_all(folder_ / "err")};
}

Result gradus_run(std::vector<std::string> arguments) { return Process(std::move(arguments)).wait(); }

std::string failure(std::vector<std::string> arguments, int status) {
  const Result r = gradus_run(std::move(arguments));
  CHECK_MESSAGE(r.status == status, r.err);
  CHECK_MESSAGE(std::count(r.err.begin(), r.err.end(), '\n') == 1, r.err);
  CHECK(r.err.starts_with("gradus: "));
  return r.err;
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

const std::string& small_data() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    const Result r = gradus_run({"data", "make", "--out", folder / "data", "--train", std::to_string(kTrainImages),
                                 "--test", std::to_string(kTestImages)});
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return folder / "data";
  }();
  return path;
}

std::vector<std::string> training(const std::string& out, const std::vector<std::string>& more) {
  std::vector<std::string> all{"train"};
  const std::vector<std::pair<std::string, std::string>> usual{
      {"--model", "resnet20"}, {"--data", "cifar10"}, {"--data-dir", small_data()},
      {"--epochs", "3"},       {"--batch", "32"},     {"--lr", "0.05"},
      {"--seed", "7"},         {"--out", out}};
  for (const auto& [option, value] : usual)
    if (std::find(more.begin(), more.end(), option) == more.end()) all.insert(all.end(), {option, value});
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

void check_same_state(const std::string& a, const std::string& b) {
  const NamedTensors x = files::read_safetensors(a), y = files::read_safetensors(b);
  REQUIRE(x.tensors.size() == y.tensors.size());
  for (std::size_t i = 0; i < x.tensors.size(); ++i) {
    CHECK(x.tensors[i].name == y.tensors[i].name);
    CHECK_MESSAGE(x.tensors[i].tensor.to_vector<double>() == y.tensors[i].tensor.to_vector<double>(),
                  x.tensors[i].name);
  }
}

const std::string& whole_run() {
  static const TemporaryFolder folder;
  static const std::string path = [] {
    const Result r = gradus_run(training(folder / "whole"));
    REQUIRE_MESSAGE(r.status == 0, r.err);
    return folder / "whole";
  }();
  return path;
}

}  // namespace gradus::test

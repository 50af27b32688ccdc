#pragma once
// The program `gradus`, run as a user runs it, and small runs of it that tests share.

#include <sys/types.h>

#include <chrono>
#include <csignal>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "tests/harness/sanitizer.hpp"
#include "tests/harness/temporary_folder.hpp"

namespace gradus::test {

struct Result {
  int status = -1;  // exit status, or -signal
  std::string out, err;
};

/// A running gradus whose output goes to files. Killed, if it still runs, at the end of its scope.
class Process {
 public:
  explicit Process(std::vector<std::string> arguments);
  ~Process();
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  pid_t pid() const { return pid_; }
  bool running() const;
  /// Sends the signal, if there is one, and waits for the end.
  Result wait(int signal = 0);

 private:
  TemporaryFolder folder_;
  pid_t pid_ = -1;
};

Result gradus_run(std::vector<std::string> arguments);
/// The one line on stderr of a command that failed with that status.
std::string failure(std::vector<std::string> arguments, int status);
bool contains(const std::string& text, const std::string& part);

/// kTrainImages and kTestImages in CIFAR-10's form, made once.
const std::string& small_data();
constexpr int kTrainImages = kSanitized ? 160 : 320, kTestImages = kSanitized ? 20 : 100;
/// `gradus train` on them for three epochs, into the folder `out`; options in `more` are added, or replace those there
/// are.
std::vector<std::string> training(const std::string& out, const std::vector<std::string>& more = {});
/// The run that nothing interrupts, made once.
const std::string& whole_run();
std::vector<nlohmann::json> read_log(const std::string& run);
/// CHECKs that all tensors of two files have the same names and values.
void check_same_state(const std::string& a, const std::string& b);

/// Waits until `ready()`, while the process runs, ten minutes at most: a sanitizer on a busy machine is slow.
template <class Ready>
bool wait_for(const Process& process, Ready&& ready) {
  for (int i = 0; i < 60000; ++i) {
    if (ready()) return true;
    if (!process.running()) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

}  // namespace gradus::test

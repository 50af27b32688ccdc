#include "tools/train/run_folder.hpp"

#include <sys/statvfs.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "nn/files/atomic_file.hpp"

namespace gradus::program {
namespace {

namespace fs = std::filesystem;

std::string mebibytes(double bytes) { return fmt::format("{:.0f} MiB", bytes / (1 << 20)); }

}  // namespace

// The members, in the order of the file.
#define GRADUS_RECORD_FIELDS(X) \
  X(epoch) X(lr) X(train_loss) X(train_top1) X(val_loss) X(val_top1) X(val_top5) X(images_per_second) X(seconds)

void to_json(nlohmann::json& j, const EpochRecord& v) {
#define GRADUS_WRITE(name) j[#name] = v.name;
  GRADUS_RECORD_FIELDS(GRADUS_WRITE)
#undef GRADUS_WRITE
}

void from_json(const nlohmann::json& j, EpochRecord& v) {
#define GRADUS_READ(name) j.at(#name).get_to(v.name);
  GRADUS_RECORD_FIELDS(GRADUS_READ)
#undef GRADUS_READ
}

bool RunFolder::has_checkpoint() const { return fs::exists(checkpoint()); }

void RunFolder::prepare(std::int64_t bytes) const {
  std::error_code error;
  fs::create_directories(path_, error);
  check<FileError>(!error && fs::is_directory(path_), "{}: cannot be made into a run folder ({})", path_,
                   error ? error.message() : "it is a file");
  files::write_file_atomic(file(".write-test"), "a run may write here\n");
  fs::remove(file(".write-test"), error);
  struct statvfs disk {};
  if (statvfs(path_.c_str(), &disk) != 0) return;  // a file system that cannot say
  const double room = static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize);
  check<FileError>(room >= static_cast<double>(bytes), "{}: the disk has {} left and this run needs {}", path_,
                   mebibytes(room), mebibytes(static_cast<double>(bytes)));
}

void RunFolder::discard() const {
  std::error_code error;
  for (const char* name : {"checkpoint.safetensors", "best.safetensors", "log.jsonl", "report.html", "config.json"}) {
    fs::remove(file(name), error);
    check<FileError>(!error, "{}: cannot be replaced ({})", file(name), error.message());
  }
}

void RunFolder::write_config(const TrainConfig& config) const {
  files::write_file_atomic(file("config.json"), nlohmann::json(config).dump(2) + "\n");
}

TrainConfig RunFolder::read_config() const {
  std::ifstream in(file("config.json"));
  check<FileError>(in.good(), "{}: there is no run here to resume (no config.json)", path_);
  try {
    return nlohmann::json::parse(in).get<TrainConfig>();
  } catch (const nlohmann::json::exception&) {
    fail<FileError>("{}: is not a run's configuration, or of another version", file("config.json"));
  }
}

void RunFolder::write_log(const std::vector<EpochRecord>& history) const {
  std::string text;
  for (const EpochRecord& r : history) text += nlohmann::json(r).dump() + "\n";
  files::write_file_atomic(file("log.jsonl"), text);
}

void RunFolder::append_log(const EpochRecord& record) const {
  std::ofstream out(file("log.jsonl"), std::ios::app);
  out << nlohmann::json(record).dump() << "\n" << std::flush;
  check<FileError>(out.good(), "{}: cannot be written ({})", file("log.jsonl"), std::strerror(errno));
}

}  // namespace gradus::program

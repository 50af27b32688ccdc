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
using nlohmann::json;

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
bool RunFolder::has_config() const { return fs::exists(file("config.json")); }

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
  for (const std::string& path : {checkpoint(), best(), file("log.jsonl"), events(), file("histograms.jsonl"),
                                  file("report.html"), file("diverged.txt"), file("config.json")}) {
    fs::remove(path, error);
    check<FileError>(!error, "{}: cannot be replaced ({})", path, error.message());
  }
}

void RunFolder::write_config(const TrainConfig& config) const {
  files::write_file_atomic(file("config.json"), nlohmann::json(config).dump(2) + "\n");
}

TrainConfig RunFolder::read_config() const {
  std::ifstream in(file("config.json"));
  check<FileError>(in.good(), "{}: there is no run here to resume (no config.json)", path_);
  return read_config_file(file("config.json"), {});
}

TrainConfig read_config_file(const std::string& path, const TrainConfig& base) {
  std::ifstream in(path);
  check<FileError>(in.good(), "{}: cannot be read ({})", path, std::strerror(errno));
  nlohmann::json settings;
  try {
    settings = nlohmann::json::parse(in);
  } catch (const nlohmann::json::exception&) {
    fail<FileError>("{}: is no JSON", path);
  }
  return changed_by(base, settings, path);
}

void RunFolder::write_log(const std::vector<EpochRecord>& history) const {
  std::string text;
  for (const EpochRecord& r : history) text += nlohmann::json(r).dump() + "\n";
  files::write_file_atomic(file("log.jsonl"), text);
}

void RunFolder::append_log(const EpochRecord& record) const { append_line("log.jsonl", record); }
void RunFolder::append_histograms(const json& line) const { append_line("histograms.jsonl", line); }

void RunFolder::append_line(const std::string& name, const json& line) const {
  std::ofstream out(file(name), std::ios::app);
  out << line.dump() << "\n" << std::flush;
  check<FileError>(out.good(), "{}: cannot be written: {}", file(name), std::strerror(errno));
}

std::vector<EpochRecord> RunFolder::read_log() const {
  check<FileError>(fs::exists(file("log.jsonl")), "{}: there is no run here (no log.jsonl)", path_);
  try {
    std::vector<EpochRecord> all;
    for (const json& line : read_lines("log.jsonl")) all.push_back(line.get<EpochRecord>());
    return all;
  } catch (const json::exception&) {
    fail<FileError>("{}: is not a run's log, or of another version", file("log.jsonl"));
  }
}

std::vector<json> RunFolder::read_histograms() const { return read_lines("histograms.jsonl"); }

void RunFolder::cut_histograms(std::int64_t epoch) const {
  std::string text;
  for (const json& line : read_histograms())
    if (line.at("epoch").get<std::int64_t>() <= epoch) text += line.dump() + "\n";
  if (!text.empty() || fs::exists(file("histograms.jsonl"))) files::write_file_atomic(file("histograms.jsonl"), text);
}

std::vector<json> RunFolder::read_lines(const std::string& name) const {
  std::vector<json> all;
  std::ifstream in(file(name));
  for (std::string line; std::getline(in, line);) {
    json value = json::parse(line, nullptr, false);
    if (!value.is_discarded()) all.push_back(std::move(value));  // the last line of a killed run may be half a line
  }
  return all;
}

}  // namespace gradus::program

#include "data/download.hpp"

#include <dlfcn.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>

#include "core/error.hpp"
#include "data/archive.hpp"
#include "data/files.hpp"
#include "data/sha256.hpp"

namespace gradus::data {
namespace {

namespace fs = std::filesystem;

/// The few functions of libcurl that are used, found at run time: a program that never downloads needs no libcurl. The
/// numbers of options, infos and errors are part of libcurl's stable interface (curl/curl.h).
struct Curl {
  static constexpr int kWriteData = 10001, kUrl = 10002, kWriteFunction = 20011, kErrorBuffer = 10010, kFollow = 52,
                       kNoProgress = 43, kProgressFunction = 20219, kProgressData = 10057, kFailOnError = 45,
                       kResumeFrom = 30116, kConnectTimeout = 78, kLowSpeedLimit = 19, kLowSpeedTime = 20,
                       kNoSignal = 99, kUserAgent = 10018;
  static constexpr int kResponseCode = 0x200002;
  static constexpr int kErrorSize = 256, kOk = 0, kWriteError = 23, kRangeError = 33, kBadResume = 36, kAborted = 42;

  void* (*init)() = nullptr;
  int (*set)(void*, int, ...) = nullptr;
  int (*perform)(void*) = nullptr;
  int (*info)(void*, int, ...) = nullptr;
  void (*cleanup)(void*) = nullptr;
  const char* (*text)(int) = nullptr;
};

const Curl& curl() {
  static const Curl functions = [] {
    void* library = nullptr;
    for (const char* name : {"libcurl.so.4", "libcurl-gnutls.so.4"})
      if (library == nullptr) library = ::dlopen(name, RTLD_NOW | RTLD_LOCAL);
    check<FileError>(library != nullptr, "download: libcurl is not installed (Debian: apt-get install libcurl4)");
    Curl c;
    const auto find = [&](auto& function, const char* name) {
      function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(::dlsym(library, name));
      check<FileError>(function != nullptr, "download: libcurl has no {}", name);
    };
    find(c.init, "curl_easy_init"), find(c.set, "curl_easy_setopt"), find(c.perform, "curl_easy_perform");
    find(c.info, "curl_easy_getinfo"), find(c.cleanup, "curl_easy_cleanup"), find(c.text, "curl_easy_strerror");
    return c;
  }();
  return functions;
}

/// What the callbacks share.
struct Transfer {
  void* handle;
  std::FILE* out;
  std::int64_t start;  // bytes that were there before
  const Progress& progress;
  bool checked = false;
};

/// Writes what arrives. A server that ignores the request to resume sends the whole file: then it is written from the
/// start.
std::size_t on_data(const char* bytes, std::size_t size, std::size_t count, void* context) {
  auto& transfer = *static_cast<Transfer*>(context);
  if (!transfer.checked) {
    transfer.checked = true;
    long code = 0;
    curl().info(transfer.handle, Curl::kResponseCode, &code);
    constexpr long kWhole = 200;
    if (transfer.start > 0 && code == kWhole) {
      if (::fseek(transfer.out, 0, SEEK_SET) != 0 || ::ftruncate(::fileno(transfer.out), 0) != 0) return 0;
      transfer.start = 0;
    }
  }
  return std::fwrite(bytes, size, count, transfer.out);
}

int on_progress(void* context, std::int64_t total, std::int64_t now, std::int64_t, std::int64_t) {
  const auto& transfer = *static_cast<Transfer*>(context);
  if (!transfer.progress) return 0;
  return transfer.progress(transfer.start + now, total > 0 ? transfer.start + total : 0) ? 0 : 1;
}

/// One attempt, from where `part` ends. Returns libcurl's code, or kRangeError for all the ways of saying that nothing
/// can be sent from there; `message` says more.
int fetch(const std::string& url, const fs::path& part, const Progress& progress, std::string& message) {
  const Curl& c = curl();
  std::error_code error;
  const std::int64_t start = fs::exists(part, error) ? static_cast<std::int64_t>(fs::file_size(part, error)) : 0;
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> out(std::fopen(part.c_str(), "ab"), std::fclose);
  check<FileError>(out != nullptr, "{}: cannot be written ({})", part.string(), std::strerror(errno));
  const std::unique_ptr<void, void (*)(void*)> handle(c.init(), c.cleanup);
  check<FileError>(handle != nullptr, "download: libcurl cannot be used");
  Transfer transfer{handle.get(), out.get(), start, progress};
  std::array<char, Curl::kErrorSize> text{};
  void* h = handle.get();
  c.set(h, Curl::kUrl, url.c_str());
  c.set(h, Curl::kUserAgent, "gradus");
  c.set(h, Curl::kErrorBuffer, text.data());
  c.set(h, Curl::kNoSignal, 1L);
  c.set(h, Curl::kFollow, 1L);
  c.set(h, Curl::kFailOnError, 1L);
  constexpr long kConnectSeconds = 30, kStallSeconds = 60;
  c.set(h, Curl::kConnectTimeout, kConnectSeconds);
  c.set(h, Curl::kLowSpeedLimit, 1L);
  c.set(h, Curl::kLowSpeedTime, kStallSeconds);
  c.set(h, Curl::kWriteFunction, on_data);
  c.set(h, Curl::kWriteData, &transfer);
  c.set(h, Curl::kNoProgress, 0L);
  c.set(h, Curl::kProgressFunction, on_progress);
  c.set(h, Curl::kProgressData, &transfer);
  if (start > 0) c.set(h, Curl::kResumeFrom, start);
  int code = c.perform(h);
  long response = 0;
  c.info(h, Curl::kResponseCode, &response);
  constexpr long kUnsatisfiable = 416;
  if (code == Curl::kBadResume || response == kUnsatisfiable) code = Curl::kRangeError;
  message = text[0] != '\0' ? text.data() : c.text(code);
  if (std::fflush(out.get()) != 0 || (code == Curl::kWriteError)) {
    message = fmt::format("{} cannot be written ({})", part.string(), std::strerror(errno));
    return Curl::kWriteError;
  }
  return code;
}

}  // namespace

void download(const std::string& url, const fs::path& file, const std::string& digest, const Progress& progress) {
  std::error_code error;
  if (fs::exists(file, error)) {
    const std::string found = sha256_of_file(file);
    check<FileError>(found == digest, "{}: is there, but its SHA-256 is {}, not {}: move it away", file.string(), found,
                     digest);
    return;
  }
  if (file.has_parent_path()) make_folder(file.parent_path());
  const fs::path part = file.string() + ".part";
  std::string message;
  int code = fetch(url, part, progress, message);
  if (code == Curl::kRangeError) {  // all had come already, or it has to begin again
    if (sha256_of_file(part) == digest) {
      code = Curl::kOk;
    } else {
      fs::remove(part, error);
      code = fetch(url, part, progress, message);
    }
  }
  if (code == Curl::kAborted)
    fail<Interrupted>("download: stopped; {} keeps what has come, the same command goes on", part.string());
  if (code != Curl::kOk && fs::exists(part, error) && fs::file_size(part, error) == 0) fs::remove(part, error);
  check<FileError>(code == Curl::kOk, "download: {} cannot be fetched: {}", url, message);
  const std::string found = sha256_of_file(part);
  if (found != digest) {
    fs::remove(part, error);
    fail<FileError>("download: {} has SHA-256 {}, not {}: another file, or damaged on its way", url, found, digest);
  }
  fs::rename(part, file, error);
  check<FileError>(!error, "{}: cannot be renamed ({})", part.string(), error.message());
}

Published published(Cifar kind) {
  if (kind == Cifar::k10)
    return {"https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd", "cifar-10-batches-bin"};
  return {"https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
          "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec", "cifar-100-binary"};
}

void download_cifar(Cifar kind, const fs::path& folder, const Progress& progress, const Published* from) {
  const Published source = from != nullptr ? *from : published(kind);
  const auto read_both = [&] {
    read_cifar(folder, kind, true);
    read_cifar(folder, kind, false);
  };
  try {
    read_both();
    return;
  } catch (const FileError&) {  // not there yet, or not whole
  }
  make_folder(folder);
  const fs::path archive = folder / source.url.substr(source.url.rfind('/') + 1);
  download(source.url, archive, source.sha256, progress);
  unpack_tar_gz(archive, folder);
  read_both();
  std::error_code error;
  fs::remove(archive, error);
}

}  // namespace gradus::data

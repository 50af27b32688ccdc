#pragma once
// Fetching published data sets. libcurl is loaded when it is first needed; nothing else uses the network.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>

#include "data/cifar.hpp"

namespace gradus::data {

/// Bytes so far and in all (0 while unknown). Returning false stops the download with Interrupted; what has come is
/// kept.
using Progress = std::function<bool(std::int64_t done, std::int64_t total)>;

/// Brings `url` (https, http, file) to `file`. What arrives is kept in "<file>.part": a second call goes on where the
/// first one stopped, if the server can. Only a file of the right SHA-256 gets its name; one that is there already is
/// not fetched again, and one with a wrong digest is an error, never overwritten. FileError says what failed: no
/// libcurl, no network, the server's answer, a full disk, a wrong digest (the part is then removed).
void download(const std::string& url, const std::filesystem::path& file, const std::string& sha256,
              const Progress& progress = {});

/// The official binary archive of a data set: where it lies, its digest, and the folder it unpacks to.
struct Published {
  std::string url, sha256, folder;
};
Published published(Cifar kind);

/// Downloads the official archive into `folder`, unpacks it there, reads both parts once to be sure, and removes the
/// archive. Does nothing if that folder can be read already. `from` replaces the official address (a mirror).
void download_cifar(Cifar kind, const std::filesystem::path& folder, const Progress& progress = {},
                    const Published* from = nullptr);

}  // namespace gradus::data

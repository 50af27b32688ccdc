#pragma once
// CIFAR-10 and CIFAR-100 in their binary form (https://www.cs.toronto.edu/~kriz/cifar.html), and any other set of 32 x
// 32 pictures written that way.
//
// A file is records without a header: CIFAR-10 a label byte, CIFAR-100 a coarse and a fine one, then 1,024 red, 1,024
// green and 1,024 blue bytes, row by row. A file may hold any number of whole records, so smaller sets can be read; the
// training files of CIFAR-10 must all hold the same number, so that one cut short between two records is noticed.

#include <filesystem>
#include <span>

#include "data/dataset.hpp"

namespace gradus::data {

enum class Cifar { k10, k100 };

/// Reads the training or the test part from `folder`, or from the subfolder the official archive unpacks to
/// (cifar-10-batches-bin, cifar-100-binary). Class names come from batches.meta.txt or fine_label_names.txt; without
/// that file CIFAR-10 has its own names and CIFAR-100 numbers. FileError if a file is missing, empty, not whole
/// records, shorter than its siblings, or has a label out of range; the message names file and record.
MemoryDataset read_cifar(const std::filesystem::path& folder, Cifar kind, bool train);

/// Writes `train` and `test` to `folder` (made if needed) as CIFAR-10 does: data_batch_1.bin .. data_batch_5.bin,
/// test_batch.bin, batches.meta.txt. Each file appears whole or not at all. ValueError unless all pictures are 32 x 32,
/// there are at most 256 classes, and the training set can be cut into five equal parts.
void write_cifar10(const std::filesystem::path& folder, const Dataset& train, const Dataset& test);

/// Pictures (32 x 32 x 3, interleaved) and labels of the records in `bytes`, appended. FileError as above; `name` is
/// for the message. Exposed for whoever has the bytes from elsewhere, fuzzing among them.
void parse_cifar(std::span<const std::uint8_t> bytes, const std::string& name, Cifar kind, std::int64_t classes,
                 std::vector<std::uint8_t>& pixels, std::vector<std::int64_t>& labels);

}  // namespace gradus::data

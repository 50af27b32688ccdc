#pragma once
// What a data set is: numbered pictures with labels.

#include <cstdint>
#include <string>
#include <vector>

#include "data/image.hpp"

namespace gradus::data {

/// A numbered collection of labelled pictures, held in memory, read from files or drawn as they are asked for.
/// Everything is const and may be called from many threads at once.
class Dataset {
 public:
  virtual ~Dataset() = default;

  /// Number of samples.
  virtual std::int64_t size() const = 0;
  /// Names of the classes; a label is an index into them.
  virtual const std::vector<std::string>& classes() const = 0;
  /// The label of sample `index`, without reading its picture.
  virtual std::int64_t label(std::int64_t index) const = 0;
  /// Writes the picture of sample `index` to `image`, whose memory is reused. False if the sample cannot be read and
  /// the data set was told to skip such samples; FileError, naming the file, if it was not. ValueError if there is no
  /// such sample.
  virtual bool get(std::int64_t index, Image& image) const = 0;
  /// Where sample `index` comes from, for messages: "data_batch_1.bin record 17", a path, "shapes train 17".
  virtual std::string origin(std::int64_t index) const = 0;
  /// What could not be read so far and was left out, where that was asked for: the messages, sorted by path.
  virtual std::vector<std::string> skipped() const { return {}; }

 protected:
  /// Throws ValueError unless 0 <= index < size().
  void check_index(const char* who, std::int64_t index) const;
};

/// Pictures of one size, all held in memory.
class MemoryDataset : public Dataset {
 public:
  /// `pixels` holds labels.size() pictures of height x width x 3 bytes; every label is in [0, classes.size()).
  /// ValueError if that is not so.
  MemoryDataset(std::string name, int height, int width, std::vector<std::uint8_t> pixels,
                std::vector<std::int64_t> labels, std::vector<std::string> classes);

  std::int64_t size() const override { return static_cast<std::int64_t>(labels_.size()); }
  const std::vector<std::string>& classes() const override { return classes_; }
  std::int64_t label(std::int64_t index) const override;
  bool get(std::int64_t index, Image& image) const override;
  std::string origin(std::int64_t index) const override;

 private:
  std::string name_;
  int height_, width_;
  std::vector<std::uint8_t> pixels_;
  std::vector<std::int64_t> labels_;
  std::vector<std::string> classes_;
};

/// A copy of `source` in memory, read or drawn once, in parallel: worth it for pictures that are slow to make and read
/// every epoch. All pictures must have one size (ValueError otherwise).
MemoryDataset in_memory(const Dataset& source);

}  // namespace gradus::data

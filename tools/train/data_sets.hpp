#pragma once
// The data sets the program knows by name, with the transforms that go with them.

#include <memory>
#include <string>
#include <vector>

#include "data/class_list.hpp"
#include "data/dataset.hpp"
#include "data/pipeline.hpp"

namespace gradus::program {

struct DataRequest {
  std::string name = "builtin";  // builtin, cifar10, cifar100, imagefolder
  std::string folder;            // where the files are; builtin needs none
  std::string classes;           // imagefolder: file that lists the classes
  std::string augment = "standard";
  data::Mix mix{};                        // of training batches, where it is on; else what `augment` says
  std::string preprocess;                 // pipeline for evaluation; empty: the data set's own
  std::string normalize;                  // "normalize(…)" for pipelines that have none; empty: the data set's own
  std::int64_t size = 0;                  // height and width of the input; 0: 32, for imagefolder 224
  std::int64_t limit = 0, limit_val = 0;  // so many samples, drawn evenly; 0: all
  bool skip_bad = false;
  bool need_train = true;
  /// imagefolder without training: the classes of the network to be judged, as far as they are known, and how many
  /// they are.
  data::ClassList known{};
  std::int64_t outputs = 0;
};

struct DataSets {
  std::shared_ptr<const data::Dataset> train;       // null where DataRequest::need_train is false
  std::shared_ptr<const data::Dataset> validation;  // held out: nothing of it is trained on
  data::Pipeline train_pipeline, eval_pipeline;
  data::ClassList classes;  // of imagefolder
  std::int64_t size = 0;    // height and width of what the pipelines give
  bool small = false;       // 32x32: "resnet20" means cifar_resnet20
};

/// Opens a data set. imagefolder wants FOLDER/train and FOLDER/val; for evaluation alone FOLDER itself will do. What a
/// training pipeline normalises by, evaluation does too.
/// ValueError for an unknown name (with the nearest) or pipeline, FileError for what is wrong with the files.
DataSets open_data(const DataRequest& request);

}  // namespace gradus::program

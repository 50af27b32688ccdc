#include "tools/train/trainer.hpp"

#include <chrono>
#include <cmath>
#include <optional>
#include <utility>

#include "autograd/autocast.hpp"
#include "autograd/engine.hpp"
#include "core/parallel.hpp"
#include "nn/files/weights.hpp"
#include "nn/losses.hpp"
#include "nn/optim/clip.hpp"
#include "tools/precision.hpp"
#include "tools/train/load_model.hpp"
#include "tools/train/preprocess.hpp"
#include "tools/train/report.hpp"
#include "tools/train/transfer.hpp"
#include "zoo/model_name.hpp"

namespace gradus::program {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point t) { return std::chrono::duration<double>(Clock::now() - t).count(); }

DataRequest request_of(const TrainConfig& c, const std::string& normalize) {
  return {.name = c.data,
          .folder = c.data_dir,
          .classes = c.classes,
          .augment = c.augment,
          .mix = {.mixup = static_cast<float>(c.mixup), .cutmix = static_cast<float>(c.cutmix)},
          .preprocess = "",
          .normalize = normalize,
          .size = c.size,
          .limit = c.limit,
          .limit_val = c.limit_val,
          .skip_bad = c.skip_bad};
}

/// Rows of logits whose largest entry is the label's.
std::int64_t count_hits(const Tensor& logits, const Tensor& labels) {
  const std::vector<float> x = logits.to_vector<float>();
  const std::vector<std::int64_t> t = labels.to_vector<std::int64_t>();
  const auto classes = static_cast<std::size_t>(logits.size(1));
  std::int64_t hits = 0;
  for (std::size_t i = 0; i < t.size(); ++i) {
    const auto row = x.begin() + static_cast<std::ptrdiff_t>(i * classes);
    hits += std::max_element(row, row + static_cast<std::ptrdiff_t>(classes)) - row == t[i];
  }
  return hits;
}

zoo::Init init_of(const std::string& name) {
  if (name == "published") return zoo::Init::published;
  if (name == "paper") return zoo::Init::paper;
  check(name == "framework", "--init: takes published, paper or framework, got \"{}\"", name);
  return zoo::Init::framework;
}

bool all_finite(const Tensor& x) {
  for (const double v : x.to_vector<double>())
    if (!std::isfinite(v)) return false;
  return true;
}

}  // namespace

Trainer::Trainer(const TrainConfig& config, Device device) : config_(config), device_(device) {
  const TrainConfig& c = config_;
  check(c.epochs > 0, "--epochs: must be positive, got {}", c.epochs);
  check(c.batch > 0, "--batch: must be positive, got {}", c.batch);
  check(c.accumulate > 0, "--accumulate: must be positive, got {}", c.accumulate);
  check(c.early_stop >= 0, "--early-stop: must not be negative, got {}", c.early_stop);
  check(c.clip_norm >= 0, "--clip-norm: must not be negative, got {}", c.clip_norm);
  check(c.filter_rms >= 0, "--filter-rms: must not be negative, got {}", c.filter_rms);
  check(c.mixup >= 0, "--mixup: must not be negative, got {}", c.mixup);
  check(c.cutmix >= 0, "--cutmix: must not be negative, got {}", c.cutmix);
  check(c.label_smoothing >= 0 && c.label_smoothing <= 1, "--label-smoothing: must be in [0, 1], got {}",
        c.label_smoothing);
  if (c.threads > 0) set_num_threads(c.threads);
  precision_ = compute_on(device_, c.amp, c.tf32);
  const bool small = c.data != "imagefolder";
  const zoo::ModelInfo& info = zoo::find_model(c.model, small);  // an unknown name shows before the data are read
  model_name_ = zoo::canonical_name(c.model, small);

  // A network that learns on keeps seeing colours as it did.
  NamedTensors weights;
  if (!c.weights.empty()) weights = weights_of(load_weights(c.weights));
  const bool fresh = c.weights.empty();
  data_ = open_data(request_of(c, fresh ? "" : normalization_of(notes_of(weights, info, c.weights).preprocess)));
  manual_seed(c.seed);
  const auto classes = static_cast<std::int64_t>(data_.train->classes().size());
  model_ = zoo::build(c.model,
                      {.classes = classes,
                       .image_size = data_.size,
                       .dropout = c.dropout,
                       .survival = c.survival,
                       .init = init_of(c.init)},
                      data_.small);
  if (!fresh) start_from(*model_, weights, c.weights, classes, c.replace_head);
  model_->to(device_);
  frozen_ = freeze(*model_, c.freeze, classes);
  training_mode();
  optimizer_ = make_optimizer(c, *model_);
  if (c.ema > 0) ema_ = std::make_unique<Ema>(*model_, c.ema);
  parameters_ = model_->parameters();

  // Images of one size cross to the device as bytes, and are cropped and normalised there.
  const auto as_bytes = [&](const data::Pipeline& pipeline) {
    return device_.type == DeviceType::cuda && data_.small && pipeline.only_places();
  };
  train_loader_ = std::make_unique<data::Loader>(
      data_.train, data_.train_pipeline,
      data::LoaderOptions{.batch = c.batch,
                          .shuffle = true,
                          .drop_last = data_.train->size() >= c.batch,  // batch norm dislikes a small last batch
                          .seed = c.seed,
                          .workers = c.workers,
                          .endless = true,
                          .bytes = as_bytes(data_.train_pipeline)});
  val_loader_ = std::make_unique<data::Loader>(
      data_.validation, data_.eval_pipeline,
      data::LoaderOptions{.batch = c.batch, .workers = c.workers, .bytes = as_bytes(data_.eval_pipeline)});
  rate_ = make_schedule(c, (train_loader_->batches() + c.accumulate - 1) / c.accumulate);
}

void Trainer::training_mode() {
  model_->train();
  for (Module* m : frozen_) m->eval();
}

TrainingState Trainer::state() {
  return {.model = model_.get(),
          .optimizer = optimizer_.get(),
          .ema = ema_.get(),
          .plateau = rate_.plateau.get(),
          .generator = &default_generator(),
          .epoch = epoch_,
          .batch = batch_,
          .step = step_};
}

std::int64_t Trainer::disk_bytes() {
  std::int64_t model = 0, rest = 0;
  for (const NamedState& s : model_->state()) model += s.tensor->bytes();
  for (const NamedState& s : optimizer_->state()) rest += s.tensor->bytes();
  if (ema_) rest += model;
  // The checkpoint, the next one while it is being written, the best weights likewise, and what is small.
  return 2 * (model + rest) + 2 * model + (8 << 20);
}

std::map<std::string, std::string> Trainer::weight_metadata() const {
  std::map<std::string, std::string> metadata{{"model", model_name_},
                                              {"preprocess", data_.eval_pipeline.describe()},
                                              {"input", fmt::format("3x{0}x{0}", data_.size)},
                                              {"data", config_.data}};
  const std::vector<std::string>& names = data_.train->classes();
  write_classes(data_.classes.empty() ? data::ClassList(names, names, config_.data) : data_.classes, metadata);
  return metadata;
}

void Trainer::save(const RunFolder& folder) {
  TrainingState s = state();
  s.metadata = weight_metadata();
  s.notes["history"] = json(history_).dump();
  s.notes["partial"] = json{
      {"images", partial_.images},
      {"hits", partial_.hits},
      {"loss", partial_.loss},
      {"seconds", partial_.seconds},
      {"lr", partial_.lr}}.dump();
  if (events_) event_bytes_ = events_->flush();
  s.notes["events"] = std::to_string(event_bytes_);
  save_checkpoint(folder.checkpoint(), s);
}

void Trainer::resume(const RunFolder& folder) {
  TrainingState s = state();
  load_checkpoint(folder.checkpoint(), s);
  epoch_ = s.epoch;
  batch_ = s.batch;
  step_ = s.step;
  try {
    history_ = json::parse(s.notes.at("history")).get<std::vector<EpochRecord>>();
    const json p = json::parse(s.notes.at("partial"));
    partial_ = {p.at("images"), p.at("hits"), p.at("loss"), p.at("seconds"), p.at("lr")};
    if (s.notes.contains("events")) event_bytes_ = std::stoll(s.notes.at("events"));
  } catch (const std::exception&) {  // a missing note, or JSON that is none
    fail<FileError>("{}: its record of the run is damaged", folder.checkpoint());
  }
  for (std::size_t i = 0; i < history_.size(); ++i)
    if (history_[i].val_top1 > history_[best_].val_top1) best_ = i;
  folder.write_log(history_);
  folder.cut_histograms(epoch_);
}

const EpochRecord* Trainer::best() const { return history_.empty() ? nullptr : &history_[best_]; }

bool Trainer::stopped_early() const {
  return config_.early_stop > 0 && !history_.empty() &&
         std::ssize(history_) - 1 - static_cast<std::int64_t>(best_) >= config_.early_stop;
}
bool Trainer::finished() const { return epoch_ >= config_.epochs || stopped_early(); }

void Trainer::run(const RunFolder& folder, Progress& progress) {
  folder_ = folder.path();
  events_ = std::make_unique<EventFile>(folder.events(), event_bytes_);
  const InterruptGuard interrupt;
  while (!finished()) {
    const Clock::time_point begin = Clock::now();
    const double before = partial_.seconds;
    train_epoch(folder, progress, interrupt);
    const Evaluation evaluation = validate(progress);
    finish_epoch(folder, evaluation, before + seconds_since(begin));
    const EpochRecord& r = history_.back();
    progress.line(
        fmt::format("epoch {:>{}}/{}  lr {:.4g}  train loss {:.4f}  acc {:.2f} %  |  val loss {:.4f}  top-1 {:.2f} %  "
                    "top-5 {:.2f} %  "
                    "{:.0f} images/s  {}",
                    r.epoch, std::to_string(config_.epochs).size(), config_.epochs, r.lr, r.train_loss, r.train_top1,
                    r.val_loss, r.val_top1, r.val_top5, r.images_per_second, duration(r.seconds)));
    name_skipped(progress);
    if (stopped_early() && epoch_ < config_.epochs)
      progress.line(fmt::format("stopped early: no better top-1 for {} epochs", config_.early_stop));
    if (interrupt.asked() && !finished())
      throw Interrupted(
          fmt::format("stopped after epoch {}; everything is saved. To go on: gradus train --resume --out {}", epoch_,
                      folder.path()));
  }
}

void Trainer::train_epoch(const RunFolder& folder, Progress& progress, const InterruptGuard& interrupt) {
  const std::int64_t batches = train_loader_->batches();
  progress.begin(fmt::format("epoch {}/{}", epoch_ + 1, config_.epochs), batches, batch_);
  train_loader_->start(epoch_, batch_);
  const double before = partial_.seconds;
  const std::int64_t images_before = partial_.images;
  const Clock::time_point begin = Clock::now();
  while (std::optional<data::Batch> batch = train_loader_->next()) {
    move_to(*batch, device_);
    const std::int64_t first = batch_ - batch_ % config_.accumulate;  // of the group that shares a step
    const std::int64_t size = std::min(config_.accumulate, batches - first);
    const Generator generator = default_generator();
    const auto [loss, finite] = learn(*batch, {.number = batch_ - first, .size = size});
    if (!finite) explain(*batch, generator, loss);
    const auto n = static_cast<double>(batch->labels.size(0));
    partial_.loss += loss * n;
    partial_.images += batch->labels.size(0);
    partial_.lr = optimizer_->lr();
    ++batch_;

    partial_.seconds = before + seconds_since(begin);
    const double pace = static_cast<double>(partial_.images - images_before) / (partial_.seconds - before);
    const double left = progress.seconds_left(batch_);
    const double epoch_time =
        left / static_cast<double>(std::max<std::int64_t>(1, batches - batch_)) * static_cast<double>(batches);
    const double run_left =
        left + (batch_ < batches ? epoch_time : partial_.seconds) * static_cast<double>(config_.epochs - epoch_ - 1);
    progress.update(batch_, fmt::format("loss {:.3f}  acc {:.1f} %  {:.0f} images/s  {} left",
                                        partial_.loss / static_cast<double>(partial_.images),
                                        100 * static_cast<double>(partial_.hits) / static_cast<double>(partial_.images),
                                        pace, duration(run_left)));
    // A checkpoint holds no gradients: a group is ended first.
    if (interrupt.asked() && batch_ < batches && batch_ % config_.accumulate == 0) {
      progress.end();
      save(folder);
      throw Interrupted(fmt::format(
          "stopped in epoch {} after batch {} of {}; everything is saved. To go on: gradus train --resume --out {}",
          epoch_ + 1, batch_, batches, folder.path()));
    }
  }
  progress.end();
}

Trainer::Forward Trainer::forward(const data::Batch& batch) {
  const Autocast precision(precision_);
  Heads heads = model_->forward_heads(batch.images);
  if (config_.aux_weight >= 0)
    for (Heads::Auxiliary& head : heads.auxiliary) head.loss_weight = config_.aux_weight;
  const Tensor loss = heads_loss(heads, batch.targets.defined() ? batch.targets : batch.labels,
                                 {.label_smoothing = config_.label_smoothing});
  return {loss, heads.logits};
}

Trainer::Learnt Trainer::learn(const data::Batch& batch, const Turn& turn) {
  if (turn.number == 0) {
    if (rate_.schedule) optimizer_->set_lr(rate_.schedule(step_));
    optimizer_->zero_grad();
  }
  const bool recorded = config_.histograms && batch_ + 1 == train_loader_->batches();
  std::optional<ActivationHistograms> activations;
  if (recorded) activations.emplace(*model_);
  const auto [loss, logits] = forward(batch);
  if (recorded) histograms_.activations = activations->take();
  activations.reset();  // what backward runs again is not recorded
  const double value = loss.item();
  turn_loss_ = (turn.number == 0 ? 0 : turn_loss_) + value / static_cast<double>(turn.size);
  if (!std::isfinite(value)) return {value, false};
  // The loss of the step is the mean over its batches.
  if (turn.size == 1)
    backward(loss);
  else
    backward(loss, full({}, 1.0 / static_cast<double>(turn.size), {.dtype = loss.dtype(), .device = loss.device()}));
  partial_.hits += count_hits(logits, batch.labels);
  if (turn.number + 1 < turn.size) return {value};

  if (recorded) histograms_.gradients = gradient_histograms(*model_);
  if (config_.clip_norm > 0) {
    const double norm = optim::clip_grad_norm(parameters_, config_.clip_norm);
    if (!std::isfinite(norm)) return {value, false};
  }
  optimizer_->step();
  if (config_.filter_rms > 0) optim::clip_filter_rms(parameters_, config_.filter_rms);
  if (ema_) ema_->update();
  ++step_;
  if (events_) {
    events_->scalar("step/loss", step_, turn_loss_);
    events_->scalar("step/lr", step_, optimizer_->lr());
  }
  return {value};
}

void Trainer::explain(const data::Batch& batch, const Generator& generator, double loss) {
  std::string where;
  for (const NamedParameter& p : model_->named_parameters()) {
    if (all_finite(*p.parameter)) continue;
    where = fmt::format("{} was no number after the update before, at learning rate {:.4g}", p.name, optimizer_->lr());
    break;
  }
  if (where.empty()) {
    try {
      const AnomalyMode anomaly;
      default_generator() = generator;
      optimizer_->zero_grad();
      backward(forward(batch).loss);
      where = "run again, the step gave numbers";
    } catch (const Error& error) {
      where = error.what();
    }
  }
  const bool saved = RunFolder(folder_).has_checkpoint();
  fail<Diverged>("the {} became {} in epoch {}, batch {}. First seen: {}. {} A lower --lr or --clip-norm 1 may help",
                 std::isfinite(loss) ? "gradient" : "loss",
                 std::isfinite(loss) ? "infinite or NaN" : fmt::format("{}", loss), epoch_ + 1, batch_ + 1, where,
                 saved ? fmt::format("The last good checkpoint stays in {}.", RunFolder(folder_).checkpoint())
                       : "No epoch was finished, so there is no checkpoint.");
}

void Trainer::try_rates(const Schedule& rate, std::int64_t steps,
                        const std::function<bool(std::int64_t, double)>& each) {
  rate_ = {rate, nullptr};
  train_loader_->start(0);
  for (std::int64_t t = 0; t < steps; ++t) {
    double loss = 0;
    for (std::int64_t i = 0; i < config_.accumulate; ++i) {
      std::optional<data::Batch> batch = train_loader_->next();
      if (!batch) batch = train_loader_->next();  // another epoch begins
      move_to(*batch, device_);
      loss += learn(*batch, {.number = i, .size = config_.accumulate}).loss / static_cast<double>(config_.accumulate);
    }
    if (!each(t, loss)) return;
  }
}

Evaluation Trainer::validate(Progress& progress) {
  progress.begin("validation", val_loader_->batches());
  if (ema_) ema_->swap();
  std::int64_t done = 0;
  Evaluation evaluation = evaluate(*model_, *val_loader_, [&](const Scorer& scorer) {
    progress.update(++done, fmt::format("loss {:.3f}  top-1 {:.1f} %", scorer.loss(), scorer.top1()));
    return true;
  });
  training_mode();
  if (ema_) ema_->swap();
  progress.end();
  return evaluation;
}

void Trainer::name_skipped(Progress& progress) {
  for (const auto& dataset : {data_.train, data_.validation})
    for (const std::string& what : dataset->skipped())
      if (named_.insert(what).second) progress.line("left out: " + what);
}

void Trainer::write_events(const EpochRecord& r) {
  const std::pair<const char*, double> figures[] = {{"train/loss", r.train_loss},
                                                    {"train/top1", r.train_top1},
                                                    {"train/images_per_second", r.images_per_second},
                                                    {"validation/loss", r.val_loss},
                                                    {"validation/top1", r.val_top1},
                                                    {"validation/top5", r.val_top5}};
  for (const auto& [tag, value] : figures) events_->scalar(tag, step_, value);
  for (const auto& [name, h] : histograms_.activations) events_->histogram("activations/" + name, step_, h);
  for (const auto& [name, h] : histograms_.gradients) events_->histogram("gradients/" + name, step_, h);
}

void Trainer::finish_epoch(const RunFolder& folder, const Evaluation& evaluation, double seconds) {
  check<Diverged>(
      std::isfinite(evaluation.loss),
      "the validation loss became {} in epoch {}: the network gives no numbers although its training loss was "
      "{:.4g}. A lower --lr or --clip-norm 1 may help",
      evaluation.loss, epoch_ + 1, partial_.loss / static_cast<double>(partial_.images));
  if (rate_.plateau) optimizer_->set_lr(rate_.plateau->observe(evaluation.loss));
  const auto images = static_cast<double>(partial_.images);
  history_.push_back({.epoch = epoch_ + 1,
                      .lr = partial_.lr,
                      .train_loss = partial_.loss / images,
                      .train_top1 = 100 * static_cast<double>(partial_.hits) / images,
                      .val_loss = evaluation.loss,
                      .val_top1 = evaluation.top1,
                      .val_top5 = evaluation.top5,
                      .images_per_second = images / partial_.seconds,
                      .seconds = seconds});
  ++epoch_;
  batch_ = 0;
  partial_ = {};
  if (history_.size() == 1 || history_.back().val_top1 > history_[best_].val_top1) {
    best_ = history_.size() - 1;
    if (ema_) ema_->swap();
    NamedTensors weights = state_dict(*model_);
    weights.metadata = weight_metadata();
    weights.metadata["val_top1"] = fmt::format("{:.4f}", evaluation.top1);
    save_weights(folder.best(), weights);
    if (ema_) ema_->swap();
  }
  write_events(history_.back());
  if (config_.histograms) folder.append_histograms(to_json(histograms_, epoch_, step_));
  // The checkpoint comes first: a run killed between the two rewrites its log from it.
  save(folder);
  folder.append_log(history_.back());
  if (ema_) ema_->swap();
  write_report(folder.file("report.html"),
               {.title = model_name_ + " on " + config_.data,
                .config = json(config_),
                .history = history_,
                .epochs = config_.epochs,
                .evaluation = evaluation,
                .classes = data_.validation->classes(),
                .histograms = folder.read_histograms()},
               *data_.validation, *model_);
  if (ema_) ema_->swap();
}

}  // namespace gradus::program

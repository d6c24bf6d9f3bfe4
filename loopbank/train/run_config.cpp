#include "loopbank/train/run_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

constexpr int64_t kLargestCount = 1'000'000'000;

void expect_in_range(std::string_view key, int64_t value, int64_t low, int64_t high,
                     std::string_view section = "training") {
  if (value < low || value > high) {
    fail(ErrorCode::kConfig, "{}: \"{}\" expects a whole number from {} to {}, got {}.", section,
         key, low, high, value);
  }
}

void expect_number(std::string_view section, std::string_view key, double value, bool good,
                   std::string_view expected) {
  if (!good || !std::isfinite(value)) {
    fail(ErrorCode::kConfig, "{}: \"{}\" expects {}, got {}.", section, key, expected, value);
  }
}

void expect_choice(std::string_view section, std::string_view key, const std::string& value,
                   const std::vector<std::string>& choices) {
  if (std::find(choices.begin(), choices.end(), value) == choices.end()) {
    const auto hint = suggestion(value, choices);  // a list of all of them where none is near
    fail(ErrorCode::kConfig, "{}: \"{}\" expects {}, got \"{}\".{}", section, key,
         fmt::join(choices, " or "), value, hint.starts_with(" Did") ? hint : "");
  }
}

void check_training(const TrainingConfig& training, const ModelConfig& model) {
  expect_in_range("seed", training.seed, 0, std::numeric_limits<int64_t>::max());
  expect_in_range("steps", training.steps, 1, kLargestCount);
  expect_in_range("batch", training.batch, 1, kLargestCount);
  expect_in_range("micro_batch", training.micro_batch, 0, training.batch);
  if (training.micro_batch > 0 && training.batch % training.micro_batch != 0) {
    fail(ErrorCode::kConfig,
         "training: \"micro_batch\" expects a divisor of \"batch\" ({}) or 0, got {}.",
         training.batch, training.micro_batch);
  }
  expect_in_range("sequence_length", training.sequence_length, 1, kLargestCount);
  if (training.sequence_length > model.max_position_embeddings) {
    fail(ErrorCode::kConfig,
         "training: \"sequence_length\" expects at most the model's \"max_position_embeddings\" "
         "({}), got {}. Raise the one or lower the other.",
         model.max_position_embeddings, training.sequence_length);
  }
  const double tokens = static_cast<double>(training.steps) * static_cast<double>(training.batch) *
                        static_cast<double>(training.sequence_length);
  expect_number("training", "steps", tokens, tokens < 0x1p62,
                "steps x batch x sequence_length tokens below 2^62");
  expect_choice("training", "precision", training.precision, {"fp32", "bf16"});
  expect_choice("training", "recompute", training.recompute, {"none", "loop", "layer"});
  expect_in_range("validate_every", training.validate_every, 0, kLargestCount);
  expect_in_range("validation_rows", training.validation_rows, 1, kLargestCount);
  expect_in_range("checkpoint_every", training.checkpoint_every, 0, kLargestCount);
  expect_in_range("keep_checkpoints", training.keep_checkpoints, 1, kLargestCount);
  expect_choice("training", "device", training.device, {"auto", "cpu", "cuda"});
  expect_number("training", "ponder_warmup_fraction", training.ponder_warmup_fraction,
                training.ponder_warmup_fraction >= 0.0 && training.ponder_warmup_fraction <= 1.0,
                "a fraction of the steps from 0 to 1");
  expect_in_range("halting_alarm_steps", training.halting_alarm_steps, 0, kLargestCount);
}

void check_data(const DataConfig& data) {
  if (data.train.is_list && data.train.values.empty()) {
    fail(ErrorCode::kConfig,
         "data: \"train\" expects a path or a list of them, got an empty list.");
  }
  if (data.train.values.size() > 1 &&
      std::any_of(data.train.values.begin(), data.train.values.end(),
                  [](const auto& path) { return path.empty(); })) {
    fail(ErrorCode::kConfig, "data: \"train\" expects paths, got an empty text among {}.",
         data.train.values.size());
  }
  if (!data.train_weights.empty() && data.train_weights.size() != data.train.values.size()) {
    fail(ErrorCode::kConfig,
         "data: \"train_weights\" expects a number for each of the {} paths of \"train\", got {}.",
         data.train.values.size(), data.train_weights.size());
  }
  if (!data.benchmark.empty()) {
    expect_choice("data", "benchmark", data.benchmark, {"demo", "small"});
  }
  for (const auto weight : data.train_weights) {
    expect_number("data", "train_weights", weight, weight > 0.0, "numbers above 0");
  }
}

void check_optimizer(const OptimizerConfig& optimizer) {
  const auto expect = [](std::string_view key, double value, bool good, std::string_view expected) {
    expect_number("optimizer", key, value, good, expected);
  };
  const auto is_beta = [](double value) { return value >= 0.0 && value < 1.0; };
  expect("beta1", optimizer.beta1, is_beta(optimizer.beta1), "a number from 0 to below 1");
  expect("beta2", optimizer.beta2, is_beta(optimizer.beta2), "a number from 0 to below 1");
  expect("eps", optimizer.eps, optimizer.eps > 0.0, "a number above 0");
  expect("weight_decay", optimizer.weight_decay, optimizer.weight_decay >= 0.0, "0 or more");
  expect("clip_norm", optimizer.clip_norm, optimizer.clip_norm >= 0.0, "0 (no clipping) or more");
  for (const auto& [key, multiplier] :
       {std::pair{"loop_scale_multiplier", optimizer.loop_scale_multiplier},
        std::pair{"memory_multiplier", optimizer.memory_multiplier},
        std::pair{"router_multiplier", optimizer.router_multiplier},
        std::pair{"memory_gate_multiplier", optimizer.memory_gate_multiplier}}) {
    expect(key, multiplier, multiplier >= 0.0, "0 or more");
  }
}

void check_schedule(const ScheduleConfig& schedule) {
  const auto expect = [](std::string_view key, double value, bool good, std::string_view expected) {
    expect_number("schedule", key, value, good, expected);
  };
  const auto is_fraction = [](double value) { return value >= 0.0 && value <= 1.0; };
  expect_choice("schedule", "name", schedule.name, {"one_cycle", "warmup_stable_decay"});
  expect("initial_rate", schedule.initial_rate, schedule.initial_rate >= 0.0, "0 or more");
  expect("peak_rate", schedule.peak_rate, schedule.peak_rate > 0.0, "a number above 0");
  expect("final_rate", schedule.final_rate, schedule.final_rate >= 0.0, "0 or more");
  expect("warmup_fraction", schedule.warmup_fraction, is_fraction(schedule.warmup_fraction),
         "a fraction of the steps from 0 to 1");
  expect("decay_fraction", schedule.decay_fraction, is_fraction(schedule.decay_fraction),
         "a fraction of the steps from 0 to 1");
  const double both = schedule.warmup_fraction + schedule.decay_fraction;
  expect("decay_fraction", schedule.decay_fraction,
         schedule.name != "warmup_stable_decay" || both <= 1.0,
         fmt::format("at most 1 together with \"warmup_fraction\" ({})", schedule.warmup_fraction));
}

void check_evaluation(const EvaluationConfig& evaluation, const ModelConfig& model) {
  const auto expect = [](std::string_view key, int64_t value, int64_t low, int64_t high) {
    expect_in_range(key, value, low, high, "evaluation");
  };
  expect("every", evaluation.every, 0, kLargestCount);
  expect("limit", evaluation.limit, 0, kLargestCount);
  expect("shots", evaluation.shots, -1, kLargestCount);
  for (const int64_t budget : evaluation.max_loops.values) {
    expect("max_loops", budget, 0, std::max<int64_t>(1, model.most_loops()));
  }
  if (!evaluation.tasks.empty() && evaluation.data.empty()) {
    fail(ErrorCode::kConfig,
         "evaluation: \"data\" expects the folders of the files of \"tasks\" ({}), got none.",
         fmt::join(evaluation.tasks, ", "));
  }
}

}  // namespace

std::vector<Field> DataConfig::fields() {
  return {
      {"train", &train,
       "token file, folder of shards, .bin or .pbin file or pattern to train on, or a list of "
       "these; "
       "paths are relative to the current directory"},
      {"train_weights", &train_weights,
       "share of the tokens that each of a list is to give; empty: in proportion to its tokens"},
      {"validation", &validation, "one of these to validate on; empty: no validation"},
      {"tokenizer", &tokenizer,
       "tokenizer.json that made the token files; \"bytes\": the byte tokenizer"},
      {"benchmark", &benchmark,
       "demo or small: the files are the embedded benchmark of that study, made by `loopbank "
       "train` "
       "where they are not there; empty: files of your own"},
  };
}

std::vector<Field> TrainingConfig::fields() {
  return {
      {"seed", &seed, "of the initial values and the order of documents"},
      {"steps", &steps, "optimizer steps"},
      {"batch", &batch, "sequences a step"},
      {"micro_batch", &micro_batch, "sequences a forward pass, divides batch; 0: the whole batch"},
      {"sequence_length", &sequence_length, "T, tokens of a sequence"},
      {"precision", &precision, "bf16 or fp32 compute; weights and optimizer are fp32 always"},
      {"recompute", &recompute,
       "none, loop or layer: what the backward pass computes again instead of keeping it"},
      {"validate_every", &validate_every, "steps; 0: only after the last"},
      {"validation_rows", &validation_rows, "rows of T tokens scored at each validation"},
      {"checkpoint_every", &checkpoint_every, "steps; 0: only after the last"},
      {"keep_checkpoints", &keep_checkpoints, "newest checkpoints that are kept, at least 1"},
      {"device", &device, "auto, cpu or cuda; auto takes a GPU where there is one"},
      {"ponder_warmup_fraction", &ponder_warmup_fraction,
       "share of the steps in which the ponder weight rises from 0 to model.ponder_weight"},
      {"halting_alarm_steps", &halting_alarm_steps,
       "steps at 1 or at N mean loops after which a warning is given; 0: none"},
  };
}

std::vector<Field> OptimizerConfig::fields() {
  return {
      {"beta1", &beta1, "AdamW, decay of the mean of gradients"},
      {"beta2", &beta2, "AdamW, decay of the mean of squared gradients"},
      {"eps", &eps, "AdamW, added to the root of the second moment"},
      {"weight_decay", &weight_decay, "on linear weights only"},
      {"clip_norm", &clip_norm, "largest norm of all gradients together; 0: no clipping"},
      {"loop_scale_multiplier", &loop_scale_multiplier,
       "learning rate of the loop scales over that of the rest"},
      {"memory_multiplier", &memory_multiplier,
       "learning rate of memory keys and values over that of the rest"},
      {"router_multiplier", &router_multiplier,
       "learning rate of the routers over that of the rest"},
      {"memory_gate_multiplier", &memory_gate_multiplier,
       "learning rate of the memory gates over that of the rest"},
  };
}

std::vector<Field> ScheduleConfig::fields() {
  return {
      {"name", &name, "one_cycle (cosine up and down) or warmup_stable_decay (straight lines)"},
      {"initial_rate", &initial_rate, "learning rate of the first step"},
      {"peak_rate", &peak_rate, "learning rate after the warmup"},
      {"final_rate", &final_rate, "learning rate of the last step"},
      {"warmup_fraction", &warmup_fraction, "share of the steps before the peak"},
      {"decay_fraction", &decay_fraction,
       "share of the steps in which warmup_stable_decay comes down"},
  };
}

std::vector<Field> EvaluationConfig::fields() {
  return {
      {"tasks", &tasks, "tasks and suites scored while training, as in `eval`; empty: none"},
      {"every", &every, "steps; 0: only after the last"},
      {"data", &data, "folders of the tasks' files"},
      {"limit", &limit, "instances a task; 0: all"},
      {"shots", &shots, "examples before every query; -1: as the task's name says, else none"},
      {"fewshot", &fewshot, "file of the shots"},
      {"max_loops", &max_loops, "loop budget or a list of them; 0: the model's N"},
  };
}

std::vector<Section> RunConfig::sections() {
  return {{"model", model.fields()},       {"data", data.fields()},
          {"training", training.fields()}, {"optimizer", optimizer.fields()},
          {"schedule", schedule.fields()}, {"evaluation", evaluation.fields()}};
}

void RunConfig::validate() {
  model.validate();
  check_data(data);
  check_training(training, model);
  check_optimizer(optimizer);
  check_schedule(schedule);
  check_evaluation(evaluation, model);
}

RunConfig load_run_config(const std::filesystem::path& path,
                          const std::vector<std::string>& overrides) {
  RunConfig config;
  read_toml(path, overrides, config.sections());
  try {
    config.validate();
  } catch (const Error& error) {
    throw Error(error.code(), path.string() + ": " + error.what());
  }
  return config;
}

std::string to_toml(const RunConfig& config) {
  auto copy = config;
  return write_toml(copy.sections());
}

ForwardOptions TrainingConfig::forward_options() const {
  return {.compute_dtype = precision == "bf16" ? at::kBFloat16 : at::kFloat,
          .recompute = recompute == "loop"    ? Recompute::kLoop
                       : recompute == "layer" ? Recompute::kLayer
                                              : Recompute::kNone};
}

}  // namespace loopbank

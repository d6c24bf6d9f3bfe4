#include "loopbank/train/run_config.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

/// Of steps, sequences and the like.
constexpr double kLargestCount = 1e9;
constexpr double kLongestTimeout = 86400.0;  // seconds: a day

void check_training(const TrainingConfig& training, const ModelConfig& model) {
  if (model.quantization_bits != 0) {
    fail(ErrorCode::kConfig,
         "model: \"quantization_bits\" expects 0 in a model that is trained, got {}. Train in fp32 "
         "and write what came of it with `loopbank quantize`.",
         model.quantization_bits);
  }
  if (training.micro_batch > training.batch) {
    fail(ErrorCode::kConfig,
         "training: \"micro_batch\" expects a whole number from 0 to {} (\"batch\"), got {}. "
         "Nearest: {}.",
         training.batch, training.micro_batch, training.batch);
  }
  if (training.micro_batch > 0 && training.batch % training.micro_batch != 0) {
    fail(ErrorCode::kConfig,
         "training: \"micro_batch\" expects a divisor of \"batch\" ({}) or 0, got {}.",
         training.batch, training.micro_batch);
  }
  if (training.sequence_length > model.max_position_embeddings) {
    fail(ErrorCode::kConfig,
         "training: \"sequence_length\" expects at most the model's \"max_position_embeddings\" "
         "({}), got {}. Raise the one or lower the other.",
         model.max_position_embeddings, training.sequence_length);
  }
  const double tokens = static_cast<double>(training.steps) * static_cast<double>(training.batch) *
                        static_cast<double>(training.sequence_length);
  if (tokens >= 0x1p62) {
    fail(ErrorCode::kConfig,
         "training: \"steps\" expects steps x batch x sequence_length tokens below 2^62, got {}.",
         tokens);
  }
}

void check_data(const DataConfig& data) {
  if (data.train.is_list && data.train.values.empty()) {
    fail(ErrorCode::kConfig,
         "data: \"train\" expects a path or a list of paths, got an empty list.");
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
}

void check_init(const TrainingConfig& training, const OptimizerConfig& optimizer) {
  if (!training.init.empty()) {
    return;
  }
  if (!training.init_hash.empty()) {
    fail(
        ErrorCode::kConfig,
        "training: \"init_hash\" expects \"init\", the folder of the model that has it, got none.");
  }
  if (optimizer.init_multiplier != 1.0 || optimizer.new_multiplier != 1.0) {
    fail(ErrorCode::kConfig,
         "optimizer: \"init_multiplier\" and \"new_multiplier\" expect 1 in a run that starts from "
         "no model (training.init), got {} and {}.",
         optimizer.init_multiplier, optimizer.new_multiplier);
  }
}

void check_schedule(const ScheduleConfig& schedule) {
  if (schedule.name == "warmup_stable_decay" &&
      schedule.warmup_fraction + schedule.decay_fraction > 1.0) {
    fail(ErrorCode::kConfig,
         "schedule: \"decay_fraction\" expects at most 1 together with \"warmup_fraction\" ({}), "
         "got {}.",
         schedule.warmup_fraction, schedule.decay_fraction);
  }
}

void check_evaluation(const EvaluationConfig& evaluation, const ModelConfig& model) {
  for (const int64_t budget : evaluation.max_loops.values) {
    (void)model.budget_loops(budget, "evaluation");
  }
  if (!evaluation.tasks.empty() && evaluation.data.empty()) {
    fail(
        ErrorCode::kConfig,
        "evaluation: \"data\" expects the folders that hold the files of \"tasks\" ({}), got none.",
        fmt::join(evaluation.tasks, ", "));
  }
}

}  // namespace

std::vector<Field> DataConfig::fields() {
  return {
      Field("train", &train,
            "what to train on: a token file, a folder of shards, a .bin or .pbin file, a pattern, "
            "or a list of these; relative paths start at the current directory"),
      Field("train_weights", &train_weights,
            "each path's share of the training tokens; empty: in proportion to its own tokens")
          .positive(),
      Field("validation", &validation,
            "what to validate on, a path as in `train`; empty: no validation"),
      Field("tokenizer", &tokenizer,
            "the tokenizer.json that made the token files; \"bytes\": the byte tokenizer"),
      Field("bin_dtype", &bin_dtype,
            "what the ids of .bin files without a header (nanoGPT) are, which the files do not "
            "say; auto: uint16, if the tokenizer's ids fit")
          .choices({"auto", "uint16", "uint32"}),
      Field("benchmark", &benchmark,
            "the study whose embedded benchmark the files hold; `loopbank train` makes it where "
            "the files are missing; empty: your own files")
          .choices({"", "demo", "small"}),
  };
}

std::vector<Field> TrainingConfig::fields() {
  return {
      Field("seed", &seed, "seed of the initial weights and of the order of the documents")
          .minimum(0),
      Field("steps", &steps, "optimizer steps").range(1, kLargestCount).required(),
      Field("batch", &batch, "sequences per step").range(1, kLargestCount).required(),
      Field("micro_batch", &micro_batch,
            "sequences per forward pass, a divisor of `batch`; 0: the whole batch")
          .range(0, kLargestCount),
      Field("sequence_length", &sequence_length, "T, tokens per sequence")
          .range(1, kLargestCount)
          .required(),
      Field("precision", &precision,
            "number type of the computation; weights and optimizer state are always fp32")
          .choices({"fp32", "bf16"}),
      Field("recompute", &recompute,
            "what the backward pass computes again instead of keeping it in memory: nothing, each "
            "loop, or each layer")
          .choices({"none", "loop", "layer"}),
      Field("validate_every", &validate_every,
            "steps between two validations; 0: only after the last step")
          .range(0, kLargestCount),
      Field("validation_rows", &validation_rows, "rows of T tokens scored in each validation")
          .range(1, kLargestCount),
      Field("checkpoint_every", &checkpoint_every,
            "steps between two checkpoints; 0: only after the last step")
          .range(0, kLargestCount),
      Field("keep_checkpoints", &keep_checkpoints, "how many of the newest checkpoints are kept")
          .range(1, kLargestCount),
      Field("device", &device,
            "where to train; auto: on a GPU if there is one; cuda:K: on GPU K, counted from 0")
          .choices({"auto", "cpu", "cuda", "cuda:K"}),
      Field("ponder_warmup_fraction", &ponder_warmup_fraction,
            "fraction of the steps in which the ponder weight rises from 0 to "
            "`model.ponder_weight`")
          .range(0.0, 1.0),
      Field("halting_alarm_steps", &halting_alarm_steps,
            "steps in a row with a mean of 1 loop or of N loops before a warning; 0: no warning")
          .range(0, kLargestCount),
      Field("alarm_validations", &alarm_validations,
            "validations in a row in which loops, memory banks, gates or routers do nothing before "
            "a warning; 0: no warning")
          .range(0, kLargestCount),
      Field("rank_timeout", &rank_timeout,
            "seconds that a rank waits for the others before it gives them up")
          .range(1.0, kLongestTimeout),
      Field(
          "init", &init,
          "folder of a model to start from, with its weights, its [model] and its tokenizer; loops "
          "and memory that it lacks are added; empty: start from initial values"),
      Field(
          "init_hash", &init_hash,
          "hash that the weights of `init` must have; empty: whatever they are, and the run writes "
          "it down"),
      Field("tensorboard", &tensorboard,
            "whether what metrics.jsonl holds is written for TensorBoard too, with histograms of "
            "halting"),
  };
}

std::vector<Field> OptimizerConfig::fields() {
  return {
      Field("beta1", &beta1, "AdamW, decay rate of the mean of the gradients")
          .minimum(0.0)
          .below(1.0),
      Field("beta2", &beta2, "AdamW, decay rate of the mean of the squared gradients")
          .minimum(0.0)
          .below(1.0),
      Field("eps", &eps, "AdamW, added to the square root of the mean of the squared gradients")
          .positive(),
      Field("weight_decay", &weight_decay, "AdamW, weight decay; applies to linear weights only")
          .minimum(0.0),
      Field("clip_norm", &clip_norm, "largest norm of all gradients together; 0: no clipping")
          .minimum(0.0),
      Field("loop_scale_multiplier", &loop_scale_multiplier,
            "learning rate of the loop scales, relative to the schedule's")
          .minimum(0.0),
      Field("memory_multiplier", &memory_multiplier,
            "learning rate of the memory keys and values, relative to the schedule's")
          .minimum(0.0),
      Field("router_multiplier", &router_multiplier,
            "learning rate of the halting routers, relative to the schedule's")
          .minimum(0.0),
      Field("memory_gate_multiplier", &memory_gate_multiplier,
            "learning rate of the memory gates, relative to the schedule's")
          .minimum(0.0),
      Field("init_multiplier", &init_multiplier,
            "learning rate of what was taken from `training.init`, relative to the schedule's; "
            "multiplies those above; 0: stays as it is")
          .minimum(0.0),
      Field("new_multiplier", &new_multiplier,
            "learning rate of loops and memory that were added to `training.init`, likewise")
          .minimum(0.0),
  };
}

std::vector<Field> ScheduleConfig::fields() {
  return {
      Field("name", &name,
            "how the learning rate moves: up and down along a cosine, or up, flat and down in "
            "straight lines")
          .choices({"one_cycle", "warmup_stable_decay"}),
      Field("initial_rate", &initial_rate, "learning rate of the first step").minimum(0.0),
      Field("peak_rate", &peak_rate, "learning rate after the warmup").positive(),
      Field("final_rate", &final_rate, "learning rate of the last step").minimum(0.0),
      Field("warmup_fraction", &warmup_fraction, "fraction of the steps before the peak")
          .range(0.0, 1.0),
      Field("decay_fraction", &decay_fraction,
            "fraction of the steps in which warmup_stable_decay lowers the rate; at most 1 "
            "together with `warmup_fraction`")
          .range(0.0, 1.0),
  };
}

std::vector<Field> EvaluationConfig::fields() {
  return {
      Field("tasks", &tasks,
            "tasks and suites to score while training, named as in `loopbank eval`; empty: none"),
      Field("every", &every, "steps between two evaluations; 0: only after the last step")
          .range(0, kLargestCount),
      Field("data", &data, "folders that hold the tasks' files"),
      Field("limit", &limit, "questions per task; 0: all").range(0, kLargestCount),
      Field("shots", &shots,
            "worked examples before each question; -1: as many as the task's name says, or none")
          .range(-1, kLargestCount),
      Field("fewshot", &fewshot, "file that holds the worked examples"),
      Field("max_loops", &max_loops,
            "loop budget or a list of them, each giving one result; 0: each layer's own N")
          .range(0, kMaxLoops),
  };
}

std::vector<Section> RunConfig::sections() {
  auto all = model.sections();
  all.insert(all.end(), {{"data", data.fields()},
                         {"training", training.fields()},
                         {"optimizer", optimizer.fields()},
                         {"schedule", schedule.fields()},
                         {"evaluation", evaluation.fields()}});
  return all;
}

void RunConfig::validate() {
  for (const auto& section : sections()) {
    check_fields(section.fields, section.name);
  }
  model.validate();
  check_data(data);
  check_training(training, model);
  check_init(training, optimizer);
  check_schedule(schedule);
  check_evaluation(evaluation, model);
}

RunConfig load_run_config(const std::filesystem::path& path,
                          const std::vector<std::string>& overrides,
                          const std::filesystem::path& resumed, SettingPlaces* places) {
  RunConfig config;
  const auto sections = config.sections();
  auto found = read_with_init(
      config, [&] { return read_toml(path, overrides, sections); }, path.string(), resumed);
  check_together(found, sections, path.string(), [&] { config.validate(); });
  if (places != nullptr) {
    *places = std::move(found);
  }
  return config;
}

RunConfig load_stored_run(const std::filesystem::path& path) {
  RunConfig config;
  const auto sections = config.sections();
  const auto places = read_toml(path, {}, sections);
  check_together(places, sections, path.string(), [&] { config.validate(); });
  return config;
}

std::string to_toml(const RunConfig& config) {
  auto copy = config;
  auto all = copy.sections();
  std::erase_if(all, [&](const Section& section) {
    return section.name == "model.rope_scaling" && !copy.model.rope_scaling.is_scaled();
  });
  return write_toml(all);
}

ForwardOptions TrainingConfig::forward_options() const {
  return {.compute_dtype = precision == "bf16" ? at::kBFloat16 : at::kFloat,
          .recompute = recompute == "loop"    ? Recompute::kLoop
                       : recompute == "layer" ? Recompute::kLayer
                                              : Recompute::kNone};
}

}  // namespace loopbank

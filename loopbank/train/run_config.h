#pragma once
/// A run as a TOML file: [model], [data], [training], [optimizer], [schedule], [evaluation].

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "loopbank/model/config.h"
#include "loopbank/model/forward_options.h"
#include "loopbank/support/settings.h"

namespace loopbank {

struct DataConfig {
  TextOrList train;                     ///< a source of tokens or several (data/token_source.h)
  std::vector<double> train_weights{};  ///< share of each source; empty: by its tokens
  std::string validation;               ///< a source of tokens, may be empty
  std::string tokenizer;  ///< tokenizer.json that made them; "bytes" for the byte tokenizer
  /// auto | uint16 | uint32: the ids of .bin files that do not say (TokenSourceOptions).
  std::string bin_dtype = "auto";
  /// demo | small: the files above hold the embedded benchmark of that study. Whoever starts the run
  /// makes it where they are missing (study/preset_data.h). Empty: the user's own files.
  std::string benchmark{};
  std::vector<Field> fields();
  bool operator==(const DataConfig&) const = default;
};

struct TrainingConfig {
  int64_t seed = 0;
  int64_t steps = 0;
  int64_t batch = 0;            ///< sequences a step
  int64_t micro_batch = 0;      ///< sequences a forward pass; 0: the whole batch
  int64_t sequence_length = 0;  ///< T, tokens
  std::string precision = "bf16";
  std::string recompute = "none";  ///< none | loop | layer
  int64_t validate_every = 100;
  int64_t validation_rows = 64;  ///< rows of T tokens scored at each validation
  int64_t checkpoint_every = 0;  ///< steps; 0: only at the end
  int64_t keep_checkpoints = 2;
  std::string device = "auto";          ///< auto | cpu | cuda | cuda:K
  double ponder_warmup_fraction = 0.0;  ///< of the steps, in which the ponder weight rises from 0
  int64_t halting_alarm_steps = 200;    ///< at 1 or at N loops before a warning; 0: none
  int64_t alarm_validations = 3;        ///< with a part that does nothing, likewise
  double rank_timeout = 300.0;          ///< seconds that a rank waits for the others
  std::string init{};       ///< folder of the model whose weights the run starts from (run_init.h)
  std::string init_hash{};  ///< of these weights; the run fills it in
  bool tensorboard = true;  ///< whether TensorBoard's event files are written
  std::vector<Field> fields();
  bool operator==(const TrainingConfig&) const = default;

  /// The forward pass of a training step.
  [[nodiscard]] ForwardOptions forward_options() const;
};

struct OptimizerConfig {
  double beta1 = 0.9;
  double beta2 = 0.95;
  double eps = 1e-8;
  double weight_decay = 0.1;
  double clip_norm = 1.0;               ///< 0: no clipping
  double loop_scale_multiplier = 1.0;   ///< learning rate of the loop scales over that of the rest
  double memory_multiplier = 1.0;       ///< learning rate of memory keys and values
  double router_multiplier = 1.0;       ///< learning rate of the routers
  double memory_gate_multiplier = 1.0;  ///< learning rate of the memory gates
  double init_multiplier = 1.0;         ///< learning rate of what was taken from training.init
  double new_multiplier = 1.0;          ///< learning rate of what was added to it
  std::vector<Field> fields();
  bool operator==(const OptimizerConfig&) const = default;
};

struct ScheduleConfig {
  std::string name = "one_cycle";  ///< one_cycle | warmup_stable_decay
  double initial_rate = 2.912e-4;
  double peak_rate = 2.912e-3;
  double final_rate = 2.912e-4;
  double warmup_fraction = 0.01;
  double decay_fraction = 0.2;  ///< of the steps, warmup_stable_decay only
  std::vector<Field> fields();
  bool operator==(const ScheduleConfig&) const = default;
};

/// Tasks scored while a model trains.
struct EvaluationConfig {
  std::vector<std::string> tasks;  ///< none: no evaluation
  int64_t every = 0;               ///< steps; 0: only after the last
  std::vector<std::string> data;   ///< folders of the tasks' files
  int64_t limit = 0;               ///< instances a task; 0: all
  int64_t shots = -1;              ///< -1: what the task's name says, else none
  std::string fewshot;             ///< file of the shots
  IntOrList max_loops = 0;         ///< loop budgets; 0: each layer's own N
  std::vector<Field> fields();
  bool operator==(const EvaluationConfig&) const = default;
};

struct RunConfig {
  ModelConfig model;
  DataConfig data;
  TrainingConfig training;
  OptimizerConfig optimizer;
  ScheduleConfig schedule;
  EvaluationConfig evaluation;

  [[nodiscard]] std::vector<Section> sections();
  /// Checks every value and how they fit together.
  void validate();
  bool operator==(const RunConfig&) const = default;
};

/// A run config from its file. Where [training] names a model to start from, [model] is that model's
/// config with what the file says on top (run_init.h).
/// @param overrides  `section.key=value` texts, applied last
/// @param resumed    the folder of the run that goes on, if one does: its run.toml then stands in for
///                   the model that it started from
/// @param places     gets where each setting was given, for errors that come later
[[nodiscard]] RunConfig load_run_config(const std::filesystem::path& path,
                                        const std::vector<std::string>& overrides = {},
                                        const std::filesystem::path& resumed = {},
                                        SettingPlaces* places = nullptr);
/// The run.toml that a run wrote: whole as it stands.
[[nodiscard]] RunConfig load_stored_run(const std::filesystem::path& path);
[[nodiscard]] std::string to_toml(const RunConfig& config);

}  // namespace loopbank

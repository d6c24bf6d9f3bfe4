#pragma once
/// A study as a TOML file: the run that all systems share, the systems, the seeds, the data.
///
///     base = "../small/base.toml"      a run config (train/run_config.h): the systems' common part
///
///     [study]
///     seeds = [1, 2, 3]
///     systems = ["isopar", "loop3"]    of the paper's ten; absent: all of them
///
///     [benchmark]                      the embedded benchmark, or
///     [synthetic]                      a task of the literature that the program makes, or
///     [text]                           text of one's own with tasks
///
///     [system.loop3-shy]               one more system: like another one, with settings of its own
///     like = "loop3"
///     set = ["model.router_bias_init=1"]
///
///     [system.isotime]                 or the dense baseline that matches another one
///     match = "loop3"
///     by = "time"
///
/// Where [training] names a model to start from (init), [model] may be left out, and all systems start
/// from its weights: the dense model as it is, the others with loops and memory added. The systems
/// that the solver derives are not among them: a wider or deeper model would have to start anew.

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/benchmark/benchmark.h"
#include "loopbank/benchmark/synthetic.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Sizes of a study that come built in, configs/study/NAME.toml.
enum class Scale { kDemo, kSmall, kPaper };

[[nodiscard]] std::string_view name_of(Scale scale);

/// [study]
struct StudySettings {
  std::string title;
  IntOrList seeds = {1};                ///< of the world, the initial values and the data's order
  std::vector<std::string> systems{};   ///< of the ten; empty: all
  int64_t local_slots = 64;             ///< of the ten's memory systems
  int64_t global_slots = 32;            ///< likewise
  int64_t width_step = 16;              ///< by which the solver widens F
  bool exits = true;                    ///< run_exits.h of systems with loops
  int64_t score_points = 10;            ///< score_points.h, the end's included; 0: none
  int64_t score_point_instances = 128;  ///< most questions of a task at each
  std::vector<Field> fields();
};

/// [benchmark]: the embedded benchmark (benchmark/benchmark.h).
struct BenchmarkSettings {
  BenchmarkOptions options;        ///< but for `seed` and the kinds
  std::vector<std::string> kinds;  ///< "addition:1-3"
  /// The options for a seed, with the kinds.
  /// @throws Error kConfig for a kind of problem that does not exist
  [[nodiscard]] BenchmarkOptions with_seed(uint64_t seed) const;
  std::vector<Field> fields();
};

/// [text]: text of one's own, and what is asked about it.
struct TextSettings {
  std::string folder;                ///< of .jsonl and .txt, plain, .gz or .zst; empty: no text
  std::vector<std::string> tasks{};  ///< folders of the tasks' files
  std::string knowledge = "commonsense";  ///< suite or task whose accuracy and BPB are shown
  std::string reasoning = "math";         ///< suite or task whose BPB is shown
  int64_t limit = 128;                    ///< instances a task; 0: all
  int64_t shots = 0;
  std::string fewshot;    ///< file of the shots
  std::string tokenizer;  ///< tokenizer.json; empty: one is learned from the text
  std::vector<Field> fields();
};

/// [system.NAME]: a system beside the ten.
struct SystemSettings {
  std::string name;
  std::string label;                         ///< empty: the name
  std::string group = "own";                 ///< grid | ponder | router | start | own: in the page
  std::string like;                          ///< a system that it takes everything from
  std::vector<std::string> set{};            ///< `section.key=value` on top
  std::string match;                         ///< or the system that it is the dense baseline of
  std::string by = "flops";                  ///< parameters | flops | time
  IntOrList seeds = std::vector<int64_t>();  ///< empty: those of the study
  std::vector<Field> fields();
};

struct StudyConfig {
  std::string name;  ///< demo, small, ... or the file's name without .toml
  StudySettings study;
  BenchmarkSettings benchmark;
  SyntheticOptions synthetic;  ///< but for `seed`
  TextSettings text;
  RunConfig run;  ///< what all systems share; its [data] is the study's to fill in
  std::vector<SystemSettings> systems;
  SettingPlaces places{};  ///< where all of these were given

  [[nodiscard]] bool is_text() const { return !text.folder.empty(); }
  [[nodiscard]] bool is_synthetic() const { return !synthetic.task.empty(); }
  /// What the part of the study is called, and its folder: benchmark, text or the task's name,
  /// biographies with the number of people.
  [[nodiscard]] std::string part_name() const;
  /// Whether all systems start from an existing model.
  [[nodiscard]] bool is_retrofit() const { return !run.training.init.empty(); }
  /// The benchmark of a seed.
  /// @throws Error kConfig for a kind of problem that does not exist
  [[nodiscard]] BenchmarkOptions benchmark_of(uint64_t seed) const {
    return benchmark.with_seed(seed);
  }
  /// The synthetic task of a seed.
  [[nodiscard]] SyntheticOptions synthetic_of(uint64_t seed) const;
  [[nodiscard]] std::vector<Section> sections();
};

/// The first `count` of a study's seeds, and where it has fewer, on from its largest: 3, 5 and then 6.
/// @param seeds  at least one
/// @param count  at least 1
[[nodiscard]] std::vector<int64_t> first_seeds(std::vector<int64_t> seeds, int64_t count);

/// @param overrides  `section.key=value` texts, applied last
/// @throws Error kConfig naming `file:line` for an unknown key or a wrong value, and for a setting
///         of [data], which a study makes itself
[[nodiscard]] StudyConfig load_study_config(const std::filesystem::path& path,
                                            const std::vector<std::string>& overrides = {});
/// configs/study/SCALE.toml, or with `text` configs/study/SCALE-text.toml, from within the program.
[[nodiscard]] StudyConfig study_preset(Scale scale, const std::vector<std::string>& overrides = {});
/// configs/study/retrofit.toml: systems that start from an existing model.
/// @param init  the model's folder
[[nodiscard]] StudyConfig retrofit_study_preset(const std::string& init,
                                                const std::vector<std::string>& overrides = {});
/// The same for text of one's own; small only.
[[nodiscard]] StudyConfig text_study_preset(const std::vector<std::string>& overrides = {});

}  // namespace loopbank

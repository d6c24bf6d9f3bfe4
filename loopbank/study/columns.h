#pragma once
/// The columns of a study's table: which tasks they are the mean of, and which of the paper's
/// columns they stand beside.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/study_config.h"

namespace loopbank {

/// Names of the two parts of the embedded benchmark, as tasks.
inline constexpr const char* kFactsTask = "facts";
inline constexpr const char* kReasoningTask = "reasoning";

/// What a column's figure is.
enum class Measure {
  kAccuracy,        ///< share of right answers, higher is better
  kBpb,             ///< bits per byte of the right answer, lower is better
  kBitsAParameter,  ///< bits of knowledge of all facts, over the parameters; higher is better
};

/// `accuracy`, `bpb`, `bits_a_parameter`: of results.json.
[[nodiscard]] std::string_view name_of(Measure measure);

struct Column {
  std::string key;    ///< in results.json: "facts_bpb"
  std::string title;  ///< "facts BPB"
  std::string kind;   ///< knowledge | reasoning | beyond: more steps than trained on
  Measure measure = Measure::kAccuracy;
  std::vector<std::string> tasks;  ///< the figure is the plain mean over these
  std::string paper_key;           ///< of PaperScores; empty where the paper has no such column
  std::string paper_title;         ///< "Math BPB"; empty likewise
  std::optional<double> guessing;  ///< accuracy of guessing, where it is known
  int64_t facts = 0;               ///< kBitsAParameter: that the world has

  [[nodiscard]] bool is_bpb() const { return measure == Measure::kBpb; }
  [[nodiscard]] bool lower_is_better() const { return is_bpb(); }
  [[nodiscard]] std::string_view direction() const {
    return lower_is_better() ? "lower is better" : "higher is better";
  }
  /// What the mean over the questions is multiplied by for a model of so many parameters: bits of a
  /// fact become bits of all facts, a parameter.
  [[nodiscard]] double scale(double parameters) const {
    return measure == Measure::kBitsAParameter ? static_cast<double>(facts) / parameters : 1.0;
  }
};

/// The embedded benchmark: facts stand for commonsense, reasoning for math. Text of one's own: the
/// suites that [text] names.
[[nodiscard]] std::vector<Column> columns_of(const StudyConfig& config);

/// Whether one of them is in bits per byte.
[[nodiscard]] bool has_bpb(const std::vector<Column>& columns);

/// Tasks of all columns, each once.
[[nodiscard]] std::vector<std::string> tasks_of(const std::vector<Column>& columns);

/// The column of a kind ("knowledge", "reasoning") and measure; null for none.
[[nodiscard]] const Column* find_column(const std::vector<Column>& columns, std::string_view kind,
                                        Measure measure);
/// The column of a key; null for none.
[[nodiscard]] const Column* find_column(const std::vector<Column>& columns, std::string_view key);

}  // namespace loopbank

#pragma once
/// The columns of a study's table: which tasks they are the mean of, and which of the paper's
/// columns they stand beside.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/study/study_config.h"

namespace loopbank {

/// Names of the two parts of the embedded benchmark, as tasks.
inline constexpr const char* kFactsTask = "facts";
inline constexpr const char* kReasoningTask = "reasoning";

struct Column {
  std::string key;                 ///< in results.json: "facts_bpb"
  std::string title;               ///< "facts BPB"
  std::string kind;                ///< knowledge | reasoning | beyond: more steps than trained on
  bool is_bpb = false;             ///< bits per byte, lower is better; else accuracy
  std::vector<std::string> tasks;  ///< the figure is the plain mean over these
  std::string paper_key;           ///< of PaperScores; empty where the paper has no such column
  std::string paper_title;         ///< "Math BPB"; empty likewise
  std::optional<double> guessing;  ///< accuracy of guessing, where all choices are as many

  [[nodiscard]] std::string_view direction() const {
    return is_bpb ? "lower is better" : "higher is better";
  }
};

/// The embedded benchmark: facts stand for commonsense, reasoning for math. Text of one's own: the
/// suites that [text] names.
[[nodiscard]] std::vector<Column> columns_of(const StudyConfig& config);

/// Tasks of all columns, each once.
[[nodiscard]] std::vector<std::string> tasks_of(const std::vector<Column>& columns);

/// The column of a kind ("knowledge", "reasoning") in bits per byte or accuracy; null for none.
[[nodiscard]] const Column* find_column(const std::vector<Column>& columns, std::string_view kind,
                                        bool is_bpb);
/// The column of a key; null for none.
[[nodiscard]] const Column* find_column(const std::vector<Column>& columns, std::string_view key);

}  // namespace loopbank

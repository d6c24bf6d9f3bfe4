#pragma once
/// Whether a system's thinking goes where it is needed, over its seeds: the loops that its models take
/// at each token of an answer against the steps behind that token (dissect/thinking.h).
///
///     thinking.json of each seed -> tokens by steps   pooled: means weighted by tokens
///                                -> rho               one seed: over its questions, by bootstrap
///                                                     from two on: over seeds, Student's t of z
///
/// A seed is another model of another world: only seeds tell whether loops of such systems follow the
/// steps, and one model's interval tells it of that model alone. Not here: the page's figure.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/dissect/thinking.h"
#include "loopbank/eval/task.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// What one run thinks, a task after another.
struct RunThinking {
  int64_t seed = 0;
  std::vector<LoopsAgainstSteps> tasks = {};
};

/// Measures a trained run on the tasks whose steps are known and writes thinking.json of its folder, in
/// the number type of its training; nothing to do where the file exists, the run's model has no loops
/// or no task has steps.
/// @throws Error kCheckpoint, kData as load_inference_model and measure_answer_tokens
void ensure_thinking(const RunConfig& run, const std::vector<Task>& tasks,
                     const std::filesystem::path& folder);

/// thinking.json as it stands; nothing where there is none.
/// @throws Error kData for a file of another form
[[nodiscard]] std::optional<RunThinking> read_thinking(const std::filesystem::path& folder);

/// One entry a task, in the order of the first run; tasks that not every run has are left out.
/// @param runs  a seed each, of one system
/// @throws Error kData where runs have different numbers of layers
[[nodiscard]] std::vector<LoopsAgainstSteps> summarize_thinking(
    const std::vector<RunThinking>& runs);

/// `Loops rise with the steps behind a token of p-hop: rho +0.41 [+0.30, +0.52] over 8 seeds; layer 2
/// most (+0.55). Tokens with 1 step take 1.82 loops, with 4 steps 2.31.` and what is left with place
/// or loss held. Layers count from 1.
[[nodiscard]] std::string describe(const LoopsAgainstSteps& thinking);

/// All tasks, one after another; empty for none.
[[nodiscard]] std::string describe(const std::vector<LoopsAgainstSteps>& thinking);

}  // namespace loopbank

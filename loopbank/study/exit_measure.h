#pragma once
/// Runs of a model over documents under a rule and a policy: what a study of exits measures a row by.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/infer/engine.h"
#include "loopbank/study/exit_study.h"

namespace loopbank {

/// A rule under a policy.
struct ExitCase {
  std::string rule;
  const KeyValuePolicy* policy;
  ExitWhere where;
};

/// Rules by policies by places, without those that say what another one does; `all` with `full` is
/// the first of each place.
/// @param rules  `all` first
/// @throws Error kConfig for a rule or policy that there is not
[[nodiscard]] std::vector<ExitCase> exit_cases(const std::vector<std::string>& rules,
                                               const ExitStudyOptions& options);

/// What one run over documents gave.
struct ExitRun {
  std::vector<double> nats;  ///< of each document
  EngineCounts counts;       ///< of this run alone
  double positions = 0.0;    ///< of the tokens read, summed
  double seconds = 0.0;
  double cpu_seconds = 0.0;  ///< of all threads of the process
};

class ExitMeasure {
 public:
  /// What is handed over outlives it.
  ExitMeasure(const LanguageModel& model, const std::vector<ExitDocument>& documents,
              const ExitStudyOptions& options);

  /// @param logits  [scored, V] fp32 that the scored tokens' go to, or undefined
  ExitRun run(const ExitCase& exit_case, size_t num_documents, at::Tensor logits = {});

  /// Loops, FLOPs and keys and values of a case that was run.
  [[nodiscard]] ExitResult describe(const ExitCase& exit_case, const ExitRun& run) const;
  /// Fills in the seconds of a case and of `all`: medians of runs in turns, `all` before, between and
  /// behind those of the case, each of which is compared with the two beside it.
  void time(const ExitCase& exit_case, ExitResult& result);

  /// Nats of each document over the bytes of a mean one: their mean is the bits per byte of all.
  [[nodiscard]] std::vector<double> document_bpb(const ExitRun& run) const;

  [[nodiscard]] int64_t scored() const { return scored_; }
  /// Documents that are timed.
  [[nodiscard]] size_t timed() const;

 private:
  [[nodiscard]] Request request(const ExitCase& exit_case, size_t d,
                                const at::Tensor& logits) const;

  const LanguageModel& model_;
  const std::vector<ExitDocument>& documents_;
  const ExitStudyOptions& options_;
  Engine engine_;
  std::vector<int64_t> offsets_;  // of each document's logits
  int64_t scored_ = 0;
  double bytes_ = 0.0;
};

}  // namespace loopbank

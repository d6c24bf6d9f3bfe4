#pragma once
/// Loss and bits per byte on held-out rows, at the model's own loops and at every smaller budget.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/model/language_model.h"
#include "loopbank/ranks/ranks.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// Bytes of text that each token stands for, [V] int64: 0 for the token between documents.
[[nodiscard]] at::Tensor bytes_of_tokens(const Tokenizer& tokenizer);

class Validator {
 public:
  /// Takes the first `validation_rows` rows of the source, or all if it has fewer.
  /// @throws Error kData when the source holds fewer than two tokens
  Validator(std::shared_ptr<const TokenSource> source, const Tokenizer& tokenizer,
            const TrainingConfig& training, const Ranks& ranks = {});

  /// All ranks call it: each scores a share of the passes, and all get the same metrics. Sums are in
  /// the order of the passes, so they do not depend on the number of ranks that share the same passes.
  ///
  /// Scores the rows with the weights as they are; draws no random numbers and changes nothing.
  ///
  ///     loss = mean cross-entropy, nats per token        bpb = sum of nats / (ln 2 * bytes)
  ///
  /// Bytes are those of the targets in UTF-8; the token between documents has no bytes, but its
  /// nats count. Loop budgets run from 1 to N, each layer limited to its own N. What alarms on dead
  /// parts go by (`parts`, the loss without memory) is measured unless `alarm_validations` is 0.
  /// @param options  the compute dtype; its budget and recorder are not used
  [[nodiscard]] ValidationMetrics validate(const LanguageModel& model, int64_t step,
                                           const ForwardOptions& options) const;

  [[nodiscard]] int64_t num_rows() const { return num_rows_; }
  /// Bytes of all targets.
  [[nodiscard]] int64_t num_bytes() const { return num_bytes_; }

 private:
  /// Routers' gradients on the first rows, which are the same however many make a pass.
  [[nodiscard]] std::vector<at::Tensor> measure_routers(const LanguageModel& model,
                                                        const ForwardOptions& options) const;
  [[nodiscard]] std::vector<double> score(const LanguageModel& model, int64_t first,
                                          const ForwardOptions& options) const;

  Ranks ranks_;
  SequentialRows rows_;
  int64_t rows_a_pass_;
  bool spreads_halting_;  // for TensorBoard alone
  bool measures_parts_;   // for alarms alone
  int64_t num_rows_ = 0;
  int64_t num_bytes_ = 0;
};

}  // namespace loopbank

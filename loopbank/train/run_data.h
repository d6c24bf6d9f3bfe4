#pragma once
/// The files that a run reads: its tokenizer and token sources, opened and checked against each
/// other and against the model.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/data/token_source.h"
#include "loopbank/tokenize/tokenizer.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

struct RunData {
  Tokenizer tokenizer;
  std::vector<WeightedSource> train;              ///< at least one; weights sum to 1
  std::shared_ptr<const TokenSource> validation;  ///< null if the run has none

  /// Over all training sources.
  [[nodiscard]] int64_t train_tokens() const;
  [[nodiscard]] int64_t train_documents() const;
  /// Tokens of the run over those of the training sources.
  [[nodiscard]] double epochs(const TrainingConfig& training) const;
};

/// Opens what [data] names; paths are relative to the current directory.
/// @param verify_checksums  reads the sources whole, compares checksums and checks every id
/// @param resumed           folder of the run that goes on, if one does, whose tokenizer stands in for
///                          that of the model which it started from (run_init.h)
/// @throws Error kConfig for a path that is not set and for a tokenizer with more ids than the
///         model's vocabulary; kData for a missing, broken or empty source and for tokens of
///         another vocabulary, of a model to start from that has another tokenizer included
[[nodiscard]] RunData open_run_data(const RunConfig& config, bool verify_checksums = false,
                                    const std::filesystem::path& resumed = {});

}  // namespace loopbank

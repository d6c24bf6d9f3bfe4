#pragma once
/// The files that a run reads: its tokenizer and token files, opened and checked against each
/// other and against the model.

#include <cstdint>
#include <memory>

#include "loopbank/data/token_file.h"
#include "loopbank/data/tokenizer.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

struct RunData {
  Tokenizer tokenizer;
  std::shared_ptr<const TokenFile> train;
  std::shared_ptr<const TokenFile> validation;  ///< null where the run has none

  /// Tokens of the run over those of the training file.
  [[nodiscard]] double epochs(const TrainingConfig& training) const;
};

/// Opens what [data] names; paths are relative to the current directory.
/// @param verify_checksums  reads the token files whole and compares their checksums
/// @throws Error kConfig for a path that is not set and for a tokenizer with more ids than the
///         model's vocabulary; kData for a missing, broken or empty file and for tokens of another
///         vocabulary
[[nodiscard]] RunData open_run_data(const RunConfig& config, bool verify_checksums = false);

}  // namespace loopbank

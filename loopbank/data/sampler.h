#pragma once
/// Batches from a token file: documents in a shuffled order, packed without gaps.
///
/// 1. The documents of an epoch stand in a random order given by (seed, epoch).
/// 2. Their tokens are read one after another as one stream; epochs follow each other.
/// 3. The stream is cut in rows of T + 1 tokens that overlap by one, so that every token is a
///    target once: inputs are the first T, targets the last T.
/// The whole state is the position in that stream, so a run continues exactly; and the stream is
/// the same however it is cut, so that batch and sequence length may change at a resume.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>

#include "loopbank/data/token_file.h"
#include "loopbank/support/random.h"

namespace loopbank {

struct Batch {
  at::Tensor tokens;   ///< [B, T] int64
  at::Tensor targets;  ///< [B, T] int64, the token after each
};

/// Position of a sampler in its stream.
struct SamplerState {
  int64_t epoch = 0;
  int64_t document = 0;  ///< index in the epoch's order
  int64_t offset = 0;    ///< tokens of that document already given as inputs
  bool operator==(const SamplerState&) const = default;
};

[[nodiscard]] nlohmann::ordered_json to_json(const SamplerState& state);
/// @throws Error kCheckpoint naming the key that is missing or no whole number
[[nodiscard]] SamplerState sampler_state_from_json(const nlohmann::json& json);

class BatchSampler {
 public:
  /// @throws Error kData when the file holds fewer than two tokens
  BatchSampler(std::shared_ptr<const TokenFile> file, uint64_t seed);

  /// The next `rows` rows of `sequence_length` tokens (CPU tensors).
  /// @throws Error kShape when either is below 1, kData for an id outside the vocabulary
  Batch next(int64_t rows, int64_t sequence_length);

  [[nodiscard]] const SamplerState& state() const { return state_; }
  /// @throws Error kCheckpoint when the state is no position in this file
  void restore(const SamplerState& state);

 private:
  /// The next `count` tokens of the stream to `out`.
  void take(int64_t count, int64_t* out);
  void start_epoch(int64_t epoch);

  std::shared_ptr<const TokenFile> file_;
  uint64_t seed_;
  Permutation order_;
  SamplerState state_;
};

/// Rows of a validation set in file order: row i starts at token i * T; the last, shorter one is
/// left out unless it is the only one.
class SequentialRows {
 public:
  /// @throws Error kData when the file holds fewer than two tokens
  SequentialRows(std::shared_ptr<const TokenFile> file, int64_t sequence_length);
  [[nodiscard]] int64_t num_rows() const;
  /// T of the rows: what was asked for, or less where the file is shorter than one row.
  [[nodiscard]] int64_t sequence_length() const { return sequence_length_; }
  /// Rows [first, first + count).
  [[nodiscard]] Batch rows(int64_t first, int64_t count) const;

 private:
  std::shared_ptr<const TokenFile> file_;
  int64_t sequence_length_;
};

}  // namespace loopbank

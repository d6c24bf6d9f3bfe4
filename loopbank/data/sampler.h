#pragma once
/// Batches from one token source or a mixture of several: shuffled documents, packed without gaps.
///
/// 1. The documents of each source's epoch are in a random order given by (seed, source, epoch).
/// 2. Documents are read whole, one after another, as one stream; each source's epochs follow each
///    other at its own pace.
/// 3. At the end of a document, the next one comes from the source i with the smallest g_i / w_i:
///    g_i counts the tokens taken from it and w_i is its weight; the first of equals. With weights
///    that sum to 1, G tokens in all and documents of at most M tokens, |g_i - w_i G| is at most
///    (S - 1) M for S sources at every document's end, so token shares approach the weights without
///    a random draw.
/// 4. The stream is cut into rows of T + 1 tokens that overlap by one, so that every token is a
///    target once: inputs are the first T, targets the last T.
///
/// The whole state is the position in each source and the tokens taken from it, so a run resumes
/// exactly, and the stream is the same however it is cut. Threads play no part: batches are made in
/// the caller's. Rejected: a thread that prepares batches ahead; making one takes less than 1/1000
/// of a training step.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <vector>

#include "loopbank/data/document_stream.h"
#include "loopbank/data/token_source.h"

namespace loopbank {

struct Batch {
  at::Tensor tokens;   ///< [B, T] int64
  at::Tensor targets;  ///< [B, T] int64, the token after each
};

/// A source and its share of the tokens; shares need not sum to 1.
struct WeightedSource {
  std::shared_ptr<const TokenSource> tokens;
  double weight = 1.0;
};

/// The sampler's position in one source.
struct SourceState {
  StreamPosition position;
  int64_t tokens = 0;  ///< taken so far; counted only with several sources
  bool operator==(const SourceState&) const = default;
};

/// Position of a sampler in its stream.
struct SamplerState {
  std::vector<SourceState> sources{SourceState{}};
  int64_t current = 0;  ///< the source that the next token comes from
  bool operator==(const SamplerState&) const = default;
};

/// One source: {"epoch", "document", "offset"}. Several: {"current", "sources": [{"epoch",
/// "document", "offset", "tokens"}, ...]}.
[[nodiscard]] nlohmann::ordered_json to_json(const SamplerState& state);
/// @throws Error kCheckpoint naming the key that is missing or not a whole number
[[nodiscard]] SamplerState sampler_state_from_json(const nlohmann::json& json);

class BatchSampler {
 public:
  /// @throws Error kData when the source holds fewer than two tokens
  BatchSampler(std::shared_ptr<const TokenSource> source, uint64_t seed);
  /// @param sources  at least one, each weight finite and above 0
  /// @throws Error kConfig for other weights, kData when a source holds fewer than two tokens
  BatchSampler(const std::vector<WeightedSource>& sources, uint64_t seed);

  /// The next `rows` rows of `sequence_length` tokens (CPU tensors).
  /// @throws Error kShape when either is below 1, kData for an id outside the vocabulary
  Batch next(int64_t rows, int64_t sequence_length);

  [[nodiscard]] SamplerState state() const;
  /// @throws Error kCheckpoint when the state is not a position in these sources
  void restore(const SamplerState& state);

 private:
  struct Source {
    DocumentStream stream;
    double weight = 1.0;
    int64_t tokens = 0;
  };

  /// The next `count` tokens of the stream to `out`.
  void take(int64_t count, int64_t* out);
  [[nodiscard]] size_t furthest_behind() const;

  std::vector<Source> sources_;
  size_t current_ = 0;
};

/// Rows of a validation set in file order: row i starts at token i * T; the last, shorter one is
/// left out unless it is the only one.
class SequentialRows {
 public:
  /// @throws Error kData when the source holds fewer than two tokens
  SequentialRows(std::shared_ptr<const TokenSource> source, int64_t sequence_length);
  [[nodiscard]] int64_t num_rows() const;
  /// T of the rows: what was asked for, or less if the source is shorter than one row.
  [[nodiscard]] int64_t sequence_length() const { return sequence_length_; }
  /// Rows [first, first + count).
  [[nodiscard]] Batch rows(int64_t first, int64_t count) const;

 private:
  std::shared_ptr<const TokenSource> source_;
  int64_t sequence_length_;
};

}  // namespace loopbank

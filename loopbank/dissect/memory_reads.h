#pragma once
/// How often the slots of a model's memory banks are read on a text, and where.
///
///     w = softmax(q K^T / sqrt D)      [T, M]     weights of one read, by layer, loop and bank
///
/// The weights are computed a second time, from the queries and keys of the forward pass, in fp32
/// and a few tokens at a time: the model itself runs unchanged, and memory holds tokens x reads and
/// slots x reads, never tokens x slots x reads.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/dissect/memory_banks.h"
#include "loopbank/dissect/scored_text.h"

namespace loopbank {

/// What one layer read in one loop from one bank, over all tokens of a text. Tensors on the CPU.
struct BankReads {
  BankId bank;
  int64_t layer = 0;  ///< that reads, from 0
  int64_t loop = 1;   ///< from 1
  /// sum_{i >= loop} P_i, mean over tokens: the share of the layer's output that passed this loop.
  double reach = 0.0;
  double gate = 0.0;               ///< mean over D and tokens
  double entropy = 0.0;            ///< -sum w ln w, nats, mean over tokens
  double largest_weight = 0.0;     ///< of a token, mean over tokens
  at::Tensor weight = {};          ///< [M] fp64, mean over tokens
  at::Tensor gated_weight = {};    ///< [M] fp64, of w times the token's gate (mean over D)
  at::Tensor top_share = {};       ///< [M] fp64, share of the tokens whose largest weight it is
  at::Tensor top_slot = {};        ///< [tokens] int32, the slot of each token's largest weight
  at::Tensor highest = {};         ///< [M, K] fp32, the largest weights of a slot, descending
  at::Tensor highest_tokens = {};  ///< [M, K] int64, their tokens, by position in the text
};

struct MemoryReads {
  std::vector<BankReads> reads = {};  ///< by bank in the order of banks_of, then layer, then loop
  std::vector<double> row_nats = {};  ///< -ln p of each row's targets, of the same passes
};

struct ReadOptions {
  int64_t max_loops = 0;    ///< loop budget; 0: each layer's own N
  int64_t num_highest = 8;  ///< K: most tokens kept per slot
  /// Weights held at a time, 16 MiB of fp32: affects only memory and speed.
  int64_t block_weights = int64_t{1} << 22;
};

/// Runs the model over the text, row by row, and tallies every read of a bank.
/// Numerics: scores and softmax in fp32, sums over tokens in fp64.
[[nodiscard]] MemoryReads observe_reads(const LanguageModel& model, const ScoredText& text,
                                        const ReadOptions& options);

/// A bank over all its reads, each weighted by its reach: what is read in a loop that hardly any
/// token takes counts hardly at all.
struct BankUse {
  BankId bank;
  at::Tensor weight = {};               ///< [M] fp64, sums to 1
  at::Tensor gated_weight = {};         ///< [M] fp64
  at::Tensor top_share = {};            ///< [M] fp64, sums to 1
  std::vector<int64_t> most_read = {};  ///< all slots, by descending weight
  std::vector<int64_t> dead = {};       ///< ascending
};

/// A slot is dead if it is never a token's largest weight and its mean weight is below this share
/// of the uniform 1 / M.
inline constexpr double kDeadShare = 0.1;

[[nodiscard]] BankUse bank_use(const MemoryReads& reads, const BankId& bank);

/// A token at which a slot is read, at the layer and loop where it is read most.
struct ReadContext {
  int64_t token = 0;  ///< position in the text
  double weight = 0.0;
  double counted = 0.0;  ///< weight times the reach of the read
  int64_t layer = 0;
  int64_t loop = 1;
};

/// The tokens at which a slot is read most, by descending weight times reach: first the best
/// position of each token of the vocabulary, since equal tokens read alike; if those are too few,
/// further positions.
/// @param count  at most, and no more than num_highest of the reads
[[nodiscard]] std::vector<ReadContext> top_contexts(const MemoryReads& reads,
                                                    const ScoredText& text, const BankId& bank,
                                                    int64_t slot, int64_t count);

/// A token of the vocabulary at which a slot has the largest weight.
struct TopToken {
  TokenId id = 0;
  double share = 0.0;  ///< of all such tokens of the slot, each read weighted by its reach
  double lift = 0.0;   ///< share over the token's share of the text
};

/// The vocabulary's tokens at which a slot is the most read one, by descending share.
[[nodiscard]] std::vector<TopToken> top_tokens(const MemoryReads& reads, const ScoredText& text,
                                               const BankId& bank, int64_t slot, int64_t count);

/// exp(-sum p ln p): the number of slots over which weights that sum to 1 are spread, 1 to M.
[[nodiscard]] double effective_slots(const at::Tensor& weights);

}  // namespace loopbank

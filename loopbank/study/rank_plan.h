#pragma once
/// What a training step costs on n ranks: time and memory, predicted by arithmetic.
///
/// The batch stays what the config says; its K = batch / micro_batch passes are shared by the ranks,
/// and the slowest rank has ceil(K / n) of them. With P parameters, fp32 gradients of S = 4 P bytes:
///
///     pass      c  = rows T (FLOPs a token) r / F          r = 1 without recompute, else with the
///                                                          forward pass of the layers once more
///     backward  cb = c (2 + again) / (3 + again)           twice the forward pass, and what is
///                                                          computed again
///     exchange  x(b) = latency + time of b bytes           a bucket of b bytes of gradients
///     step      = ceil(K / n) c + waited + optimizer + gather
///
/// The gradients leave in buckets during the last backward pass, each when its last gradient is
/// there: the head's first, then layer by layer, the bank that all layers share and the embedding
/// last. One bucket is sent after the other:
///
///     end_k = max(ready_k, end_{k-1}) + x(b_k)             waited = end_last - cb
///
/// Each rank sends, to sum S bytes of which it keeps a slice and to gather the new weights
/// (Rajbhandari et al. 2020, ZeRO stage 1): S (n - 1) / n each, twice that together as an all-reduce
/// (Patarasuk and Yuan 2009). On g ranks a node of n, with bandwidth B between nodes and B_g within:
///
///     all-to-all   max((g - 1) S / (n B_g), (n - g) S / (n B))              (every slice to its owner)
///     ring         max((n - 1) S / (n B_g), (n - 1) S / (n g B))            (a node's edges are shared
///                                                                           by the links of its ranks)
///
/// An exchange waits once for `latency`; a ring once for every node that it passes. AdamW reads and
/// writes 28 bytes of each parameter of the rank's share; a GPU copies the weights to bf16, 6 bytes of
/// each.
///
/// Not here: stragglers, reading data, validation and saving.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "loopbank/model/cost.h"
#include "loopbank/train/memory_fit.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// How gradients are summed over ranks.
enum class SumOrder {
  kAllToAll,  ///< slices to their owners, which add them in rank order: between CPUs
  kRing,      ///< NCCL's reduce-scatter: between GPUs
};

/// What connects the ranks.
struct RankNetwork {
  double bandwidth = 0.0;        ///< bytes/s that a rank sends while it receives as many, above 0
  double latency_seconds = 0.0;  ///< until an exchange begins to move
  int64_t ranks_a_node = 1;
  double node_bandwidth = 0.0;  ///< within a node; 0: as between nodes
  SumOrder order = SumOrder::kAllToAll;
  /// Share of what runs beside the backward pass that costs it no time: 1 where the network moves the
  /// bytes, 0 where the cores that compute do.
  double free_share = 1.0;
};

/// What one rank computes with.
struct RankDevice {
  double flops = 0.0;             ///< FLOP/s that it sustains in training, above 0
  double memory_bandwidth = 0.0;  ///< bytes/s, for the optimizer; 0: it is within `flops`
};

/// FLOPs a token of a training pass, what it computes again included.
[[nodiscard]] double flops_of_pass(const RunConfig& config);

/// A gradient that is ready at a time of the backward pass.
struct ReadyGradients {
  double bytes = 0.0;
  double ready = 0.0;   ///< share of the backward pass that is over, 0 to 1
  bool is_one = false;  ///< parameter, which leaves whole
};

/// The gradients of a model, fp32, in the order in which they are ready: head, layers from the last
/// to the first, global bank, embedding.
[[nodiscard]] std::vector<ReadyGradients> gradients_in_order(const ModelConfig& config,
                                                             int64_t sequence_length);

/// Bytes of the buckets in which training sends a model's gradients.
[[nodiscard]] double bucket_bytes(double parameters);

/// Seconds in which n ranks sum (or gather) `bytes` of which each owns a slice.
[[nodiscard]] double exchange_seconds(double bytes, int64_t ranks, const RankNetwork& network);

/// A step on n ranks; seconds of the slowest.
struct RankPlan {
  int64_t ranks = 1;
  int64_t rows_a_pass = 0;
  int64_t passes = 0;      ///< of the rank that has most
  int64_t idle_ranks = 0;  ///< without a pass: the batch has fewer than ranks
  double compute_seconds = 0.0;
  double optimizer_seconds = 0.0;
  double exchange_seconds = 0.0;  ///< of gradients and weights
  double waited_seconds = 0.0;    ///< of these not beside the computation
  double step_seconds = 0.0;
  double tokens_per_second = 0.0;    ///< of all ranks
  double communication_share = 0.0;  ///< waited over step
  double overlap = 0.0;              ///< 1 - waited over exchange; 1 of one rank
  double efficiency = 1.0;           ///< tokens/s over n times those of one rank
  double run_seconds = 0.0;          ///< all steps; 0 where the config has none
  CostByPart memory = {};            ///< of a rank
  double unsharded_bytes = 0.0;      ///< of a rank that keeps all moments (DDP)
};

struct RankPlanOptions {
  RankDevice device = {};
  RankNetwork network = {};
  bool shards_optimizer = true;  ///< ZeRO-1; false: DDP, an all-reduce of the gradients
};

/// @throws Error kConfig for no ranks or numbers that are not above 0
[[nodiscard]] RankPlan plan_ranks(const RunConfig& config, int64_t ranks,
                                  const RankPlanOptions& options);

[[nodiscard]] nlohmann::ordered_json to_json(const RankPlan& plan);

/// A table for people, a line a plan.
[[nodiscard]] std::string describe(const std::vector<RankPlan>& plans);

}  // namespace loopbank

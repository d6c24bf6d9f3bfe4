#pragma once
/// What a pass of inference stands in. The tokens [1, R] of such a pass may belong to any texts, at
/// any positions: each attends over the keys and values that its own text holds, and leaves each
/// layer by its own rule. infer/ implements it over a paged cache.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "loopbank/model/exit_rule.h"

namespace loopbank {

/// The keys and values of r tokens at one loop of one layer, rotated and normed.
struct KeysValues {
  at::Tensor keys;    ///< [r, H_kv, d]
  at::Tensor values;  ///< [r, H_kv, d]
};

/// A loop of a layer, and the tokens of the pass that ran it.
struct LoopRows {
  int64_t layer = 0;                           ///< from 0
  int64_t loop = 1;                            ///< t, from 1
  const std::vector<int64_t>* rows = nullptr;  ///< ascending, of the pass's R tokens; null: all
};

/// What late keys and values are made of: h^(tau), or the layer's output y.
enum class LateOf { kState, kOutput };

/// What has become of the tokens that ran a loop.
struct LoopOutcome {
  LoopRows at;
  int64_t num_rows = 0;   ///< r
  bool together = false;  ///< all leave here, each weighing 1: the one loop of a dense layer
  std::span<const float> weights = {};  ///< else [r] of h^(t) in the mixture: P_t, or the rest of
                                        ///< who leaves
  std::span<const int64_t> left = {};   ///< else which of the r leave here, ascending
  /// Keys and values of the layer's block made late of those that leave: r = left.
  std::function<KeysValues(LateOf)> late = {};
  int64_t head_reads = 0;  ///< tokens of the r whose rule read the head
};

struct MemoryRead;

class InferenceContext {
 public:
  InferenceContext() = default;
  InferenceContext(const InferenceContext&) = delete;
  InferenceContext& operator=(const InferenceContext&) = delete;
  virtual ~InferenceContext() = default;

  /// Position of each token in its text, R of them.
  [[nodiscard]] virtual std::span<const int64_t> positions() const = 0;
  /// How each token leaves, R of them.
  [[nodiscard]] virtual const std::vector<TokenExit>& exits() const = 0;

  /// Attention of tokens at a loop over what their texts hold for it, themselves included.
  /// @param query  [r, H, d]
  /// @param own    the tokens' own
  /// @return [r, H d]
  virtual at::Tensor attend(const LoopRows& at, const at::Tensor& query, const KeysValues& own) = 0;

  /// Called after each loop of each layer, dense layers included.
  virtual void after_loop(const LoopOutcome& outcome) = 0;

  /// Whether to be told of reads of the memory banks.
  [[nodiscard]] virtual bool watches_reads() const { return false; }
  /// Called, if so, at every read of a bank; for late keys and values too, within `after_loop`.
  virtual void after_read(const LoopRows& /*at*/, const MemoryRead& /*read*/) {}
};

}  // namespace loopbank

#pragma once
/// What one forward pass carries beside the hidden state: number type, loop budget, key/value
/// cache, recorder.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "loopbank/ops/token_tree.h"

namespace loopbank {

/// Keys and values of the tokens read so far, one entry per layer and loop (every loop of an
/// adaptive layer attends over the states of the same loop).
class KeyValueCache {
 public:
  struct Entry {
    at::Tensor keys;    ///< [B, H_kv, capacity, d]
    at::Tensor values;  ///< [B, H_kv, capacity, d]
  };

  /// Rotated and normed keys and values of new tokens are stored behind those of `length()`.
  /// @return keys and values of all tokens so far, [B, H_kv, length + T, d]
  std::pair<at::Tensor, at::Tensor> append(int64_t layer, int64_t loop, const at::Tensor& keys,
                                           const at::Tensor& values);

  /// Tokens that every entry holds.
  [[nodiscard]] int64_t length() const { return length_; }
  /// Called by the model once a forward pass has appended its tokens in every layer.
  void advance(int64_t num_tokens) { length_ += num_tokens; }
  /// Forgets the tokens from `length` on.
  void truncate(int64_t length) { length_ = length; }

 private:
  int64_t length_ = 0;
  std::unordered_map<int64_t, Entry> entries_;  // key: layer * kMaxLoops + loop
};

/// One read of a memory bank in a forward pass: softmax(q K^T / sqrt D) V, and its gate. The
/// references hold while `Recorder::on_read` runs.
struct MemoryRead {
  int64_t layer = 0;        ///< that reads, from 0
  int64_t loop = 1;         ///< from 1
  bool global = false;      ///< whether it reads the global bank and not the layer's own
  const at::Tensor& query;  ///< [B, T, D] normed, in the compute type
  const at::Tensor& keys;   ///< [M, D] normed, in the compute type
  const at::Tensor& gate;   ///< [B, T, D] in the state type
};

/// Collects inner values by SPEC's names when a forward pass is probed; see dissect/probe.h.
struct Recorder {
  std::vector<at::Tensor> halting;       ///< per layer [N_l, B, T], P_t
  std::vector<at::Tensor> local_gate;    ///< per layer [N_l, B, T], mean over D; undefined if none
  std::vector<at::Tensor> global_gate;   ///< per layer [N_l, B, T], mean over D; undefined if none
  std::vector<at::Tensor> state_norm;    ///< per layer [N_l + 1, B, T], |h^(t)| / sqrt D, t from 0
  std::vector<at::Tensor> state_change;  ///< per layer [N_l, B, T], |h^(t) - h^(t-1)| / |h^(t-1)|
  /// Called at every read of a bank, in the order of layers, loops, local and global; may be empty.
  std::function<void(const MemoryRead& read)> on_read;

  /// Room for the layers of a pass; what an earlier one left goes.
  void reset(size_t num_layers);
  /// Fills `state_norm` and `state_change` of a layer; a dense one counts as one loop.
  /// @param x       [B, T, D] h^(0)
  /// @param states  one [B, T, D] a loop that was run
  void record_states(int64_t layer, const at::Tensor& x, const std::vector<at::Tensor>& states);
};

/// What a training step computes again in its backward pass instead of keeping it.
enum class Recompute {
  kNone,
  kLoop,   ///< every loop of an adaptive layer, every dense layer: their inputs are kept
  kLayer,  ///< every layer: its input is kept
};

struct ForwardOptions {
  at::ScalarType compute_dtype = at::kFloat;  ///< kFloat or kBFloat16 (kDouble in tests)
  int64_t max_loops = 0;                      ///< loop budget; 0: each layer's own N
  KeyValueCache* cache = nullptr;             ///< inference only
  /// The tokens [1, T] stand in this tree and not in a row: sequences with shared beginnings, each
  /// beginning computed once. Without a cache.
  const ops::TokenTree* tree = nullptr;
  Recorder* recorder = nullptr;
  Recompute recompute = Recompute::kNone;  ///< without a cache or a recorder, with gradients
  /// Of the ponder term in `loss`; absent: the model's own.
  std::optional<double> ponder_weight = {};
};

}  // namespace loopbank

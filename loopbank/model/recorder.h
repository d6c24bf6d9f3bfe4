#pragma once
/// Collects inner values of a forward pass, by SPEC's names, for dissect/ and validation.
/// Layers call it with what they have computed; recording never changes what is computed.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <vector>

namespace loopbank {

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

struct Recorder {
  std::vector<at::Tensor> halting;       ///< per layer [N_l, B, T], P_t
  std::vector<at::Tensor> local_gate;    ///< per layer [N_l, B, T], mean over D; undefined if none
  std::vector<at::Tensor> global_gate;   ///< per layer [N_l, B, T], mean over D; undefined if none
  std::vector<at::Tensor> state_norm;    ///< per layer [N_l + 1, B, T], |h^(t)| / sqrt D, t from 0
  std::vector<at::Tensor> state_change;  ///< per layer [N_l, B, T], |h^(t) - h^(t-1)| / |h^(t-1)|
  /// Called at every read of a bank, in the order of layers, loops, local and global; may be empty.
  std::function<void(const MemoryRead& read)> on_read;

  /// Makes room for the layers of a pass and drops what an earlier pass recorded.
  void reset(size_t num_layers);
  /// Called by a layer that has read a bank: its gate is appended to those of earlier loops.
  void record_read(const MemoryRead& read);
  /// Called by an adaptive layer once all of its loops have run.
  /// @param probabilities  [N, B, T] P_t of the loops that were run
  void record_halting(int64_t layer, const at::Tensor& probabilities);
  /// Fills `state_norm` and `state_change` of a layer; a dense one counts as one loop.
  /// @param x       [B, T, D] h^(0)
  /// @param states  one [B, T, D] a loop that was run
  void record_states(int64_t layer, const at::Tensor& x, const std::vector<at::Tensor>& states);
};

}  // namespace loopbank

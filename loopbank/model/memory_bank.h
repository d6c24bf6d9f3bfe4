#pragma once
/// Memory banks: learned key/value slots, one bank a layer and one for all, read through gates
/// (paper eq. 6-9; SPEC 1, Memory). They are parameters, not a cache of the text.
///
///        h ------------------------------------------------+
///        |                                                 |
///     memory_norm_l, query_norm                   sigmoid(W_g h + b_g)
///        |                                                 |
///        q --> softmax(q key_norm(K)^T / sqrt D) V --> W m * g --> memory(h)
///                       a bank's slots                 local and global add

#include <ATen/core/Tensor.h>

#include <optional>
#include <string>

#include "loopbank/model/config.h"
#include "loopbank/model/gate.h"
#include "loopbank/model/linear.h"

namespace loopbank {

/// M slots of keys and values.
class MemoryBank {
 public:
  MemoryBank(Parameters& parameters, const std::string& name, int64_t num_slots,
             int64_t hidden_size);

  /// Opens the bank for reading: once a pass, however many loops read it.
  [[nodiscard]] OpenBank open(const LayerNorm& key_norm, const Pass& pass) const;

 private:
  at::Tensor keys_;    // [M, D]
  at::Tensor values_;  // [M, D]
};

/// What all layers share: the global bank and the norms of queries and keys.
class SharedMemory {
 public:
  SharedMemory(Parameters& parameters, const std::string& name, const ModelConfig& config);

  /// Opens the global bank for reading; undefined tensors where there is none.
  [[nodiscard]] OpenBank open(const Pass& pass) const;

  [[nodiscard]] const LayerNorm& query_norm() const { return query_norm_; }
  [[nodiscard]] const LayerNorm& key_norm() const { return key_norm_; }

 private:
  std::optional<MemoryBank> bank_;
  LayerNorm query_norm_;
  LayerNorm key_norm_;
};

/// What a layer needs to read one bank: the gate, and the projection W of what was read.
struct GatedRead {
  /// @param which  "local" or "global", in front of `_gate` and `_projection`
  GatedRead(Parameters& parameters, const std::string& name, const std::string& which,
            const ModelConfig& config);

  Gate gate;
  Linear projection;

  /// The bank with V W^T for V.
  [[nodiscard]] OpenBank project(const OpenBank& bank, const Place& place) const;
  /// g * (W m)
  [[nodiscard]] Gated operator()(const at::Tensor& query, const OpenBank& bank,
                                 const Place& place) const;
};

/// Whether a training pass reads a bank with projected values: where that is less work.
/// @param slots      M
/// @param num_reads  rows that are read, of all loops
[[nodiscard]] constexpr bool projects_values(int64_t slots, int64_t num_reads) {
  return slots > 0 && slots < num_reads;
}

/// The memory of one layer: its own bank, its reads of both banks.
class LayerMemory {
 public:
  /// @param shared  outlives the layer
  LayerMemory(Parameters& parameters, const std::string& name, const ModelConfig& config,
              const SharedMemory& shared);

  /// Opens the banks for the loops of a layer; undefined tensors where there is none.
  ///
  ///     W m = softmax(q key_norm(K)^T / sqrt D) (V W^T)
  ///
  /// so that W meets M slots once and not every row that is read, where those are more.
  /// @param x          [B, T, D] what the first loop reads
  /// @param num_loops  N
  [[nodiscard]] OpenBanks open(const at::Tensor& x, int64_t num_loops, const Place& place) const;

  ///     q         = query_norm(memory_norm_l(h))
  ///     m         = softmax(q key_norm(K)^T / sqrt D) V      of each bank
  ///     memory(h) = g_L * (W_L m_L) + g_G * (W_G m_G)
  ///
  /// @param h      [B, T, D] in the state type
  /// @param banks  what `open` gave in this pass
  [[nodiscard]] GatedSum operator()(const at::Tensor& h, const OpenBanks& banks,
                                    const Place& place) const;

 private:
  /// Shows the reads of both banks to the pass's recorder, and to a context that watches them.
  void record(const at::Tensor& query, const OpenBanks& banks, const GatedSum& memory,
              const Place& place) const;

  const SharedMemory* shared_;
  LayerNorm norm_;
  std::optional<MemoryBank> bank_;
  std::optional<GatedRead> local_;
  std::optional<GatedRead> global_;
};

}  // namespace loopbank

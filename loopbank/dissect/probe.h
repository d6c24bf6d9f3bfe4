#pragma once
/// Every inner value of a forward pass, by name, and the gradients of its loss.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <filesystem>

#include "loopbank/model/language_model.h"
#include "loopbank/model/safetensors.h"

namespace loopbank {

struct ProbeOptions {
  bool gradients = false;
  int64_t max_loops = 0;  ///< loop budget; 0: each layer's own N
  at::ScalarType compute_dtype = at::kFloat;
};

/// The rows of FILE.json, {"tokens": [[...], ...]}, as [B, T] int64.
/// @param vocab_size  ids must lie in [0, vocab_size)
/// @throws Error kData naming the file and the row for another form, no rows, an empty row, rows of
///   different lengths or an id outside the vocabulary
[[nodiscard]] at::Tensor read_probe_tokens(const std::filesystem::path& path, int64_t vocab_size);

/// Runs the model on the rows and returns its inner values by name, all fp32 on the CPU:
///
///     logits          [B, T, V]
///     loss            []           mean cross-entropy of the next token within each row, nats,
///                                  plus ponder_weight times the ponder term
///     expected_loops  [L, B, T]    n of each layer; 1 for a dense layer
///     halting         [L, N, B, T] P_t; N is the most loops of any layer, 0 after the last loop
///                                  that a layer ran; a dense layer has P_1 = 1
///     local_gate      [L, N, B, T] mean over D, where a layer reads a local bank; else left out
///     global_gate     [L, N, B, T] likewise
///     grad.PARAMETER               of the loss, with `gradients`; 0 where the loss does not
///                                  depend on it
///
/// @param tokens  [B, T] int64 in [0, V)
/// @throws Error kShape when T exceeds max_position_embeddings; kConfig for a loop budget outside 0
///   to N
[[nodiscard]] NamedTensors probe(const LanguageModel& model, const at::Tensor& tokens,
                                 const ProbeOptions& options = {});

}  // namespace loopbank

#pragma once
/// The head and its loss over chunks of rows, in ATen alone: for a GPU, whose memory the logits of a
/// whole batch would not leave room in. At 16 x 4096 tokens and V 50304 they take 6.6 GB in bf16,
/// and as much again for each of their softmax and gradient in fp32 twice.
///
/// Each chunk's gradients are taken where its logits are: nothing of [rows, V] is kept for the
/// backward pass, which only multiplies by the gradient of the loss.

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace loopbank::ops::device {

/// Rows of a chunk whose logits in fp32 take this many bytes at most.
inline constexpr int64_t kChunkLogitBytes = int64_t{1} << 30U;

/// linear_cross_entropy (ops/linear_cross_entropy.h), whose inputs were checked, on any device.
///
/// @param states   [R, D] fp32 or bf16
/// @param weight   [V, D] fp32, or as states
/// @param targets  [R] int64
/// @param chunk_bytes  of logits in fp32
/// @return scalar fp32; differentiable in states and weight. Nothing is read back from the device.
/// Numerics: products in the dtype of states, all sums over tokens, rows of a chunk's loss and chunks
/// in fp32; the gradient of a chunk's logits and its product are rounded to the dtype of states.
at::Tensor linear_cross_entropy(const at::Tensor& states, const at::Tensor& weight,
                                const at::Tensor& targets, int64_t ignore,
                                int64_t chunk_bytes = kChunkLogitBytes);

}  // namespace loopbank::ops::device

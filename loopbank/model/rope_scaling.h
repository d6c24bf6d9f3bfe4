#pragma once
/// How the rotary angles of a model differ from base^(-2i / d) per token (config.json's
/// `rope_scaling`): angles of a model that was trained on short texts, changed for longer ones.

#include "loopbank/model/config.h"
#include "loopbank/ops/rotary.h"

namespace loopbank {

/// @throws Error kConfig naming the key, its value and what would be right, also where a key is set
///   that its type does not read
void check_rope_scaling(const RopeScaling& scaling);

/// The rotary frequencies of a model, in fp64. With f_i = rope_theta^(-2i / d), S the factor and
/// T the original number of positions, in whose length pair i turns r_i = T f_i / 2 pi times:
///
///     linear   f_i / S
///     llama3   f_i / S where r_i < low_freq_factor, f_i where r_i > high_freq_factor, and between
///              them both, mixed by how far r_i is from the one to the other
///     yarn     the two mixed by the pair's index i instead: f_i up to the pair that turns beta_fast
///              times, f_i / S from the one that turns beta_slow times on (whole indices with
///              `truncate`); cosines and sines are attention_factor long, where that is absent
///              m(S, mscale) / m(S, mscale_all_dim) of both, or m(S, 1), with
///              m(S, c) = 0.1 c ln S + 1
///
/// Sources: kaiokendev's and Chen et al.'s position interpolation (arXiv 2306.15595), Llama 3.1's
/// model card, YaRN (arXiv 2309.00071) with transformers' keys.
[[nodiscard]] ops::RotaryFrequencies rotary_frequencies(const ModelConfig& config,
                                                        at::Device device);

}  // namespace loopbank

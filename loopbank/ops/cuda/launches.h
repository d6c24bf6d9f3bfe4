#pragma once
/// The CUDA kernels as functions of plain pointers: what the ops (fused.h) call and the .cu files
/// define. No header of CUDA or LibTorch is needed to call them.
///
/// All take dense rows on one device and return at once; the work is done in the order of the stream.
/// Sums are fp32, in an order that depends on the sizes alone: the same inputs give the same bits on
/// any card. Values are fp32 or bf16; memory of neither is null unless said.

#include <cstdint>

#include "loopbank/ops/norm_place.h"

namespace loopbank::ops::cuda {

using Stream = void*;  ///< a cudaStream_t

/// fp32 or bf16 values.
struct Values {
  void* data = nullptr;
  int64_t size = 0;  ///< values
  bool is_bf16 = false;
};
/// Values that are fp32 always.
struct Floats {
  float* data = nullptr;
  int64_t size = 0;
};

/// Blocks that share the rows of a sum over rows, each giving one partial sum: enough for two on
/// every multiprocessor of a card of today, and the same on every card.
inline constexpr int64_t kMostPartialSums = 264;
inline constexpr int64_t kRowsOfPartialSum = 8;  ///< the fewest that are worth one
inline constexpr int64_t partial_sums(int64_t rows) {
  const int64_t blocks = (rows + kRowsOfPartialSum - 1) / kRowsOfPartialSum;
  return blocks < kMostPartialSums ? blocks : kMostPartialSums;
}

/// rms_norm and, with a bias, layer_norm (norm.h).
struct NormForward {
  Values x;        ///< [rows, width]
  Floats weight;   ///< [width]
  Floats bias;     ///< [width], null for rms_norm
  Values y;        ///< [rows, width]
  Floats mean;     ///< [rows], with a bias
  Floats inverse;  ///< [rows], 1 / sqrt(mean square + eps)
  int64_t rows = 0;
  int64_t width = 0;
  float eps = 0.0F;
};
void norm_forward(const NormForward& call, Stream stream);

struct NormBackward {
  Values dy;        ///< [rows, width]
  Values x;         ///< [rows, width]
  Floats weight;    ///< [width]
  Floats mean;      ///< [rows], null for rms_norm
  Floats inverse;   ///< [rows]
  Values more;      ///< [rows, width], what other readers of x add to dx; null for nothing
  Values dx;        ///< [rows, width]; both in the type of x
  Floats dweights;  ///< [partial_sums(rows), width]
  Floats dbiases;   ///< [partial_sums(rows), width], with a mean
  int64_t rows = 0;
  int64_t width = 0;
};
void norm_backward(const NormBackward& call, Stream stream);

/// swiglu (elementwise.h).
struct SwigluForward {
  Values gate_up;  ///< [rows, 2 width]
  Values y;        ///< [rows, width], in that type
  int64_t rows = 0;
  int64_t width = 0;
};
void swiglu_forward(const SwigluForward& call, Stream stream);

struct SwigluBackward {
  Values dy;        ///< [rows, width]
  Values gate_up;   ///< [rows, 2 width], all three of one type
  Values dgate_up;  ///< [rows, 2 width]
  int64_t rows = 0;
  int64_t width = 0;
};
void swiglu_backward(const SwigluBackward& call, Stream stream);

/// scaled_residual (elementwise.h): y = state + scale * branch.
struct ResidualForward {
  Floats state;
  Values branch;
  Floats scale;  ///< one value, null for 1
  Floats y;
};
void residual_forward(const ResidualForward& call, Stream stream);

struct ResidualBackward {
  Floats dy;
  Values branch;   ///< null where dscales is
  Floats scale;    ///< one value
  Values dbranch;  ///< in the type of branch; null where nobody asks
  Floats dscales;  ///< [partial_sums(rows)], null where nobody asks
  int64_t rows = 0;
};
void residual_backward(const ResidualBackward& call, Stream stream);

/// gated_sum (gated_sum.h).
inline constexpr int kMostBanks = 2;
struct GatedSumForward {
  Floats state;                 ///< [rows, width]
  Values logits;                ///< [rows, num_banks width]
  Floats biases[kMostBanks];    ///< [width] each
  Values memories[kMostBanks];  ///< [rows, width] each, in the type of logits
  Floats sum;                   ///< [rows, width]
  int num_banks = 0;
  int64_t rows = 0;
  int64_t width = 0;
};
void gated_sum_forward(const GatedSumForward& call, Stream stream);

struct GatedSumBackward {
  Floats dsum;                   ///< [rows, width]
  Values logits;                 ///< [rows, num_banks width]
  Floats biases[kMostBanks];     ///< [width] each
  Values memories[kMostBanks];   ///< [rows, width] each
  Values dlogits;                ///< [rows, num_banks width]
  Values dmemories[kMostBanks];  ///< [rows, width] each
  Floats dbiases[kMostBanks];    ///< [partial_sums(rows), width] each
  int num_banks = 0;
  int64_t rows = 0;
  int64_t width = 0;
};
void gated_sum_backward(const GatedSumBackward& call, Stream stream);

/// mix_by_halting (halting.h).
inline constexpr int kMostLoops = 16;
struct MixForward {
  Values states[kMostLoops];  ///< [rows, width] each, of one type
  Floats halting;             ///< [num_loops, rows]
  Values y;                   ///< [rows, width], in that type
  Floats loops;               ///< [rows]
  int num_loops = 0;
  int64_t rows = 0;
  int64_t width = 0;
};
void mix_forward(const MixForward& call, Stream stream);

struct MixBackward {
  Values dy;                   ///< [rows, width]
  Floats dloops;               ///< [rows], null for zeros
  Values states[kMostLoops];   ///< [rows, width] each
  Floats halting;              ///< [num_loops, rows]
  Values dstates[kMostLoops];  ///< [rows, width] each, null where nobody asks
  Floats dhalting;             ///< [num_loops, rows]
  int num_loops = 0;
  int64_t rows = 0;
  int64_t width = 0;
};
void mix_backward(const MixBackward& call, Stream stream);

/// The query and key heads of a joined projection, rotated and normed (rotated_heads.h).
struct RotaryForward {
  Values qkv;      ///< [rows, (H + 2 H_kv) width]
  Floats cosines;  ///< [positions, width / 2]
  Floats sines;    ///< [positions, width / 2]
  NormPlace place = NormPlace::kAfter;
  Floats query_weight, key_weight;  ///< [width]; null without a norm
  Values query;                     ///< [rows, H, width]
  Values key;                       ///< [rows, H_kv, width]
  int64_t rows = 0;
  int64_t positions = 0;  ///< of row r: r mod positions
  int num_queries = 0;    ///< H
  int num_keys = 0;       ///< H_kv
  int width = 0;          ///< d, even
  float eps = 0.0F;
};
void rotary_forward(const RotaryForward& call, Stream stream);

/// Also lays the gradient of the values beside the two others.
struct RotaryBackward {
  RotaryForward forward;  ///< without query and key
  Values dquery;          ///< [rows, H, width]
  Values dkey;            ///< [rows, H_kv, width]
  Values dvalue;          ///< [rows, H_kv, width]
  Values dqkv;            ///< [rows, (H + 2 H_kv) width]
  Floats dquery_weights;  ///< [partial_sums(rows), width]; null without a norm
  Floats dkey_weights;    ///< [partial_sums(rows), width]; likewise
};
void rotary_backward(const RotaryBackward& call, Stream stream);

/// Whether the rotary kernels take heads of this width.
[[nodiscard]] constexpr bool takes_head_width(int64_t width) {
  return width % 2 == 0 && (width <= 64 || (width % 16 == 0 && width <= 512));
}

/// Cross-entropy of rows of logits, which become their gradient (cross_entropy.h).
struct CrossEntropyInPlace {
  Values logits;                     ///< [rows, width]; then scale (softmax - one at the target)
  const int64_t* targets = nullptr;  ///< [rows]
  Floats losses;                     ///< [rows], nats, not scaled; 0 where not counted
  Floats scale;                      ///< one value, null for 1
  bool writes_gradient = false;      ///< else the logits stay
  int64_t ignore = 0;
  int64_t rows = 0;
  int64_t width = 0;  ///< V
};
void cross_entropy_in_place(const CrossEntropyInPlace& call, Stream stream);

/// halting_distribution (halting.h).
struct HaltingForward {
  Floats logits[kMostLoops];  ///< [rows] each; that of the last loop is not read
  Floats halting;             ///< [num_loops, rows]
  int num_loops = 0;
  int64_t rows = 0;
};
void halting_forward(const HaltingForward& call, Stream stream);

struct HaltingBackward {
  Floats logits[kMostLoops];   ///< [rows] each
  Floats halting;              ///< [num_loops, rows]
  Floats dhalting;             ///< [num_loops, rows]
  Floats dlogits[kMostLoops];  ///< [rows] each, of the loops before the last
  int num_loops = 0;
  int64_t rows = 0;
};
void halting_backward(const HaltingBackward& call, Stream stream);

/// @throws Error kDevice `NAME: expected the kernel to start, got WHY.`
[[noreturn]] void launch_failed(const char* name, const char* why);

}  // namespace loopbank::ops::cuda

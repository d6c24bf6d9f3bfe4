/// What paged_attention_kernels.cpp does to a few queries at a step of tokens: scores, weights, sums
/// of values. Included once for every instruction set (Highway's foreach_target).
///
/// How many queries share a pass changes which sums stand in registers together, never a sum: each
/// is one chain of additions over the width, or over the tokens, in their order.

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>

#include "loopbank/ops/simd/paged_attention_kernels.h"

// clang-format off: the guard of Highway's documentation, one inclusion an instruction set
#if defined(LOOPBANK_OPS_PAGED_ATTENTION_INL_H) == defined(HWY_TARGET_TOGGLE)
#ifdef LOOPBANK_OPS_PAGED_ATTENTION_INL_H
#undef LOOPBANK_OPS_PAGED_ATTENTION_INL_H
#else
#define LOOPBANK_OPS_PAGED_ATTENTION_INL_H
#endif
// clang-format on

#include "loopbank/ops/simd/self_attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

constexpr size_t kTokens = static_cast<size_t>(kPageTokens);
constexpr size_t kStepBlocks = kPagedStepTokens / kTokens;
constexpr size_t kLanes = hn::MaxLanes(Floats());
constexpr size_t kVectorsOfPage = kTokens / kLanes;
static_assert(kTokens % kLanes == 0);

/// Sums held in registers at a time: half of them.
constexpr size_t kSums = HWY_MAX_BYTES >= 64 ? 16 : 8;

/// Blocks whose scores are summed at a time, and vectors of values.
constexpr size_t blocks_at_once(size_t num_queries) {
  return std::clamp<size_t>(kSums / (num_queries * kVectorsOfPage), 1, kStepBlocks);
}
constexpr size_t columns_at_once(size_t num_queries) {
  return std::clamp<size_t>(kSums / num_queries, 1, 8);
}

HWY_INLINE float one_value(const float* from) {
  return *from;
}

HWY_INLINE float one_value(const uint16_t* from) {
  const uint32_t bits = static_cast<uint32_t>(*from) << 16U;
  float value = 0.0F;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// Keys and values of one head at the steps that `first` counts in tokens.
template <typename T>
struct Pages {
  const void* const* blocks;
  size_t first;   // token of the step
  size_t offset;  // of the head from the start of a page, in values
  size_t width;
  size_t next;  // blocks from a block to that of the next step, 0 where there is none

  [[nodiscard]] HWY_INLINE const T* keys(size_t block) const {
    return static_cast<const T*>(blocks[first / kTokens + block]) + offset;
  }
  [[nodiscard]] HWY_INLINE const T* values(size_t block) const {
    return keys(block) + kTokens * width;
  }
  /// The keys a step later, to be fetched before they are needed.
  [[nodiscard]] HWY_INLINE const T* keys_ahead(size_t block) const { return keys(block + next); }
};

/// Whether a pass over keys and values waits for memory, rather than for its products.
constexpr bool waits_for_memory(size_t num_queries) {
  return num_queries < 4;
}

/// The lines of kValues values into the second-level cache, ahead of their use: CPUs do not see
/// where the next block lies. More of them can be under way than to the first level: a core of a
/// Zen 5 reads 22 GB/s so, 14 through the first level, 12 without.
template <size_t kValues, typename T>
HWY_INLINE void fetch(const T* from) {
  constexpr size_t kValuesOfLine = 64 / sizeof(T);
#pragma GCC unroll 16
  for (size_t i = 0; i < kValues; i += kValuesOfLine) {
    __builtin_prefetch(from + i, /*for writing=*/0, /*locality=*/2);
  }
}

/// Queries of rows that share their blocks, and what is known of them.
struct QueryState {
  const float* query;  // [queries, width]
  float* results;      // [queries, width] sum of weights times values
  float* weights;      // [queries, kPagedStepTokens] scores, then weights, of the step
  float* max;          // [queries] largest score so far
  float* sum;          // [queries] of weights
  float* shrink;       // [queries] what the results so far are multiplied by
};

/// Values i and i + 1 of the keys of a block's tokens from `token` on.
HWY_INLINE Vectors pair_of_keys(const float* keys, size_t i, size_t token) {
  const auto* const from = keys + i * kTokens + token;
  return {load(from), load(from + kTokens)};
}

HWY_INLINE Vectors pair_of_keys(const uint16_t* keys, size_t i, size_t token) {
  const hn::RebindToUnsigned<Floats> d32;
  const auto* const from = reinterpret_cast<const uint32_t*>(keys + i * kTokens) + token;
  const auto pairs = hn::LoadU(d32, from);
  return {hn::BitCast(Floats(), hn::ShiftLeft<16>(pairs)),
          hn::BitCast(Floats(), hn::And(pairs, hn::Set(d32, 0xFFFF0000U)))};
}

/// q k of the tokens of kBlocks blocks from `block` on. A token's score is one sum over the width
/// from its start to its end, in its own lane.
template <size_t kQueries, size_t kBlocks, typename T>
HWY_INLINE void score_blocks(const Pages<T>& pages, size_t block, const float* query,
                             float* scores) {
  constexpr size_t kVectors = kBlocks * kVectorsOfPage;
  FloatVector sums[kQueries][kVectors];
  const T* keys[kBlocks];
#pragma GCC unroll 16
  for (size_t b = 0; b < kBlocks; ++b) {
    keys[b] = pages.keys(block + b);
  }
#pragma GCC unroll 16
  for (size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 64
    for (size_t v = 0; v < kVectors; ++v) {
      sums[q][v] = set(0.0F);
    }
  }
  for (size_t i = 0; i < pages.width; i += 2) {
    FloatVector of_query[kQueries][2];
#pragma GCC unroll 16
    for (size_t q = 0; q < kQueries; ++q) {
      of_query[q][0] = set(query[q * pages.width + i]);
      of_query[q][1] = set(query[q * pages.width + i + 1]);
    }
    if constexpr (waits_for_memory(kQueries)) {
#pragma GCC unroll 16
      for (size_t b = 0; b < kBlocks; ++b) {
        fetch<2 * kTokens>(keys[b] + (pages.width + i) * kTokens);  // the block's values
      }
    }
#pragma GCC unroll 64
    for (size_t v = 0; v < kVectors; ++v) {
      const auto key = pair_of_keys(keys[v / kVectorsOfPage], i, v % kVectorsOfPage * kLanes);
#pragma GCC unroll 16
      for (size_t q = 0; q < kQueries; ++q) {
        sums[q][v] = hn::MulAdd(key.a, of_query[q][0], sums[q][v]);
        sums[q][v] = hn::MulAdd(key.b, of_query[q][1], sums[q][v]);
      }
    }
  }
#pragma GCC unroll 16
  for (size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 64
    for (size_t v = 0; v < kVectors; ++v) {
      store(sums[q][v], scores + q * kPagedStepTokens + block * kTokens + v * kLanes);
    }
  }
}

template <size_t kQueries, typename T>
HWY_INLINE void score_step(const Pages<T>& pages, size_t num_blocks, const float* query,
                           float* scores) {
  constexpr size_t kBlocks = blocks_at_once(kQueries);
  size_t block = 0;
  for (; block + kBlocks <= num_blocks; block += kBlocks) {
    score_blocks<kQueries, kBlocks>(pages, block, query, scores);
  }
  for (; block < num_blocks; ++block) {
    score_blocks<kQueries, 1>(pages, block, query, scores);
  }
}

/// q k of a token in no block, by the additions that it would get in one.
template <typename T>
HWY_INLINE float score_of_own(const T* key, const float* query, size_t width) {
  auto sum = set(0.0F);
  for (size_t i = 0; i < width; ++i) {
    sum = hn::MulAdd(set(one_value(key + i)), set(query[i]), sum);
  }
  return hn::GetLane(sum);
}

/// The first `visible` scores of a step to weights. What lies behind is not looked at. One function
/// for all numbers of queries: inlined, a compiler could fuse a product and a sum in one place and
/// not in the other.
inline HWY_NOINLINE void weigh(const QueryState& state, size_t q, size_t visible, float by) {
  auto* const row = state.weights + q * kPagedStepTokens;
  const auto lowest = set(std::numeric_limits<float>::lowest());
  auto largest = lowest;
  const auto seen = [&](FloatVector v, size_t i, FloatVector other) HWY_ATTR {
    return i + kLanes <= visible ? v : hn::IfThenElse(hn::FirstN(Floats(), visible - i), v, other);
  };
  for (size_t i = 0; i < visible; i += kLanes) {
    largest = hn::Max(seen(load(row + i), i, lowest), largest);
  }
  const float max = std::max(max_of_lanes(largest), state.max[q]);
  const auto level = set(max);
  const auto factor = set(by);
  auto sum = set(0.0F);
  for (size_t i = 0; i < visible; i += kLanes) {
    const auto weight = exp2_below_zero(hn::Mul(hn::Sub(load(row + i), level), factor));
    const auto kept = seen(weight, i, set(0.0F));
    store(kept, row + i);
    sum = hn::Add(sum, kept);
  }
  const float shrink = max == state.max[q] ? 1.0F : std::exp2((state.max[q] - max) * by);
  state.max[q] = max;
  state.shrink[q] = shrink;
  state.sum[q] = state.sum[q] * shrink + sum_of_lanes(sum);
}

/// Columns [column, column + kVectors lanes) of results = scale results + weights values, over the
/// tokens [from, to) of a step; `count` of the last vector's columns exist.
template <size_t kQueries, size_t kVectors, typename T>
HWY_INLINE void add_columns(const Pages<T>& pages, size_t from, size_t to, const float* weights,
                            const float* scales, float* results, size_t column, size_t count) {
  FloatVector sums[kQueries][kVectors];
  const size_t width = pages.width;
#pragma GCC unroll 16
  for (size_t q = 0; q < kQueries; ++q) {
    const auto scale = set(scales[q]);
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      sums[q][v] = hn::Mul(load(results + q * width + column + v * kLanes, count), scale);
    }
  }
  while (from < to) {
    const size_t end = std::min(to, (from / kTokens + 1) * kTokens);
    const size_t place = from % kTokens * width + column;
    const T* values = pages.values(from / kTokens) + place;
    const T* ahead = pages.keys_ahead(from / kTokens) + place;
    for (; from < end; ++from, values += width, ahead += width) {
      if constexpr (waits_for_memory(kQueries)) {
        fetch<kVectors * kLanes>(ahead);
      }
      FloatVector weight[kQueries];
#pragma GCC unroll 16
      for (size_t q = 0; q < kQueries; ++q) {
        weight[q] = set(weights[q * kPagedStepTokens + from]);
      }
#pragma GCC unroll 16
      for (size_t v = 0; v < kVectors; ++v) {
        const auto value = load(values + v * kLanes, count);
#pragma GCC unroll 16
        for (size_t q = 0; q < kQueries; ++q) {
          sums[q][v] = hn::MulAdd(value, weight[q], sums[q][v]);
        }
      }
    }
  }
#pragma GCC unroll 16
  for (size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 16
    for (size_t v = 0; v < kVectors; ++v) {
      store(sums[q][v], results + q * width + column + v * kLanes, count);
    }
  }
}

/// The same over all columns from `column` on.
template <size_t kQueries, size_t kVectors, typename T>
HWY_INLINE void add_values(const Pages<T>& pages, size_t from, size_t to, const float* weights,
                           const float* scales, float* results, size_t column = 0) {
  for (; column + kVectors * kLanes <= pages.width; column += kVectors * kLanes) {
    add_columns<kQueries, kVectors>(pages, from, to, weights, scales, results, column, kLanes);
  }
  if constexpr (kVectors > 1) {
    add_values<kQueries, kVectors / 2>(pages, from, to, weights, scales, results, column);
  } else if (column < pages.width) {
    add_columns<kQueries, 1>(pages, from, to, weights, scales, results, column,
                             pages.width - column);
  }
}

/// results += weight * the value of a token in no block.
template <typename T>
HWY_INLINE void add_own(const T* value, float weight, size_t width, float* results) {
  const auto factor = set(weight);
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    store(hn::MulAdd(load(value + i, count), factor, load(results + i, count)), results + i, count);
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif

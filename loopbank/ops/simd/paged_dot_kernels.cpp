/// Scores of paged attention in bf16 (paged_attention_kernels.h) by the dot products of AVX-512
/// BF16: two products of bf16 a lane and instruction where fp32 takes one.

#include "loopbank/ops/simd/paged_attention_kernels.h"

#if defined(__x86_64__) && defined(__linux__)

#include <immintrin.h>

#include <cstring>

// GCC 12 warns of its own header: what an unmasked intrinsic leaves undefined it also never reads.
#pragma GCC diagnostic ignored "-Wuninitialized"
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"

namespace loopbank::ops {
namespace {

#define LOOPBANK_PAGED_DOTS __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16")))
#define LOOPBANK_PAGED_DOTS_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512bf16"), always_inline)) inline

constexpr size_t kTokensOfPage = static_cast<size_t>(kPageTokens);

/// A pair of values in every lane.
LOOPBANK_PAGED_DOTS_INLINE __m512bh pair_in_all_lanes(const uint16_t* values) {
  int32_t pair = 0;
  std::memcpy(&pair, values, sizeof(pair));
  return reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
}

/// A token's score is one chain of pairs from the start of the width to its end, in its own lane,
/// however many queries and blocks share a pass.
template <size_t kQueries, size_t kBlocks>
LOOPBANK_PAGED_DOTS_INLINE void score_some(const PagedScores& call, size_t block) {
  __m512 sums[kQueries][kBlocks];
#pragma GCC unroll 4
  for (size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      sums[q][b] = _mm512_setzero_ps();
    }
  }
  for (size_t i = 0; i < call.width; i += 2) {
    __m512bh of_query[kQueries];
#pragma GCC unroll 4
    for (size_t q = 0; q < kQueries; ++q) {
      of_query[q] = pair_in_all_lanes(call.query[q] + i);
    }
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      const auto* const keys = call.keys[block + b];
      if (call.fetches_values) {
        _mm_prefetch(reinterpret_cast<const char*>(keys + (call.width + i) * kTokensOfPage),
                     _MM_HINT_T1);
      }
      const auto pairs = reinterpret_cast<__m512bh>(_mm512_loadu_si512(keys + i * kTokensOfPage));
#pragma GCC unroll 4
      for (size_t q = 0; q < kQueries; ++q) {
        sums[q][b] = _mm512_dpbf16_ps(sums[q][b], pairs, of_query[q]);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t q = 0; q < kQueries; ++q) {
#pragma GCC unroll 4
    for (size_t b = 0; b < kBlocks; ++b) {
      _mm512_storeu_ps(call.scores + q * kPagedStepTokens + (block + b) * kTokensOfPage,
                       sums[q][b]);
    }
  }
}

template <size_t kQueries>
LOOPBANK_PAGED_DOTS void score_all(const PagedScores& call) {
  size_t block = 0;
  for (; block + 4 <= call.num_blocks; block += 4) {
    score_some<kQueries, 4>(call, block);
  }
  for (; block < call.num_blocks; ++block) {
    score_some<kQueries, 1>(call, block);
  }
}

LOOPBANK_PAGED_DOTS void score_pages(const PagedScores& call) {
  switch (call.num_queries) {
    case 4:
      return score_all<4>(call);
    case 3:
      return score_all<3>(call);
    case 2:
      return score_all<2>(call);
    default:
      return score_all<1>(call);
  }
}

LOOPBANK_PAGED_DOTS float score_token(const uint16_t* key, const uint16_t* query, size_t width) {
  auto sum = _mm512_setzero_ps();
  for (size_t i = 0; i < width; i += 2) {
    sum = _mm512_dpbf16_ps(sum, pair_in_all_lanes(key + i), pair_in_all_lanes(query + i));
  }
  return _mm512_cvtss_f32(sum);
}

}  // namespace

const PagedDots* paged_dots() {
  static constexpr PagedDots kDots{.score_pages = score_pages, .score_token = score_token};
  static const bool has_dots =
      __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bw") != 0 &&
      __builtin_cpu_supports("avx512vl") != 0 && __builtin_cpu_supports("avx512bf16") != 0;
  return has_dots ? &kDots : nullptr;
}

}  // namespace loopbank::ops

#else

namespace loopbank::ops {

const PagedDots* paged_dots() {
  return nullptr;
}

}  // namespace loopbank::ops

#endif

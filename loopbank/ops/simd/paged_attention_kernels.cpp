#include "loopbank/ops/simd/paged_attention_kernels.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/paged_attention_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/paged_attention-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// One run of rows with the same blocks on one key head.
template <typename T>
class PagedRun {
 public:
  PagedRun(const PagedQueries& all, size_t first, size_t last, size_t key_head, float* scratch)
      : all_(all),
        rows_(all.rows + first),
        first_(first),
        num_queries_((last - first) * all.group),
        key_head_(key_head),
        by_(1.44269504F / std::sqrt(static_cast<float>(all.width))) {
    float* next = scratch;
    const auto place = [&](size_t values) {
      float* const at = next;
      next += values;
      return at;
    };
    query_ = place(num_queries_ * all.width);
    state_ = {.query = query_,
              .results = place(num_queries_ * all.width),
              .weights = place(num_queries_ * kPagedStepTokens),
              .max = place(num_queries_),
              .sum = place(num_queries_),
              .shrink = place(num_queries_)};
  }

  void run() {
    load_queries();
    size_t total = 0;
    size_t stored = 0;
    for (size_t q = 0; q < num_queries_; q += all_.group) {
      stored = std::max(stored, static_cast<size_t>(row_of(q).length));
      total = std::max(total, static_cast<size_t>(row_of(q).total()));
    }
    const size_t head =
        static_cast<size_t>(row_of(0).offset) / sizeof(T) + key_head_ * 2 * kTokens * all_.width;
    for (size_t first = 0; first < total; first += kPagedStepTokens) {
      const Pages<T> pages = {row_of(0).blocks, first, head, all_.width,
                              first + 2 * kPagedStepTokens <= stored ? kStepBlocks : 0};
      size_t q = 0;
      for (; q + 4 <= num_queries_; q += 4) {
        step<4>(pages, q);
      }
      switch (num_queries_ - q) {
        case 3:
          step<3>(pages, q);
          break;
        case 2:
          step<2>(pages, q);
          break;
        case 1:
          step<1>(pages, q);
          break;
        default:
          break;
      }
    }
    store_results();
  }

 private:
  [[nodiscard]] HWY_INLINE const PagedRow& row_of(size_t q) const { return rows_[q / all_.group]; }

  /// Tokens of a step that a query sees in blocks, and with its own.
  [[nodiscard]] HWY_INLINE size_t in_blocks(size_t q, size_t first) const {
    return within(row_of(q).length, first);
  }
  [[nodiscard]] HWY_INLINE size_t visible(size_t q, size_t first) const {
    return within(row_of(q).total(), first);
  }
  [[nodiscard]] HWY_INLINE static size_t within(int64_t tokens, size_t first) {
    const auto all = static_cast<size_t>(tokens);
    return all <= first ? 0 : std::min(all - first, kPagedStepTokens);
  }

  [[nodiscard]] HWY_INLINE const T* own(const void* heads) const {
    return static_cast<const T*>(heads) + key_head_ * all_.width;
  }

  /// Where a query and its result stand in [rows, H_kv, group, d].
  [[nodiscard]] HWY_INLINE size_t place_of(size_t q) const {
    const size_t row = first_ + q / all_.group;
    return ((row * all_.key_heads + key_head_) * all_.group + q % all_.group) * all_.width;
  }

  void load_queries() {
    const auto* const from = static_cast<const T*>(all_.query.data);
    for (size_t q = 0; q < num_queries_; ++q) {
      const auto* const row = from + place_of(q);
      auto* const to = query_ + q * all_.width;
      auto* const result = state_.results + q * all_.width;
      for_each_vector(all_.width, [=](size_t i, size_t count) HWY_ATTR {
        store(load(row + i, count), to + i, count);
        store(set(0.0F), result + i, count);
      });
      state_.max[q] = std::numeric_limits<float>::lowest();
      state_.sum[q] = 0.0F;
    }
  }

  void store_results() {
    auto* const to = static_cast<T*>(all_.out.data);
    for (size_t q = 0; q < num_queries_; ++q) {
      const auto factor = set(1.0F / state_.sum[q]);
      const auto* const result = state_.results + q * all_.width;
      auto* const row = to + place_of(q);
      for_each_vector(all_.width, [=](size_t i, size_t count) HWY_ATTR {
        store(hn::Mul(load(result + i, count), factor), row + i, count);
      });
    }
  }

  /// q k of queries [q, q + kQueries) with the tokens of a step's blocks.
  template <size_t kQueries>
  HWY_INLINE void score(const Pages<T>& pages, size_t num_blocks, size_t q, float* scores) {
    if constexpr (std::is_same_v<T, uint16_t>) {
      if (all_.dots != nullptr) {
        PagedScores call{.num_queries = kQueries,
                         .num_blocks = num_blocks,
                         .width = all_.width,
                         .fetches_values = waits_for_memory(kQueries),
                         .scores = scores};
        for (size_t i = 0; i < kQueries; ++i) {
          call.query[i] = static_cast<const T*>(all_.query.data) + place_of(q + i);
        }
        for (size_t block = 0; block < num_blocks; ++block) {
          call.keys[block] = pages.keys(block);
        }
        all_.dots->score_pages(call);
        return;
      }
    }
    score_step<kQueries>(pages, num_blocks, query_ + q * all_.width, scores);
  }

  /// q k of a query and the token of its row that is in no block.
  [[nodiscard]] float score_own(size_t q) const {
    const auto* const key = own(row_of(q).own_key);
    if constexpr (std::is_same_v<T, uint16_t>) {
      if (all_.dots != nullptr) {
        const auto* const query = static_cast<const T*>(all_.query.data) + place_of(q);
        return all_.dots->score_token(key, query, all_.width);
      }
    }
    return score_of_own(key, query_ + q * all_.width, all_.width);
  }

  template <size_t kQueries>
  void step(const Pages<T>& pages, size_t q) {
    const size_t first = pages.first;
    size_t most = 0;
    size_t shared = kPagedStepTokens;
    for (size_t i = q; i < q + kQueries; ++i) {
      most = std::max(most, in_blocks(i, first));
      shared = std::min(shared, in_blocks(i, first));
    }
    auto* const weights = state_.weights + q * kPagedStepTokens;
    auto* const results = state_.results + q * all_.width;
    score<kQueries>(pages, (most + kTokens - 1) / kTokens, q, weights);
    for (size_t i = q; i < q + kQueries; ++i) {
      const size_t seen = in_blocks(i, first);
      if (visible(i, first) > seen) {
        state_.weights[i * kPagedStepTokens + seen] = score_own(i);
      }
      weigh(state_, i, visible(i, first), by_);
    }
    add_values<kQueries, columns_at_once(kQueries)>(pages, 0, shared, weights, state_.shrink + q,
                                                    results);
    // What not all of them see: a weight of 0 would not keep a NaN out.
    const float one = 1.0F;
    for (size_t i = q; i < q + kQueries; ++i) {
      const size_t seen = in_blocks(i, first);
      auto* const weight = state_.weights + i * kPagedStepTokens;
      auto* const result = state_.results + i * all_.width;
      if (seen > shared) {
        add_values<1, columns_at_once(1)>(pages, shared, seen, weight, &one, result);
      }
      if (visible(i, first) > seen) {
        add_own(own(row_of(i).own_value), weight[seen], all_.width, result);
      }
    }
  }

  const PagedQueries& all_;
  const PagedRow* rows_;
  size_t first_;
  size_t num_queries_;
  size_t key_head_;
  float by_;
  float* query_ = nullptr;
  QueryState state_ = {};
};

bool sees_blocks_of(const PagedRow& a, const PagedRow& b) {
  return a.blocks == b.blocks && a.offset == b.offset;
}

void PagedAttentionOfHead(const PagedQueries& queries, size_t first, size_t last, size_t key_head,
                          float* scratch) {
  with_type(queries.query, [&](const auto* typed) HWY_ATTR {
    using T = std::remove_const_t<std::remove_pointer_t<decltype(typed)>>;
    while (first < last) {
      const size_t most = std::min(last, first + queries.rows_together());
      size_t end = first + 1;
      while (end < most && sees_blocks_of(queries.rows[first], queries.rows[end])) {
        ++end;
      }
      PagedRun<T>(queries, first, end, key_head, scratch).run();
      first = end;
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(PagedAttentionOfHead);

void paged_attention_of_head(const PagedQueries& queries, size_t first, size_t last,
                             size_t key_head, float* scratch) {
  HWY_DYNAMIC_DISPATCH(PagedAttentionOfHead)(queries, first, last, key_head, scratch);
}

}  // namespace loopbank::ops
#endif

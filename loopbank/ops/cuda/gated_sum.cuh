#pragma once
/// gated_sum: one pass over memory forward, one backward, which computes the gates anew.

#include "loopbank/ops/cuda/elementwise.cuh"

namespace loopbank::ops::cuda {

template <class T, int kBanks>
struct GatedSumForwardOf {
  Global<const float> state;
  Global<const T> logits;
  Global<const float> biases[kBanks];
  Global<const T> memories[kBanks];
  Global<float> sum;
  int64_t rows, width;
};

template <class T, int kVector, int kBanks>
LOOPBANK_KERNEL(kMostThreads)
gated_sum_forward_rows(GatedSumForwardOf<T, kBanks> call) {
  visit_block_rows<kVector>(call.rows, call.width, [&](int64_t row, int64_t column) {
    float sum[kVector];
    call.state.load(row * call.width + column, sum);
    LOOPBANK_UNROLL
    for (int bank = 0; bank < kBanks; ++bank) {
      float logits[kVector], biases[kVector], memory[kVector];
      call.logits.load((row * kBanks + bank) * call.width + column, logits);
      call.biases[bank].load(column, biases);
      call.memories[bank].load(row * call.width + column, memory);
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        sum[i] += sigmoid(logits[i] + biases[i]) * memory[i];
      }
    }
    call.sum.store(row * call.width + column, sum);
  });
}

template <class T, int kBanks>
struct GatedSumBackwardOf {
  Global<const float> dsum;
  Global<const T> logits;
  Global<const float> biases[kBanks];
  Global<const T> memories[kBanks];
  Global<T> dlogits;
  Global<T> dmemories[kBanks];
  Global<float> dbiases[kBanks];
  int64_t rows, width;
};

/// dm = dsum g    dlogit = dsum m g (1 - g)    dbias = sum_rows dlogit, not rounded
template <class T, int kVector, int kChunks, int kBanks>
LOOPBANK_KERNEL(kMostThreads)
gated_sum_backward_rows(GatedSumBackwardOf<T, kBanks> call) {
  static_assert(kBanks == 1 || kBanks == 2);
  constexpr bool kHasSecond = kBanks == 2;
  ColumnSums<kVector, kChunks> dfirst(call.dbiases[0], call.width);
  ColumnSums<kVector, kHasSecond ? kChunks : 1> dsecond(
      kHasSecond ? call.dbiases[kBanks - 1] : Global<float>(), kHasSecond ? call.width : 0);
  for (int64_t row = warp_index(); row < call.rows; row += num_warps()) {
    Columns<kVector, kChunks>::visit(call.width, [&](int chunk, int64_t column) {
      float dsum[kVector];
      call.dsum.load(row * call.width + column, dsum);
      LOOPBANK_UNROLL
      for (int bank = 0; bank < kBanks; ++bank) {
        float logits[kVector], biases[kVector], memory[kVector];
        call.logits.load((row * kBanks + bank) * call.width + column, logits);
        call.biases[bank].load(column, biases);
        call.memories[bank].load(row * call.width + column, memory);
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          const float gate = sigmoid(logits[i] + biases[i]);
          logits[i] = dsum[i] * memory[i] * gate * (1.0F - gate);
          memory[i] = dsum[i] * gate;
        }
        if (bank == 0) {
          dfirst.add(chunk, column, logits);
        } else if constexpr (kHasSecond) {
          dsecond.add(chunk, column, logits);
        }
        call.dlogits.store((row * kBanks + bank) * call.width + column, logits);
        call.dmemories[bank].store(row * call.width + column, memory);
      }
    });
  }
  dfirst.finish();
  if constexpr (kHasSecond) {
    dsecond.finish();
  }
}

}  // namespace loopbank::ops::cuda

#pragma once
/// halting_distribution and mix_by_halting: one pass over memory forward, one backward.

#include "loopbank/ops/cuda/elementwise.cuh"

namespace loopbank::ops::cuda {

template <class T>
struct MixForwardOf {
  Global<const T> states[kMostLoops];
  Global<const float> halting;
  Global<T> y;
  Global<float> loops;
  int num_loops;
  int64_t rows, width;
};

template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
mix_forward_rows(MixForwardOf<T> call) {
  visit_block_rows<kVector>(call.rows, call.width, [&](int64_t row, int64_t column) {
    float y[kVector] = {};
    float loops = 0.0F;
    for (int t = 0; t < call.num_loops; ++t) {
      float state[kVector];
      const float probability = call.halting.value(t * call.rows + row);
      call.states[t].load(row * call.width + column, state);
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        y[i] += probability * state[i];
      }
      loops += static_cast<float>(t + 1) * probability;
    }
    call.y.store(row * call.width + column, y);
    if (column == 0) {
      call.loops.store(row, {loops});
    }
  });
}

template <class T>
struct MixBackwardOf {
  Global<const T> dy;
  Global<const float> dloops;
  Global<const T> states[kMostLoops];
  Global<const float> halting;
  Global<T> dstates[kMostLoops];
  Global<float> dhalting;
  int num_loops;
  int64_t rows, width;
};

/// dh^(t) = P_t dy    dP_t = dy . h^(t) + t dn
template <class T, int kVector, int kChunks>
LOOPBANK_KERNEL(kMostThreads)
mix_backward_rows(MixBackwardOf<T> call) {
  for (int64_t row = warp_index(); row < call.rows; row += num_warps()) {
    const WarpRow<T, kVector, kChunks> dy(call.dy, row, call.width);
    const float dloops = call.dloops ? call.dloops.value(row) : 0.0F;
    for (int t = 0; t < call.num_loops; ++t) {
      const float probability = call.halting.value(t * call.rows + row);
      float sum = 0.0F;
      Columns<kVector, kChunks>::visit(call.width, [&](int chunk, int64_t column) {
        float of_dy[kVector], state[kVector];
        dy.get(chunk, column, of_dy);
        call.states[t].load(row * call.width + column, state);
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          sum += of_dy[i] * state[i];
          of_dy[i] *= probability;
        }
        if (call.dstates[t]) {
          call.dstates[t].store(row * call.width + column, of_dy);
        }
      });
      sum = warp_sum(sum) + static_cast<float>(t + 1) * dloops;
      if (lane() == 0) {
        call.dhalting.store(t * call.rows + row, {sum});
      }
    }
  }
}

/// log sigmoid(x), without the overflow of exp(-x).
LOOPBANK_DEVICE float log_sigmoid(float x) {
  return -larger(-x, 0.0F) - logarithm_of_one_plus(exponential(-magnitude(x)));
}

struct HaltingForwardOf {
  Global<const float> logits[kMostLoops];
  Global<float> halting;
  int num_loops;
  int64_t rows;
};

/// A thread a token.
LOOPBANK_KERNEL(kMostThreads) halting_forward_rows(HaltingForwardOf call) {
  for (int64_t row = global_thread_index(); row < call.rows; row += num_threads()) {
    float log_remaining = 0.0F;  // log prod (1 - p_i)
    for (int t = 0; t + 1 < call.num_loops; ++t) {
      const float logit = call.logits[t].value(row);
      call.halting.store(t * call.rows + row, {exponential(log_remaining + log_sigmoid(logit))});
      log_remaining += log_sigmoid(-logit);
    }
    call.halting.store((call.num_loops - 1) * call.rows + row, {exponential(log_remaining)});
  }
}

struct HaltingBackwardOf {
  Global<const float> logits[kMostLoops];
  Global<const float> halting, dhalting;
  Global<float> dlogits[kMostLoops];
  int num_loops;
  int64_t rows;
};

/// dlogit_t = (1 - p_t) dP_t P_t - p_t sum_{i>t} dP_i P_i
LOOPBANK_KERNEL(kMostThreads) halting_backward_rows(HaltingBackwardOf call) {
  for (int64_t row = global_thread_index(); row < call.rows; row += num_threads()) {
    float later = 0.0F;
    for (int t = call.num_loops - 1; t >= 0; --t) {
      const int64_t at = t * call.rows + row;
      const float own = call.dhalting.value(at) * call.halting.value(at);
      if (t + 1 < call.num_loops) {
        const float p = sigmoid(call.logits[t].value(row));
        call.dlogits[t].store(row, {(1.0F - p) * own - p * later});
      }
      later += own;
    }
  }
}

}  // namespace loopbank::ops::cuda

#pragma once
/// swiglu and scaled_residual: one pass over memory forward, one backward.

#include "loopbank/ops/cuda/rows.cuh"

namespace loopbank::ops::cuda {

template <class T>
struct SwigluForwardOf {
  Global<const T> gate_up;
  Global<T> y;
  int64_t rows, width;
};

/// For each row of this block and each vector of this thread.
template <int kVector, class Visit>
LOOPBANK_DEVICE void visit_block_rows(int64_t rows, int64_t width, const Visit& visit) {
  for (int64_t row = block_index(); row < rows; row += num_blocks()) {
    for (int64_t column = int64_t{thread_index()} * kVector; column < width;
         column += int64_t{threads_per_block()} * kVector) {
      visit(row, column);
    }
  }
}

LOOPBANK_DEVICE float sigmoid(float x) {
  return 1.0F / (1.0F + exponential(-x));
}

template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
swiglu_forward_rows(SwigluForwardOf<T> call) {
  visit_block_rows<kVector>(call.rows, call.width, [&](int64_t row, int64_t column) {
    float gate[kVector], up[kVector];
    call.gate_up.load(2 * row * call.width + column, gate);
    call.gate_up.load((2 * row + 1) * call.width + column, up);
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      up[i] *= gate[i] * sigmoid(gate[i]);
    }
    call.y.store(row * call.width + column, up);
  });
}

template <class T>
struct SwigluBackwardOf {
  Global<const T> dy, gate_up;
  Global<T> dgate_up;
  int64_t rows, width;
};

/// dgate = dy up s (1 + gate (1 - s))    dup = dy gate s    with s = sigmoid(gate)
template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
swiglu_backward_rows(SwigluBackwardOf<T> call) {
  visit_block_rows<kVector>(call.rows, call.width, [&](int64_t row, int64_t column) {
    float dy[kVector], gate[kVector], up[kVector];
    call.dy.load(row * call.width + column, dy);
    call.gate_up.load(2 * row * call.width + column, gate);
    call.gate_up.load((2 * row + 1) * call.width + column, up);
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      const float s = sigmoid(gate[i]);
      const float silu = gate[i] * s;
      gate[i] = dy[i] * up[i] * (s + silu * (1.0F - s));
      up[i] = dy[i] * silu;
    }
    call.dgate_up.store(2 * row * call.width + column, gate);
    call.dgate_up.store((2 * row + 1) * call.width + column, up);
  });
}

template <class T>
struct ResidualForwardOf {
  Global<const float> state;
  Global<const T> branch;
  Global<const float> scale;
  Global<float> y;
};

template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
residual_forward_values(ResidualForwardOf<T> call) {
  const float scale = call.scale ? call.scale.value(0) : 1.0F;
  for (int64_t at = global_thread_index() * kVector; at < call.y.size;
       at += num_threads() * kVector) {
    float state[kVector], branch[kVector];
    call.state.load(at, state);
    call.branch.load(at, branch);
    LOOPBANK_UNROLL
    for (int i = 0; i < kVector; ++i) {
      state[i] += scale * branch[i];
    }
    call.y.store(at, state);
  }
}

template <class T>
struct ResidualBackwardOf {
  Global<const float> dy;
  Global<const T> branch;
  Global<const float> scale;
  Global<T> dbranch;
  Global<float> dscales;
};

/// The sum over the threads of a block, valid in thread 0.
LOOPBANK_DEVICE float block_sum(float value) {
  LOOPBANK_SHARED(float, of_warps, kMostWarps);
  value = warp_sum(value);
  sync_threads();  // the sum before this one has been read
  if (lane() == 0) {
    of_warps[thread_index() / kLanes] = value;
  }
  sync_threads();
  const int warps = threads_per_block() / kLanes;
  value = 0.0F;
  for (int warp = 0; warp < warps; ++warp) {
    value += of_warps[warp];
  }
  return value;
}

/// dbranch = scale dy    dscale = sum dy branch, a partial sum of each block
template <class T, int kVector>
LOOPBANK_KERNEL(kMostThreads)
residual_backward_values(ResidualBackwardOf<T> call) {
  const float scale = call.scale.value(0);
  float sum = 0.0F;
  for (int64_t at = global_thread_index() * kVector; at < call.dy.size;
       at += num_threads() * kVector) {
    float dy[kVector], branch[kVector];
    call.dy.load(at, dy);
    if (call.dscales) {
      call.branch.load(at, branch);
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        sum += dy[i] * branch[i];
      }
    }
    if (call.dbranch) {
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        dy[i] *= scale;
      }
      call.dbranch.store(at, dy);
    }
  }
  if (call.dscales) {
    const float total[1] = {block_sum(sum)};
    if (thread_index() == 0) {
      call.dscales.store(block_index(), total);
    }
  }
}

}  // namespace loopbank::ops::cuda

#pragma once
/// rms_norm and layer_norm: a warp a row, one pass over memory forward, one backward.

#include "loopbank/ops/cuda/rows.cuh"

namespace loopbank::ops::cuda {

template <class X, class Y>
struct NormForwardOf {
  Global<const X> x;
  Global<const float> weight, bias;
  Global<Y> y;
  Global<float> mean, inverse;
  int64_t rows, width;
  float eps;
};

/// The sum over a row of f(values), the same in all lanes. f adds to the sum of a lane.
template <int kVector, int kChunks, class Add>
LOOPBANK_DEVICE float sum_of_row(int64_t width, const Add& add) {
  float sum = 0.0F;
  Columns<kVector, kChunks>::visit(width,
                                   [&](int chunk, int64_t column) { add(chunk, column, sum); });
  return warp_sum(sum);
}

template <class X, class Y, int kVector, int kChunks, bool kCentered>
LOOPBANK_KERNEL(kMostThreads)
norm_forward_rows(NormForwardOf<X, Y> call) {
  for (int64_t row = warp_index(); row < call.rows; row += num_warps()) {
    const WarpRow<X, kVector, kChunks> x(call.x, row, call.width);
    const auto width = static_cast<float>(call.width);
    float mean = 0.0F;
    if constexpr (kCentered) {
      mean = sum_of_row<kVector, kChunks>(call.width,
                                          [&](int chunk, int64_t column, float& sum) {
                                            float values[kVector];
                                            x.get(chunk, column, values);
                                            for (const float value : values) {
                                              sum += value;
                                            }
                                          }) /
             width;
    }
    const float squares =
        sum_of_row<kVector, kChunks>(call.width, [&](int chunk, int64_t column, float& sum) {
          float values[kVector];
          x.get(chunk, column, values);
          for (const float value : values) {
            sum += (value - mean) * (value - mean);
          }
        });
    const float inverse = 1.0F / square_root(squares / width + call.eps);
    Columns<kVector, kChunks>::visit(call.width, [&](int chunk, int64_t column) {
      float values[kVector], weights[kVector], biases[kVector] = {};
      x.get(chunk, column, values);
      call.weight.load(column, weights);
      if constexpr (kCentered) {
        call.bias.load(column, biases);
      }
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        values[i] = (values[i] - mean) * inverse * weights[i] + biases[i];
      }
      call.y.store(row * call.width + column, values);
    });
    if (lane() == 0) {
      call.inverse.store(row, {inverse});
      if constexpr (kCentered) {
        call.mean.store(row, {mean});
      }
    }
  }
}

template <class X, class Y>
struct NormBackwardOf {
  Global<const Y> dy;
  Global<const X> x;
  Global<const float> weight, mean, inverse;
  Global<const X> more;
  Global<X> dx;
  Global<float> dweights, dbiases;
  int64_t rows, width;
};

/// With n = (x - mean) inverse, g = w dy:
///     dx = inverse (g - mean(g n) n - mean(g) of layer_norm)    dw = sum_rows dy n    db = sum_rows dy
/// To dx comes what other readers of x ask for.
template <class X, class Y, int kVector, int kChunks, bool kCentered>
LOOPBANK_KERNEL(kChunks > 0 ? kMostThreads : kLanes)
norm_backward_rows(NormBackwardOf<X, Y> call) {
  ColumnSums<kVector, kChunks> dweights(call.dweights, call.width);
  ColumnSums<kVector, kCentered ? kChunks : 1> dbiases(kCentered ? call.dbiases : Global<float>(),
                                                       kCentered ? call.width : 0);
  for (int64_t row = warp_index(); row < call.rows; row += num_warps()) {
    const WarpRow<X, kVector, kChunks> x(call.x, row, call.width);
    const WarpRow<Y, kVector, kChunks> dy(call.dy, row, call.width);
    const float inverse = call.inverse.value(row);
    const float mean = kCentered ? call.mean.value(row) : 0.0F;
    const auto visit = [&](int chunk, int64_t column, const auto& use) {
      float of_x[kVector], of_dy[kVector], weights[kVector];
      x.get(chunk, column, of_x);
      dy.get(chunk, column, of_dy);
      call.weight.load(column, weights);
      LOOPBANK_UNROLL
      for (int i = 0; i < kVector; ++i) {
        of_x[i] = (of_x[i] - mean) * inverse;
      }
      use(of_x, of_dy, weights);
    };
    float of_g = 0.0F;
    float of_gn = 0.0F;
    Columns<kVector, kChunks>::visit(call.width, [&](int chunk, int64_t column) {
      visit(chunk, column, [&](auto& n, auto& of_dy, auto& weights) {
        float products[kVector];
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          products[i] = of_dy[i] * n[i];
          of_gn += products[i] * weights[i];
          of_g += of_dy[i] * weights[i];
        }
        dweights.add(chunk, column, products);
        if constexpr (kCentered) {
          dbiases.add(chunk, column, of_dy);
        }
      });
    });
    const auto width = static_cast<float>(call.width);
    of_gn = warp_sum(of_gn) / width;
    of_g = kCentered ? warp_sum(of_g) / width : 0.0F;
    Columns<kVector, kChunks>::visit(call.width, [&](int chunk, int64_t column) {
      visit(chunk, column, [&](auto& n, auto& of_dy, auto& weights) {
        LOOPBANK_UNROLL
        for (int i = 0; i < kVector; ++i) {
          n[i] = inverse * (of_dy[i] * weights[i] - of_gn * n[i] - of_g);
        }
        if (call.more) {
          float more[kVector];
          call.more.load(row * call.width + column, more);
          LOOPBANK_UNROLL
          for (int i = 0; i < kVector; ++i) {
            n[i] += more[i];
          }
        }
        call.dx.store(row * call.width + column, n);
      });
    });
  }
  dweights.finish();
  if constexpr (kCentered) {
    dbiases.finish();
  }
}

}  // namespace loopbank::ops::cuda

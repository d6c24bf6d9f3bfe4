#include "loopbank/ops/simd/norm_kernels.h"

#include <cmath>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/norm_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

template <typename X, typename Y>
void rms_norm_row(const X* x, const NormForward& norm, Y* y, float* inverse) {
  const size_t width = norm.width;
  const float squares = sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto v = load(x + i, count);
    return hn::MulAdd(v, v, sum);
  });
  *inverse = 1.0F / std::sqrt(squares / static_cast<float>(width) + norm.eps);
  const auto scale = set(*inverse);
  for_each_vector(width, [&, scale](size_t i, size_t count) HWY_ATTR {
    const auto normed = hn::Mul(load(x + i, count), scale);
    store(hn::Mul(normed, load(norm.weight + i, count)), y + i, count);
  });
}

template <typename X, typename Y>
void layer_norm_row(const X* x, const NormForward& norm, Y* y, float* mean, float* inverse) {
  const size_t width = norm.width;
  *mean = sum_over(width, [=](FloatVector sum, size_t i, size_t count)
                              HWY_ATTR { return hn::Add(sum, load(x + i, count)); }) /
          static_cast<float>(width);
  const auto center = set(*mean);
  // Over the differences: mean(x^2) - mean(x)^2 would drown in a large mean.
  const float squares = sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto v = keep_first(hn::Sub(load(x + i, count), center), count);
    return hn::MulAdd(v, v, sum);
  });
  *inverse = 1.0F / std::sqrt(squares / static_cast<float>(width) + norm.eps);
  const auto scale = set(*inverse);
  for_each_vector(width, [&, center, scale](size_t i, size_t count) HWY_ATTR {
    const auto normed = hn::Mul(hn::Sub(load(x + i, count), center), scale);
    store(hn::MulAdd(normed, load(norm.weight + i, count), load(norm.bias + i, count)), y + i,
          count);
  });
}

/// With g = dy w and r = `inverse`: dx = r (g - x r^2 mean(g x)), dweight += dy x r.
template <typename X, typename Y>
void rms_norm_backward_row(const Y* dy, const X* x, const NormBackward& norm, size_t row, X* dx,
                           float* dweight) {
  const size_t width = norm.width;
  const auto* const weight = norm.weight;
  const float inverse = norm.inverse[row];
  const float product = sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    const auto g = hn::Mul(load(dy + i, count), load(weight + i, count));
    return hn::MulAdd(g, load(x + i, count), sum);
  });
  const auto scale = set(inverse);
  const auto along = set(product / static_cast<float>(width) * inverse * inverse);
  const auto* const more = norm.more == nullptr ? nullptr : norm.more + row * width;
  auto* const y = norm.y.data == nullptr ? nullptr : static_cast<Y*>(norm.y.data) + row * width;
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto v = load(x + i, count);
    const auto gradient = load(dy + i, count);
    const auto w = load(weight + i, count);
    const auto normed = hn::Mul(v, scale);
    store(hn::MulAdd(gradient, normed, load(dweight + i, count)), dweight + i, count);
    const auto inward = hn::NegMulAdd(v, along, hn::Mul(gradient, w));
    if (more != nullptr) {
      store(hn::MulAdd(scale, inward, load(more + i, count)), dx + i, count);
    } else {
      store(hn::Mul(scale, inward), dx + i, count);
    }
    if (y != nullptr) {
      store(hn::Mul(normed, w), y + i, count);
    }
  });
}

/// With g = dy w and u = (x - mean) r: dx = r (g - mean(g) - u mean(g u)), dweight += dy u,
/// dbias += dy.
template <typename X, typename Y>
void layer_norm_backward_row(const Y* dy, const X* x, const float* weight, size_t width, float mean,
                             float inverse, X* dx, float* dweight, float* dbias) {
  const auto center = set(mean);
  const auto scale = set(inverse);
  const auto gradient_at = [=](size_t i, size_t count) HWY_ATTR {
    return hn::Mul(load(dy + i, count), load(weight + i, count));
  };
  const auto normed_at = [=](size_t i, size_t count) HWY_ATTR {
    return hn::Mul(hn::Sub(load(x + i, count), center), scale);
  };
  const float sum_g = sum_over(width, [=](FloatVector sum, size_t i, size_t count)
                                          HWY_ATTR { return hn::Add(sum, gradient_at(i, count)); });
  const float sum_gu = sum_over(width, [=](FloatVector sum, size_t i, size_t count) HWY_ATTR {
    // Past the row g is 0, whatever u is.
    return hn::MulAdd(gradient_at(i, count), normed_at(i, count), sum);
  });
  const auto level = set(sum_g / static_cast<float>(width));
  const auto along = set(sum_gu / static_cast<float>(width));
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto u = normed_at(i, count);
    const auto gradient = load(dy + i, count);
    store(hn::MulAdd(gradient, u, load(dweight + i, count)), dweight + i, count);
    store(hn::Add(gradient, load(dbias + i, count)), dbias + i, count);
    const auto g = hn::Sub(hn::Mul(gradient, load(weight + i, count)), level);
    store(hn::Mul(scale, hn::NegMulAdd(u, along, g)), dx + i, count);
  });
}

void RmsNormRows(const NormForward& norm, size_t first, size_t last) {
  with_type(norm.x, [&](const auto* x) HWY_ATTR {
    with_type(norm.y, [&](auto* y) HWY_ATTR {
      for (size_t row = first; row < last; ++row) {
        const size_t at = row * norm.width;
        rms_norm_row(x + at, norm, y + at, norm.inverse + row);
      }
    });
  });
}

void LayerNormRows(const NormForward& norm, size_t first, size_t last) {
  with_type(norm.x, [&](const auto* x) HWY_ATTR {
    with_type(norm.y, [&](auto* y) HWY_ATTR {
      for (size_t row = first; row < last; ++row) {
        const size_t at = row * norm.width;
        layer_norm_row(x + at, norm, y + at, norm.mean + row, norm.inverse + row);
      }
    });
  });
}

/// visit(row, dy, x, dx) for each row, with the pointers of the row.
template <typename X, typename Visit>
void for_rows(const NormBackward& norm, size_t first, size_t last, const X* x, const Visit& visit) {
  with_type(norm.dy, [&](const auto* dy) HWY_ATTR {
    for (size_t row = first; row < last; ++row) {
      const size_t at = row * norm.width;
      visit(row, dy + at, x + at, static_cast<X*>(norm.dx.data) + at);
    }
  });
}

void RmsNormBackwardRows(const NormBackward& norm, size_t first, size_t last, float* dweight) {
  with_type(norm.x, [&](const auto* all) HWY_ATTR {
    for_rows(norm, first, last, all,
             [&](size_t row, const auto* dy, const auto* x, auto* dx)
                 HWY_ATTR { rms_norm_backward_row(dy, x, norm, row, dx, dweight); });
  });
}

void LayerNormBackwardRows(const NormBackward& norm, size_t first, size_t last, float* dweight,
                           float* dbias) {
  with_type(norm.x, [&](const auto* all) HWY_ATTR {
    for_rows(norm, first, last, all,
             [&](size_t row, const auto* dy, const auto* x, auto* dx) HWY_ATTR {
               layer_norm_backward_row(dy, x, norm.weight, norm.width, norm.mean[row],
                                       norm.inverse[row], dx, dweight, dbias);
             });
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(RmsNormRows);
HWY_EXPORT(LayerNormRows);
HWY_EXPORT(RmsNormBackwardRows);
HWY_EXPORT(LayerNormBackwardRows);

void rms_norm_rows(const NormForward& norm, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(RmsNormRows)(norm, first, last);
}

void layer_norm_rows(const NormForward& norm, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(LayerNormRows)(norm, first, last);
}

void rms_norm_backward_rows(const NormBackward& norm, size_t first, size_t last, float* dweight) {
  HWY_DYNAMIC_DISPATCH(RmsNormBackwardRows)(norm, first, last, dweight);
}

void layer_norm_backward_rows(const NormBackward& norm, size_t first, size_t last, float* dweight,
                              float* dbias) {
  HWY_DYNAMIC_DISPATCH(LayerNormBackwardRows)(norm, first, last, dweight, dbias);
}

}  // namespace loopbank::ops
#endif

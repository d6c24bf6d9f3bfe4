#include "loopbank/ops/cuda/norm.cuh"

namespace loopbank::ops::cuda {
namespace {

template <class X, class Y, bool kCentered>
void forward_of_types(const NormForward& call, Stream stream) {
  const NormForwardOf<X, Y> of{.x = global<const X>(call.x),
                               .weight = global_const(call.weight),
                               .bias = global_const(call.bias),
                               .y = global<Y>(call.y),
                               .mean = global_floats(call.mean),
                               .inverse = global_floats(call.inverse),
                               .rows = call.rows,
                               .width = call.width,
                               .eps = call.eps};
  const bool is_wide =
      takes_wide_vectors(call.width, of.x.data, of.weight.data, of.bias.data, of.y.data);
  with_columns(is_wide, call.width, [&](auto vector, auto chunks) {
    launch("rms_norm", norm_forward_rows<X, Y, vector(), chunks(), kCentered>, warp_rows(call.rows),
           stream, of);
  });
}

template <class X, class Y, bool kCentered>
void backward_of_types(const NormBackward& call, Stream stream) {
  const NormBackwardOf<X, Y> of{.dy = global<const Y>(call.dy),
                                .x = global<const X>(call.x),
                                .weight = global_const(call.weight),
                                .mean = global_const(call.mean),
                                .inverse = global_const(call.inverse),
                                .more = global<const X>(call.more),
                                .dx = global<X>(call.dx),
                                .dweights = global_floats(call.dweights),
                                .dbiases = global_floats(call.dbiases),
                                .rows = call.rows,
                                .width = call.width};
  const bool is_wide = takes_wide_vectors(call.width, of.dy.data, of.x.data, of.weight.data,
                                          of.more.data, of.dx.data);
  with_columns(is_wide, call.width, [&](auto vector, auto chunks) {
    launch("rms_norm backward", norm_backward_rows<X, Y, vector(), chunks(), kCentered>,
           summed_rows(call.rows, chunks()), stream, of);
  });
}

}  // namespace

void norm_forward(const NormForward& call, Stream stream) {
  with_type(call.x.is_bf16, [&](auto x) {
    with_type(call.y.is_bf16, [&](auto y) {
      const bool is_centered = call.bias.data != nullptr;
      is_centered ? forward_of_types<decltype(x), decltype(y), true>(call, stream)
                  : forward_of_types<decltype(x), decltype(y), false>(call, stream);
    });
  });
}

void norm_backward(const NormBackward& call, Stream stream) {
  with_type(call.x.is_bf16, [&](auto x) {
    with_type(call.dy.is_bf16, [&](auto y) {
      const bool is_centered = call.mean.data != nullptr;
      is_centered ? backward_of_types<decltype(x), decltype(y), true>(call, stream)
                  : backward_of_types<decltype(x), decltype(y), false>(call, stream);
    });
  });
}

}  // namespace loopbank::ops::cuda

#include "loopbank/ops/cuda/elementwise.cuh"

namespace loopbank::ops::cuda {

void swiglu_forward(const SwigluForward& call, Stream stream) {
  with_type(call.y.is_bf16, [&](auto type) {
    using T = decltype(type);
    const SwigluForwardOf<T> of{.gate_up = global<const T>(call.gate_up),
                                .y = global<T>(call.y),
                                .rows = call.rows,
                                .width = call.width};
    with_vector(takes_wide_vectors(call.width, of.gate_up.data, of.y.data), [&](auto vector) {
      launch("swiglu", swiglu_forward_rows<T, vector()>,
             block_rows(call.rows, call.width, vector()), stream, of);
    });
  });
}

void swiglu_backward(const SwigluBackward& call, Stream stream) {
  with_type(call.dy.is_bf16, [&](auto type) {
    using T = decltype(type);
    const SwigluBackwardOf<T> of{.dy = global<const T>(call.dy),
                                 .gate_up = global<const T>(call.gate_up),
                                 .dgate_up = global<T>(call.dgate_up),
                                 .rows = call.rows,
                                 .width = call.width};
    const bool is_wide =
        takes_wide_vectors(call.width, of.dy.data, of.gate_up.data, of.dgate_up.data);
    with_vector(is_wide, [&](auto vector) {
      launch("swiglu backward", swiglu_backward_rows<T, vector()>,
             block_rows(call.rows, call.width, vector()), stream, of);
    });
  });
}

void residual_forward(const ResidualForward& call, Stream stream) {
  with_type(call.branch.is_bf16, [&](auto type) {
    using T = decltype(type);
    const ResidualForwardOf<T> of{.state = global_const(call.state),
                                  .branch = global<const T>(call.branch),
                                  .scale = global_const(call.scale),
                                  .y = global_floats(call.y)};
    const bool is_wide = takes_wide_vectors(of.y.size, of.state.data, of.branch.data, of.y.data);
    with_vector(is_wide, [&](auto vector) {
      const Grid grid{blocks_for(of.y.size, int64_t{kMostThreads} * vector()), kMostThreads};
      launch("scaled_residual", residual_forward_values<T, vector()>, grid, stream, of);
    });
  });
}

void residual_backward(const ResidualBackward& call, Stream stream) {
  with_type(call.dbranch.is_bf16 || call.branch.is_bf16, [&](auto type) {
    using T = decltype(type);
    const ResidualBackwardOf<T> of{.dy = global_const(call.dy),
                                   .branch = global<const T>(call.branch),
                                   .scale = global_const(call.scale),
                                   .dbranch = global<T>(call.dbranch),
                                   .dscales = global_floats(call.dscales)};
    const bool is_wide =
        takes_wide_vectors(of.dy.size, of.dy.data, of.branch.data, of.dbranch.data);
    with_vector(is_wide, [&](auto vector) {
      const Grid grid{partial_sums(call.rows), kMostThreads};
      launch("scaled_residual backward", residual_backward_values<T, vector()>, grid, stream, of);
    });
  });
}

}  // namespace loopbank::ops::cuda

#include "loopbank/ops/cuda/cross_entropy.cuh"

namespace loopbank::ops::cuda {

void cross_entropy_in_place(const CrossEntropyInPlace& call, Stream stream) {
  with_type(call.logits.is_bf16, [&](auto type) {
    using T = decltype(type);
    const CrossEntropyOf<T> of{.logits = global<T>(call.logits),
                               .targets = {call.targets, call.rows},
                               .losses = global_floats(call.losses),
                               .scale = global_const(call.scale),
                               .writes_gradient = call.writes_gradient,
                               .ignore = call.ignore,
                               .rows = call.rows,
                               .width = call.width};
    with_vector(takes_wide_vectors(call.width, of.logits.data), [&](auto vector) {
      auto grid = block_rows(call.rows, call.width, vector(), kCrossEntropyThreads);
      grid.blocks = grid.blocks < kRowsUnderWay ? grid.blocks : kRowsUnderWay;
      launch("cross_entropy", cross_entropy_rows<T, vector()>, grid, stream, of);
    });
  });
}

}  // namespace loopbank::ops::cuda

#include "loopbank/ops/cuda/halting.cuh"

namespace loopbank::ops::cuda {

void mix_forward(const MixForward& call, Stream stream) {
  with_type(call.y.is_bf16, [&](auto type) {
    using T = decltype(type);
    MixForwardOf<T> of{.states = {},
                       .halting = global_const(call.halting),
                       .y = global<T>(call.y),
                       .loops = global_floats(call.loops),
                       .num_loops = call.num_loops,
                       .rows = call.rows,
                       .width = call.width};
    bool is_wide = takes_wide_vectors(call.width, of.y.data);
    for (int t = 0; t < call.num_loops; ++t) {
      of.states[t] = global<const T>(call.states[t]);
      is_wide = is_wide && takes_wide_vectors(call.width, of.states[t].data);
    }
    with_vector(is_wide, [&](auto vector) {
      launch("mix_by_halting", mix_forward_rows<T, vector()>,
             block_rows(call.rows, call.width, vector()), stream, of);
    });
  });
}

void mix_backward(const MixBackward& call, Stream stream) {
  with_type(call.dy.is_bf16, [&](auto type) {
    using T = decltype(type);
    MixBackwardOf<T> of{.dy = global<const T>(call.dy),
                        .dloops = global_const(call.dloops),
                        .states = {},
                        .halting = global_const(call.halting),
                        .dstates = {},
                        .dhalting = global_floats(call.dhalting),
                        .num_loops = call.num_loops,
                        .rows = call.rows,
                        .width = call.width};
    bool is_wide = takes_wide_vectors(call.width, of.dy.data);
    for (int t = 0; t < call.num_loops; ++t) {
      of.states[t] = global<const T>(call.states[t]);
      of.dstates[t] = global<T>(call.dstates[t]);
      is_wide = is_wide && takes_wide_vectors(call.width, of.states[t].data, of.dstates[t].data);
    }
    with_columns(is_wide, call.width, [&](auto vector, auto chunks) {
      launch("mix_by_halting backward", mix_backward_rows<T, vector(), chunks()>,
             warp_rows(call.rows), stream, of);
    });
  });
}

void halting_forward(const HaltingForward& call, Stream stream) {
  HaltingForwardOf of{.logits = {},
                      .halting = global_floats(call.halting),
                      .num_loops = call.num_loops,
                      .rows = call.rows};
  for (int t = 0; t + 1 < call.num_loops; ++t) {
    of.logits[t] = global_const(call.logits[t]);
  }
  launch("halting_distribution", halting_forward_rows,
         {blocks_for(call.rows, kMostThreads), kMostThreads}, stream, of);
}

void halting_backward(const HaltingBackward& call, Stream stream) {
  HaltingBackwardOf of{.logits = {},
                       .halting = global_const(call.halting),
                       .dhalting = global_const(call.dhalting),
                       .dlogits = {},
                       .num_loops = call.num_loops,
                       .rows = call.rows};
  for (int t = 0; t + 1 < call.num_loops; ++t) {
    of.logits[t] = global_const(call.logits[t]);
    of.dlogits[t] = global_floats(call.dlogits[t]);
  }
  launch("halting_distribution backward", halting_backward_rows,
         {blocks_for(call.rows, kMostThreads), kMostThreads}, stream, of);
}

}  // namespace loopbank::ops::cuda

#include "loopbank/ops/cuda/rotary.cuh"

namespace loopbank::ops::cuda {
namespace {

/// Whether a lane takes wide vectors of pairs.
bool is_wide(const RotaryForward& call) {
  return takes_wide_vectors(call.width / 2, call.qkv.data, call.cosines.data, call.sines.data,
                            call.query_weight.data, call.key_weight.data);
}

template <class T>
RotaryInputs<T> inputs_of(const RotaryForward& call, int vector) {
  int lanes = 1;
  while (lanes * vector < call.width / 2) {
    lanes *= 2;
  }
  if (lanes > kLanes) {
    launch_failed("rotary", "wide heads in memory that does not begin on 16 bytes");
  }
  return {.qkv = global<const T>(call.qkv),
          .cosines = global_const(call.cosines),
          .sines = global_const(call.sines),
          .query_weight = global_const(call.query_weight),
          .key_weight = global_const(call.key_weight),
          .rows = call.rows,
          .positions = call.positions,
          .num_queries = call.num_queries,
          .num_keys = call.num_keys,
          .width = call.width,
          .lanes = lanes,
          .eps = call.eps,
          .place = call.place};
}

}  // namespace

void rotary_forward(const RotaryForward& call, Stream stream) {
  with_type(call.qkv.is_bf16, [&](auto type) {
    using T = decltype(type);
    const bool wide =
        is_wide(call) && takes_wide_vectors(call.width / 2, call.query.data, call.key.data);
    with_vector(wide, [&](auto vector) {
      const RotaryForwardOf<T> of{.in = inputs_of<T>(call, vector()),
                                  .query = global<T>(call.query),
                                  .key = global<T>(call.key)};
      launch("rotary", rotary_forward_rows<T, vector()>, warp_rows(call.rows), stream, of);
    });
  });
}

void rotary_backward(const RotaryBackward& call, Stream stream) {
  with_type(call.forward.qkv.is_bf16, [&](auto type) {
    using T = decltype(type);
    const bool wide = is_wide(call.forward) &&
                      takes_wide_vectors(call.forward.width / 2, call.dquery.data, call.dkey.data,
                                         call.dvalue.data, call.dqkv.data);
    with_vector(wide, [&](auto vector) {
      const RotaryBackwardOf<T> of{.in = inputs_of<T>(call.forward, vector()),
                                   .dquery = global<const T>(call.dquery),
                                   .dkey = global<const T>(call.dkey),
                                   .dvalue = global<const T>(call.dvalue),
                                   .dqkv = global<T>(call.dqkv),
                                   .dquery_weights = global_floats(call.dquery_weights),
                                   .dkey_weights = global_floats(call.dkey_weights)};
      launch("rotary backward", rotary_backward_rows<T, vector()>,
             {partial_sums(call.forward.rows), kMostThreads}, stream, of);
    });
  });
}

}  // namespace loopbank::ops::cuda

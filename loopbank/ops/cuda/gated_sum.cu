#include "loopbank/ops/cuda/gated_sum.cuh"

namespace loopbank::ops::cuda {
namespace {

/// visit(banks): 1 or 2.
template <class Visit>
void with_banks(int num_banks, const Visit& visit) {
  num_banks == 1 ? visit(Constant<1>()) : visit(Constant<kMostBanks>());
}

template <class T, int kBanks>
void forward_of_banks(const GatedSumForward& call, Stream stream) {
  GatedSumForwardOf<T, kBanks> of{.state = global_const(call.state),
                                  .logits = global<const T>(call.logits),
                                  .biases = {},
                                  .memories = {},
                                  .sum = global_floats(call.sum),
                                  .rows = call.rows,
                                  .width = call.width};
  bool is_wide = takes_wide_vectors(call.width, of.state.data, of.logits.data, of.sum.data);
  for (int bank = 0; bank < kBanks; ++bank) {
    of.biases[bank] = global_const(call.biases[bank]);
    of.memories[bank] = global<const T>(call.memories[bank]);
    is_wide =
        is_wide && takes_wide_vectors(call.width, of.biases[bank].data, of.memories[bank].data);
  }
  with_vector(is_wide, [&](auto vector) {
    launch("gated_sum", gated_sum_forward_rows<T, vector(), kBanks>,
           block_rows(call.rows, call.width, vector()), stream, of);
  });
}

template <class T, int kBanks>
void backward_of_banks(const GatedSumBackward& call, Stream stream) {
  GatedSumBackwardOf<T, kBanks> of{.dsum = global_const(call.dsum),
                                   .logits = global<const T>(call.logits),
                                   .biases = {},
                                   .memories = {},
                                   .dlogits = global<T>(call.dlogits),
                                   .dmemories = {},
                                   .dbiases = {},
                                   .rows = call.rows,
                                   .width = call.width};
  bool is_wide = takes_wide_vectors(call.width, of.dsum.data, of.logits.data, of.dlogits.data);
  for (int bank = 0; bank < kBanks; ++bank) {
    of.biases[bank] = global_const(call.biases[bank]);
    of.memories[bank] = global<const T>(call.memories[bank]);
    of.dmemories[bank] = global<T>(call.dmemories[bank]);
    of.dbiases[bank] = global_floats(call.dbiases[bank]);
    is_wide = is_wide && takes_wide_vectors(call.width, of.biases[bank].data,
                                            of.memories[bank].data, of.dmemories[bank].data);
  }
  with_columns(is_wide, call.width, [&](auto vector, auto chunks) {
    launch("gated_sum backward", gated_sum_backward_rows<T, vector(), chunks(), kBanks>,
           summed_rows(call.rows, chunks()), stream, of);
  });
}

}  // namespace

void gated_sum_forward(const GatedSumForward& call, Stream stream) {
  with_type(call.logits.is_bf16, [&](auto type) {
    with_banks(call.num_banks,
               [&](auto banks) { forward_of_banks<decltype(type), banks()>(call, stream); });
  });
}

void gated_sum_backward(const GatedSumBackward& call, Stream stream) {
  with_type(call.logits.is_bf16, [&](auto type) {
    with_banks(call.num_banks,
               [&](auto banks) { backward_of_banks<decltype(type), banks()>(call, stream); });
  });
}

}  // namespace loopbank::ops::cuda

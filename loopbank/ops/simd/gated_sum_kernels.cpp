#include "loopbank/ops/simd/gated_sum_kernels.h"

#include <type_traits>

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "loopbank/ops/simd/gated_sum_kernels.cpp"
#include <hwy/foreach_target.h>

#include "loopbank/ops/simd/simd-inl.h"

HWY_BEFORE_NAMESPACE();
namespace loopbank::ops::HWY_NAMESPACE {

/// A bank's row of logits, bias and memory.
template <typename X>
struct BankRow {
  const X* logits = nullptr;
  const float* bias = nullptr;
  const X* memory = nullptr;
};

template <typename X>
HWY_INLINE FloatVector gate_at(const BankRow<X>& bank, size_t i, size_t count) {
  return sigmoid(hn::Add(load(bank.logits + i, count), load(bank.bias + i, count)));
}

template <typename X>
void add_one_bank(const float* state, const BankRow<X>& bank, size_t width, float* sum) {
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto memory = load(bank.memory + i, count);
    store(hn::MulAdd(gate_at(bank, i, count), memory, load(state + i, count)), sum + i, count);
  });
}

template <typename X>
void add_two_banks(const float* state, const BankRow<X>& local, const BankRow<X>& global,
                   size_t width, float* sum) {
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto local_memory = load(local.memory + i, count);
    const auto global_memory = load(global.memory + i, count);
    const auto with_local =
        hn::MulAdd(gate_at(local, i, count), local_memory, load(state + i, count));
    store(hn::MulAdd(gate_at(global, i, count), global_memory, with_local), sum + i, count);
  });
}

/// dm = de g, dlogits = de m g (1 - g), dbias += dlogits.
template <typename X>
void bank_backward_row(const float* dsum, const BankRow<X>& bank, size_t width, X* dlogits,
                       float* dbias, X* dmemory) {
  const auto one = set(1.0F);
  for_each_vector(width, [=](size_t i, size_t count) HWY_ATTR {
    const auto gate = gate_at(bank, i, count);
    const auto through_gate = hn::Mul(load(dsum + i, count), gate);
    store(through_gate, dmemory + i, count);
    const auto gradient =
        hn::Mul(hn::Mul(through_gate, load(bank.memory + i, count)), hn::Sub(one, gate));
    store(gradient, dlogits + i, count);
    store(hn::Add(gradient, load(dbias + i, count)), dbias + i, count);
  });
}

void GatedSumRows(const GatedSumForward& sum, size_t first, size_t last) {
  with_type(sum.logits, [&](const auto* all_logits) HWY_ATTR {
    using X = std::remove_const_t<std::remove_pointer_t<decltype(all_logits)>>;
    for (size_t row = first; row < last; ++row) {
      const size_t at = row * sum.width;
      const auto bank_row = [&](size_t bank) {
        return BankRow<X>{.logits = all_logits + row * sum.num_banks * sum.width + bank * sum.width,
                          .bias = sum.biases[bank],
                          .memory = static_cast<const X*>(sum.memories[bank].data) + at};
      };
      if (sum.num_banks == 1) {
        add_one_bank(sum.state + at, bank_row(0), sum.width, sum.sum + at);
      } else {
        add_two_banks(sum.state + at, bank_row(0), bank_row(1), sum.width, sum.sum + at);
      }
    }
  });
}

void GatedSumBackwardRows(const GatedSumBackward& sum, size_t first, size_t last, float* dbiases) {
  with_type(sum.dlogits, [&](auto* all_dlogits) HWY_ATTR {
    using X = std::remove_pointer_t<decltype(all_dlogits)>;
    for (size_t row = first; row < last; ++row) {
      const size_t at = row * sum.width;
      for (size_t bank = 0; bank < sum.num_banks; ++bank) {
        const size_t at_logits = (row * sum.num_banks + bank) * sum.width;
        const BankRow<X> bank_row{.logits = static_cast<const X*>(sum.logits.data) + at_logits,
                                  .bias = sum.biases[bank],
                                  .memory = static_cast<const X*>(sum.memories[bank].data) + at};
        bank_backward_row(sum.dsum + at, bank_row, sum.width, all_dlogits + at_logits,
                          dbiases + bank * sum.width,
                          static_cast<X*>(sum.dmemories[bank].data) + at);
      }
    }
  });
}

}  // namespace loopbank::ops::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace loopbank::ops {

HWY_EXPORT(GatedSumRows);
HWY_EXPORT(GatedSumBackwardRows);

void gated_sum_rows(const GatedSumForward& sum, size_t first, size_t last) {
  HWY_DYNAMIC_DISPATCH(GatedSumRows)(sum, first, last);
}

void gated_sum_backward_rows(const GatedSumBackward& sum, size_t first, size_t last,
                             float* dbiases) {
  HWY_DYNAMIC_DISPATCH(GatedSumBackwardRows)(sum, first, last, dbiases);
}

}  // namespace loopbank::ops
#endif

#include "loopbank/ops/cpu/elementwise_rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace loopbank::ops {
namespace {

/// Waking a thread costs what this many values take, about 10 us.
constexpr int64_t kValuesPerThread = 32768;

/// Rows whose sums are added up before they join those of the rows before.
constexpr size_t kRowsPerSum = 32;

/// Values between the sums of two threads, so that no cache line is written by both.
constexpr int64_t kGap = 16;

/// to += from.
void add(const float* from, int64_t count, float* to) {
  std::transform(from, from + count, to, to, std::plus<>());
}

}  // namespace

ConstValues const_values(const at::Tensor& x) {
  return x.defined() ? ConstValues{x.data_ptr(), x.scalar_type() == at::kBFloat16} : ConstValues{};
}

Values values(const at::Tensor& x) {
  return x.defined() ? Values{x.data_ptr(), x.scalar_type() == at::kBFloat16} : Values{};
}

const float* const_floats(const at::Tensor& x) {
  return floats(x);
}

float* floats(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<float>() : nullptr;
}

void for_row_ranges(int64_t rows, int64_t width, c10::function_ref<void(size_t, size_t)> visit) {
  const auto grain = std::max<int64_t>(1, kValuesPerThread / width);
  if (rows <= grain) {
    visit(0, static_cast<size_t>(rows));
    return;
  }
  at::parallel_for(0, rows, grain, [&](int64_t first, int64_t last) {
    visit(static_cast<size_t>(first), static_cast<size_t>(last));
  });
}

at::Tensor sums_over_rows(int64_t rows, int64_t width, int64_t num_sums,
                          const std::function<void(size_t, size_t, float*)>& visit) {
  // Each thread's own: the sums so far, then those of the rows at hand.
  const auto sums = at::zeros({at::get_num_threads(), 2 * num_sums + kGap}, at::kFloat);
  auto* const all = sums.data_ptr<float>();
  const auto stride = sums.stride(0);
  for_row_ranges(rows, width, [&](size_t first, size_t last) {
    auto* const mine = all + at::get_thread_num() * stride;
    auto* const at_hand = mine + num_sums;
    for (; first < last; first += kRowsPerSum) {
      visit(first, std::min(last, first + kRowsPerSum), at_hand);
      add(at_hand, num_sums, mine);
      std::fill_n(at_hand, num_sums, 0.0F);
    }
  });
  for (int64_t thread = 1; thread < sums.size(0); ++thread) {
    add(all + thread * stride, num_sums, all);
  }
  return sums[0].narrow(0, 0, num_sums).clone();
}

}  // namespace loopbank::ops

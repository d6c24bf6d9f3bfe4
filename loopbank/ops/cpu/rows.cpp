/// The ops of rows.h on the CPU.

#include "loopbank/ops/rows.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "loopbank/ops/cpu/elementwise_rows.h"
#include "loopbank/ops/cpu/fused.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/simd/rows_kernels.h"
#include "loopbank/ops/workspace.h"

namespace loopbank::ops {
namespace {

/// sqrt(difference / before) of each row, from squared(row).
template <typename Squared>
at::Tensor ratios_of_rows(const at::Tensor& h, int64_t values_read, const Squared& squared) {
  const auto ratios = new_tensor({h.size(0)}, at::kFloat);
  auto* const to = floats(ratios);
  for_row_ranges(h.size(0), values_read * h.size(1), [&](size_t row, size_t last) {
    for (; row < last; ++row) {
      const auto change = squared(row);
      to[row] = std::sqrt(change.difference) / std::sqrt(change.before);
    }
  });
  return ratios;
}

}  // namespace

at::Tensor cpu::gather_rows(const at::Tensor& h, std::span<const int64_t> list) {
  const ProfiledOp op("loopbank::gather_rows");
  const auto x = dense(h);
  const auto count = static_cast<int64_t>(list.size());
  auto picked = new_tensor({count, x.size(1)}, x.scalar_type());
  const auto bytes = static_cast<size_t>(x.size(1)) * x.element_size();
  const auto* const from = static_cast<const char*>(x.data_ptr());
  auto* const to = static_cast<char*>(picked.data_ptr());
  for_row_ranges(count, x.size(1), [&](size_t row, size_t last) {
    for (; row < last; ++row) {
      std::memcpy(to + row * bytes, from + static_cast<size_t>(list[row]) * bytes, bytes);
    }
  });
  return picked;
}

void cpu::weighted_add_rows(const at::Tensor& y, std::span<const int64_t> rows,
                            std::span<const float> weights, const at::Tensor& h) {
  const ProfiledOp op("loopbank::weighted_add_rows");
  const auto x = dense(h);
  const auto width = static_cast<size_t>(x.size(1));
  const auto* const from = const_floats(x);
  auto* const to = floats(y);
  // Divided by columns: a row of y that is listed twice is still added to by one thread.
  for_row_ranges(x.size(1), std::ssize(rows), [&](size_t first, size_t last) {
    for (size_t i = 0; i < rows.size(); ++i) {
      add_weighted(from + i * width + first, weights[i], last - first,
                   to + static_cast<size_t>(rows[i]) * width + first);
    }
  });
}

at::Tensor cpu::relative_change(const at::Tensor& h, const at::Tensor& before) {
  const ProfiledOp op("loopbank::relative_change");
  const auto x = dense(h);
  const auto x_before = dense(before);
  const auto width = static_cast<size_t>(h.size(1));
  return ratios_of_rows(x, 2, [&](size_t row) {
    return squared_change(const_floats(x) + row * width, const_floats(x_before) + row * width,
                          width);
  });
}

at::Tensor cpu::relative_acceleration(const at::Tensor& h, const at::Tensor& before,
                                      const at::Tensor& earlier) {
  const ProfiledOp op("loopbank::relative_acceleration");
  const auto x = dense(h);
  const auto x_before = dense(before);
  const auto x_earlier = dense(earlier);
  const auto width = static_cast<size_t>(h.size(1));
  return ratios_of_rows(x, 3, [&](size_t row) {
    const size_t at = row * width;
    return squared_acceleration(const_floats(x) + at, const_floats(x_before) + at,
                                const_floats(x_earlier) + at, width);
  });
}

}  // namespace loopbank::ops

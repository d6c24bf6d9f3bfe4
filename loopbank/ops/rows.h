#pragma once
#include <ATen/core/Tensor.h>
#include <ATen/ops/index_select.h>
#include <ATen/ops/tensor.h>
#include <vector>
namespace loopbank::ops {
inline at::Tensor gather_rows(const at::Tensor& x, const std::vector<int64_t>& rows) {
  return x.index_select(0, at::tensor(rows, at::kLong));
}
inline void weighted_add_rows(at::Tensor& y, const std::vector<int64_t>& rows,
                              const std::vector<float>& weights, const at::Tensor& h) {
  const auto D = y.size(1);
  const auto hc = h.contiguous();
  for (size_t i = 0; i < rows.size(); ++i)
    for (int64_t j = 0; j < D; ++j)
      y.data_ptr<float>()[rows[i] * D + j] += weights[i] * hc.data_ptr<float>()[(int64_t)i * D + j];
}
}  // namespace loopbank::ops

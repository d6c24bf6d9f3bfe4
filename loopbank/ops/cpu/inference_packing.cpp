#include "loopbank/ops/cpu/inference_packing.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/zeros.h>
#include <c10/util/BFloat16.h>

#include <algorithm>

#include "loopbank/ops/kernels.h"

namespace loopbank::ops {
namespace {

/// The rows of all masters, each in its dtype.
struct MasterRows {
  std::vector<ConstValues> rows;
  int64_t in = 0;

  explicit MasterRows(const std::vector<at::Tensor>& masters) : in(masters.front().size(1)) {
    for (const auto& master : masters) {
      const auto* const data = static_cast<const char*>(master.data_ptr());
      const auto row_bytes = in * static_cast<int64_t>(master.element_size());
      for (int64_t row = 0; row < master.size(0); ++row) {
        rows.push_back({data + row * row_bytes, master.scalar_type() == at::kBFloat16});
      }
    }
  }

  /// visit(k, value) for every k of a row.
  template <typename Visit>
  void for_values(int64_t row, const Visit& visit) const {
    const auto& values = rows[static_cast<size_t>(row)];
    if (values.is_bf16) {
      const auto* const from = static_cast<const c10::BFloat16*>(values.data);
      for (int64_t k = 0; k < in; ++k) {
        visit(k, static_cast<float>(from[k]));
      }
    } else {
      const auto* const from = static_cast<const float*>(values.data);
      for (int64_t k = 0; k < in; ++k) {
        visit(k, from[k]);
      }
    }
  }
};

PanelKernels kernels_of_this_cpu() {
  honour_simd_limit();
  auto kernels = vector_panel_kernels();
  if (!is_limited_to_avx2()) {
    take_dot_panel_kernels(kernels);
  }
  return kernels;
}

}  // namespace

const PanelKernels& panel_kernels() {
  static const auto kernels = kernels_of_this_cpu();
  return kernels;
}

int64_t depth_step(WeightFormat format) {
  return format == WeightFormat::kFp32 ? 1 : 2;
}

int64_t panel_bytes(WeightFormat format, int64_t depth, int64_t columns) {
  const auto values = round_up(depth, depth_step(format)) * columns;
  return values * static_cast<int64_t>(format == WeightFormat::kFp32 ? sizeof(float)
                                                                     : sizeof(c10::BFloat16));
}

at::Tensor pack_panels(const std::vector<at::Tensor>& masters, WeightFormat format) {
  const MasterRows all(masters);
  const auto out = static_cast<int64_t>(all.rows.size());
  const auto panels = divide_up(out, kPanelColumns);
  const auto full_bytes = panel_bytes(format, all.in, kPanelColumns);
  const auto total =
      (panels - 1) * full_bytes + panel_bytes(format, all.in, panel_columns(panels - 1, out));
  const auto packed = at::zeros({total}, at::kByte);
  auto* const bytes = static_cast<char*>(packed.data_ptr());
  at::parallel_for(0, panels, /*grain_size=*/1, [&](int64_t panel, int64_t end) {
    for (; panel < end; ++panel) {
      auto* const to = bytes + panel * full_bytes;
      const auto columns = panel_columns(panel, out);
      const auto first = panel * kPanelColumns;
      for (int64_t column = 0; column < std::min(kPanelColumns, out - first); ++column) {
        if (format == WeightFormat::kFp32) {
          auto* const values = reinterpret_cast<float*>(to) + column;
          all.for_values(first + column,
                         [&](int64_t k, float value) { values[k * columns] = value; });
        } else {
          auto* const pairs = reinterpret_cast<c10::BFloat16*>(to) + 2 * column;
          all.for_values(first + column, [&](int64_t k, float value) {
            pairs[k / 2 * 2 * columns + k % 2] = value;
          });
        }
      }
    }
  });
  return packed;
}

}  // namespace loopbank::ops

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

constexpr auto kBf16Bytes = static_cast<int64_t>(sizeof(uint16_t));

/// Where one output goes.
struct PanelColumn {
  char* panel = nullptr;
  int64_t columns = 0;  ///< of the panel
  int64_t column = 0;
};

/// Panels of zeros, into which fill(row, column) writes each output.
template <typename Fill>
at::Tensor panels_of(WeightFormat format, int64_t out, int64_t in, const Fill& fill) {
  const auto panels = divide_up(out, kPanelColumns);
  const auto full_bytes = panel_bytes(format, in, kPanelColumns);
  const auto total =
      (panels - 1) * full_bytes + panel_bytes(format, in, panel_columns(panels - 1, out));
  auto packed = at::zeros({total}, at::kByte);
  auto* const bytes = static_cast<char*>(packed.data_ptr());
  at::parallel_for(0, panels, /*grain_size=*/1, [&](int64_t panel, int64_t end) {
    for (; panel < end; ++panel) {
      const auto first = panel * kPanelColumns;
      PanelColumn to{.panel = bytes + panel * full_bytes, .columns = panel_columns(panel, out)};
      for (; to.column < std::min(kPanelColumns, out - first); ++to.column) {
        fill(first + to.column, to);
      }
    }
  });
  return packed;
}

/// One output's codes and scales, as Quantized has them.
struct CodeRow {
  const uint8_t* codes = nullptr;
  const uint16_t* scales = nullptr;
};

/// The byte of k of a group: words of four k; of four columns the first halves, then the last.
int64_t place_of_8_bits(int64_t k, const PanelColumn& to) {
  const auto quartet = k / 4 * to.columns * 4 + to.column / 4 * 16;
  return quartet + k % 4 / 2 * 8 + to.column % 4 * 2 + k % 2;
}

/// -128, which no quantizer gives, would have no magnitude.
uint8_t coded_in_8_bits(uint8_t code, bool signs) {
  const int value = static_cast<int8_t>(code);
  return signs && value < 0 ? static_cast<uint8_t>(0x80 | std::min(-value, 127)) : code;
}

/// Words of eight k, the even in the lower half; from the code plus 8 to two's complement.
void write_4_bits(unsigned code_plus_8, int64_t k, const PanelColumn& to, uint8_t* codes) {
  const auto half = (k / 8 * to.columns + to.column) * 4 + k % 2 * 2;
  auto& byte = codes[half + k % 8 / 4];
  byte = static_cast<uint8_t>(byte | ((code_plus_8 ^ 8U) << (k % 4 / 2 * 4)));
}

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
  switch (format) {
    case WeightFormat::kFp32:
      return 1;
    case WeightFormat::kBf16:
      return 2;
    default:
      return kCodesPerGroup;
  }
}

int64_t panel_bytes(WeightFormat format, int64_t depth, int64_t columns) {
  const auto steps = divide_up(depth, depth_step(format));
  switch (format) {
    case WeightFormat::kFp32:
      return steps * columns * static_cast<int64_t>(sizeof(float));
    case WeightFormat::kBf16:
      return steps * columns * 2 * kBf16Bytes;
    case WeightFormat::kInt8:
      return steps * columns * (kBf16Bytes + kCodesPerGroup);
    default:
      return steps * columns * (kBf16Bytes + kCodesPerGroup / 2);
  }
}

at::Tensor pack_panels(const std::vector<at::Tensor>& masters, WeightFormat format) {
  const MasterRows all(masters);
  const auto out = static_cast<int64_t>(all.rows.size());
  if (format == WeightFormat::kFp32) {
    return panels_of(format, out, all.in, [&](int64_t row, const PanelColumn& to) {
      auto* const values = reinterpret_cast<float*>(to.panel) + to.column;
      all.for_values(row, [&](int64_t k, float value) { values[k * to.columns] = value; });
    });
  }
  return panels_of(format, out, all.in, [&](int64_t row, const PanelColumn& to) {
    auto* const pairs = reinterpret_cast<c10::BFloat16*>(to.panel) + 2 * to.column;
    all.for_values(row,
                   [&](int64_t k, float value) { pairs[k / 2 * 2 * to.columns + k % 2] = value; });
  });
}

at::Tensor pack_codes(const std::vector<Quantized>& layers) {
  const auto bits = layers.front().bits;
  const auto in = layers.front().in;
  const auto format = bits == 8 ? WeightFormat::kInt8 : WeightFormat::kInt4;
  std::vector<CodeRow> rows;
  for (const auto& layer : layers) {
    const auto* const codes = static_cast<const uint8_t*>(layer.codes.data_ptr());
    const auto* const scales = static_cast<const uint16_t*>(layer.scales.data_ptr());
    for (int64_t row = 0; row < layer.out(); ++row) {
      rows.push_back({codes + row * layer.codes.size(1), scales + row * layer.scales.size(1)});
    }
  }
  const bool signs = panel_kernels().takes_sign_and_magnitude;
  const auto out = static_cast<int64_t>(rows.size());
  return panels_of(format, out, in, [&](int64_t row, const PanelColumn& to) {
    const auto& from = rows[static_cast<size_t>(row)];
    const auto group_bytes = panel_bytes(format, kCodesPerGroup, to.columns);
    for (int64_t first = 0; first < in; first += kCodesPerGroup) {
      auto* const group =
          reinterpret_cast<uint8_t*>(to.panel) + first / kCodesPerGroup * group_bytes;
      reinterpret_cast<uint16_t*>(group)[to.column] = from.scales[first / kCodesPerGroup];
      auto* const codes = group + to.columns * kBf16Bytes;
      for (int64_t k = 0; k < std::min(kCodesPerGroup, in - first); ++k) {
        if (bits == 8) {
          codes[place_of_8_bits(k, to)] = coded_in_8_bits(from.codes[first + k], signs);
        } else {
          const auto byte = from.codes[(first + k) / 2];
          write_4_bits(k % 2 == 0 ? byte & 15U : byte >> 4U, k, to, codes);
        }
      }
    }
  });
}

}  // namespace loopbank::ops

#include "loopbank/ops/cpu/inference_packing.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <c10/core/CPUAllocator.h>
#include <c10/util/BFloat16.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "loopbank/ops/huge_memory.h"
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

/// Zeros on huge pages. Those of the memory pool lie on such too, and some of it may be free, which
/// spares the system's clearing of pages: 0.4 s for 250 MB on a virtual machine.
at::Tensor room_for_panels(int64_t bytes) {
  if (c10::GetCPUAllocator() != c10::GetDefaultCPUAllocator()) {
    return at::zeros({bytes}, at::kByte);
  }
  const auto memory = take_huge_memory(static_cast<size_t>(bytes));
  return at::from_blob(
      memory.get(), {bytes}, [memory](void*) {}, at::kByte);  // kept by the tensor
}

/// Panels of zeros, each filled by fill(its first row, its rows, its columns, its bytes).
template <typename Fill>
at::Tensor panels_of(WeightFormat format, int64_t out, int64_t in, const Fill& fill) {
  const auto panels = divide_up(out, kPanelColumns);
  const auto full_bytes = panel_bytes(format, in, kPanelColumns);
  const auto total =
      (panels - 1) * full_bytes + panel_bytes(format, in, panel_columns(panels - 1, out));
  auto packed = room_for_panels(total);
  auto* const bytes = static_cast<char*>(packed.data_ptr());
  at::parallel_for(0, panels, /*grain_size=*/1, [&](int64_t panel, int64_t end) {
    for (; panel < end; ++panel) {
      const auto first = panel * kPanelColumns;
      fill(first, std::min(kPanelColumns, out - first), panel_columns(panel, out),
           bytes + panel * full_bytes);
    }
  });
  return packed;
}

constexpr auto kWordBytes = static_cast<int64_t>(sizeof(uint32_t));

/// One output's codes and scales, as Quantized has them.
struct CodeRow {
  const uint8_t* codes = nullptr;
  const uint16_t* scales = nullptr;
};

std::vector<CodeRow> rows_of_codes(const std::vector<Quantized>& layers) {
  std::vector<CodeRow> rows;
  for (const auto& layer : layers) {
    const auto* const codes = static_cast<const uint8_t*>(layer.codes.data_ptr());
    const auto* const scales = static_cast<const uint16_t*>(layer.scales.data_ptr());
    for (int64_t row = 0; row < layer.out(); ++row) {
      rows.push_back({codes + row * layer.codes.size(1), scales + row * layer.scales.size(1)});
    }
  }
  return rows;
}

uint32_t scales_of_pair(const uint16_t* scales, int64_t group, int64_t groups) {
  const uint32_t odd = group + 1 < groups ? scales[group + 1] : 0U;
  return scales[group] | odd << 16U;
}

/// Four codes of 4 bits, a byte each.
uint32_t spread(const uint8_t* two_bytes) {
  uint32_t codes = two_bytes[0] | static_cast<uint32_t>(two_bytes[1]) << 8U;
  codes = (codes | codes << 8U) & 0x00FF00FFU;
  return (codes | codes << 4U) & 0x0F0F0F0FU;
}

/// The word of a step and one column as panel_codes.h has it.
/// @param codes  of a pair of groups of that column, whole
/// @param step   0 to 15 in 8 bits, 0 to 7 in 4
uint32_t word_of_codes(const uint8_t* codes, int64_t bits, int64_t step) {
  if (bits == 4) {
    const auto* const even = codes + 2 * step;
    return spread(even) | spread(even + kGroupInputs / 2) << 4U;
  }
  uint32_t word = 0;
  std::memcpy(&word, codes + 4 * step, sizeof(word));
  return word ^ 0x80808080U;
}

/// A panel of codes: `rows` of its columns, those behind them 0.
void pack_code_panel(const CodeRow* from, int64_t rows, int64_t columns, int64_t bits, int64_t in,
                     char* to) {
  const auto groups = divide_up(in, kGroupInputs);
  const auto row_bytes = bits == 8 ? in : divide_up(in, int64_t{2});
  const auto pair_bytes = kPairInputs * bits / 8;
  const auto steps = bits == 8 ? kPairInputs / 4 : kGroupInputs / 4;
  std::array<std::array<uint8_t, kPairInputs>, kPanelColumns> ends{};
  std::array<const uint8_t*, kPanelColumns> codes{};
  for (int64_t pair = 0; pair < divide_up(in, kPairInputs); ++pair) {
    const auto left = std::min(pair_bytes, row_bytes - pair * pair_bytes);
    auto* const scales = reinterpret_cast<uint32_t*>(to);
    for (int64_t c = 0; c < rows; ++c) {
      scales[c] = scales_of_pair(from[c].scales, 2 * pair, groups);
      auto& end = ends.at(static_cast<size_t>(c));
      auto& start = codes.at(static_cast<size_t>(c));
      start = from[c].codes + pair * pair_bytes;
      if (left < pair_bytes) {  // what lies behind the row is not read
        start = std::copy_n(start, left, end.data()) - left;
      }
    }
    to += columns * kWordBytes;
    for (int64_t step = 0; step < steps; ++step, to += columns * kWordBytes) {
      auto* const words = reinterpret_cast<uint32_t*>(to);
      for (int64_t c = 0; c < rows; ++c) {
        words[c] = word_of_codes(codes[static_cast<size_t>(c)], bits, step);
      }
    }
  }
}

PanelKernels kernels_of_this_cpu() {
  honour_simd_limit();
  auto kernels = vector_panel_kernels();
  if (!is_limited_to_avx2()) {
    take_dot_panel_kernels(kernels);
  }
  return kernels;
}

CodeKernels code_kernels_of_this_cpu() {
  honour_simd_limit();
  return code_kernels_of_cpu(is_limited_to_avx2() ? CodeInstructions::kAvx2
                                                  : CodeInstructions::kAvx512Vnni);
}

}  // namespace

const PanelKernels& panel_kernels() {
  static const auto kernels = kernels_of_this_cpu();
  return kernels;
}

const CodeKernels& code_kernels() {
  static const auto kernels = code_kernels_of_this_cpu();
  return kernels;
}

int64_t depth_step(WeightFormat format) {
  switch (format) {
    case WeightFormat::kFp32:
      return 1;
    case WeightFormat::kBf16:
      return 2;
    default:
      return kPairInputs;
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
      return steps * columns * (kWordBytes + kPairInputs);
    default:
      return steps * columns * (kWordBytes + kPairInputs / 2);
  }
}

at::Tensor pack_panels(const std::vector<at::Tensor>& masters, WeightFormat format) {
  const MasterRows all(masters);
  const auto out = static_cast<int64_t>(all.rows.size());
  return panels_of(
      format, out, all.in, [&](int64_t first, int64_t rows, int64_t columns, char* panel) {
        for (int64_t c = 0; c < rows; ++c) {
          if (format == WeightFormat::kFp32) {
            auto* const to = reinterpret_cast<float*>(panel) + c;
            all.for_values(first + c, [&](int64_t k, float value) { to[k * columns] = value; });
          } else {
            auto* const to = reinterpret_cast<c10::BFloat16*>(panel) + 2 * c;
            all.for_values(first + c, [&](int64_t k, float value) {
              to[k / 2 * 2 * columns + k % 2] = value;
            });
          }
        }
      });
}

at::Tensor pack_codes(const std::vector<Quantized>& layers) {
  const auto bits = layers.front().bits;
  const auto in = layers.front().in;
  const auto all = rows_of_codes(layers);
  const auto format = bits == 8 ? WeightFormat::kInt8 : WeightFormat::kInt4;
  return panels_of(format, static_cast<int64_t>(all.size()), in,
                   [&](int64_t first, int64_t rows, int64_t columns, char* panel) {
                     pack_code_panel(all.data() + first, rows, columns, bits, in, panel);
                   });
}

}  // namespace loopbank::ops

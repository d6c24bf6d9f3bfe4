#pragma once
/// Weights in the panels that the kernels of inference read: simd/panel_kernels.h and panel_codes.h.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <vector>

#include "loopbank/ops/inference_weights.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/ops/simd/panel_codes.h"
#include "loopbank/ops/simd/panel_kernels.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {

/// The kernels of this CPU, within what LOOPBANK_SIMD allows.
[[nodiscard]] const PanelKernels& panel_kernels();

/// The same for codes.
[[nodiscard]] const CodeKernels& code_kernels();

/// k that a format stores side by side: depths are multiples of it.
[[nodiscard]] int64_t depth_step(WeightFormat format);

/// Columns of a panel, a multiple of a strip.
[[nodiscard]] inline int64_t panel_columns(int64_t panel, int64_t out) {
  const auto left = out - panel * kPanelColumns;
  return left >= kPanelColumns ? kPanelColumns : round_up(left, kStripColumns);
}

/// Bytes of `depth` k of `columns` columns.
[[nodiscard]] int64_t panel_bytes(WeightFormat format, int64_t depth, int64_t columns);

/// All panels one behind the other, [bytes]; what is missing of a strip or a step is 0.
/// @param format  kFp32 or kBf16
[[nodiscard]] at::Tensor pack_panels(const std::vector<at::Tensor>& masters, WeightFormat format);

/// The same of codes, of layers with the same bits and inputs.
[[nodiscard]] at::Tensor pack_codes(const std::vector<Quantized>& layers);

}  // namespace loopbank::ops

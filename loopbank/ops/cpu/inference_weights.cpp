#include "loopbank/ops/inference_weights.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <cstring>
#include <numeric>

#include "loopbank/ops/check.h"
#include "loopbank/ops/cpu/inference_packing.h"
#include "loopbank/ops/gemm/scratchpad.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/quantization.h"
#include "loopbank/ops/simd/cast_kernels.h"
#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"

namespace loopbank::ops {

/// Some rows with one panel, or one row with several, over some k: where their sums go.
struct InferenceWeights::PanelOfRows {
  int64_t row = 0;
  int64_t rows = 0;
  int64_t columns = 0;
  int64_t panels = 1;
  int64_t first = 0;              ///< k
  int64_t depth = 0;              ///< how many; those before are in the sums
  const char* weights = nullptr;  ///< from k on
  int64_t panel_bytes = 0;
  float* sums = nullptr;  ///< [rows, 64]
  MemoryAhead ahead;
};

namespace {

/// Rows that pass by a panel before the next one: they stay in the second-level cache, and so does
/// the panel.
constexpr int64_t kRowsPerPass = 128;
/// k at a time with several rows; of a panel in bf16 that is 64 KB.
constexpr int64_t kDepthAtATime = 512;
/// The same of codes, of which a panel's stay in the first-level cache.
constexpr int64_t kCodeDepthAtATime = 256;
/// Panels of one row's pass, whose sums go to y together.
constexpr int64_t kPanelsPerRow = 32;
/// Waking a thread costs what so many bytes of weights take, or so many multiply-adds of one row.
constexpr int64_t kBytesPerThread = int64_t{128} << 10U;
/// The same of values that are only copied.
constexpr int64_t kCopiedPerThread = 32768;
/// The same of values that are rounded to 16 bits.
constexpr int64_t kCodedPerThread = 8192;

bool is_bf16(const Matrix& x) {
  return x.dtype == at::kBFloat16;
}

const void* at_k(const Matrix& x, int64_t row, int64_t k) {
  return static_cast<const char*>(x.data) +
         (row * x.row_stride + k) * static_cast<int64_t>(is_bf16(x) ? 2 : 4);
}

void expect_rows_of(std::string_view name, const Matrix& x, int64_t columns, int64_t rows) {
  if (x.columns != columns || x.rows != rows) {
    fail(ErrorCode::kShape, "inference weights: expected {} [{}, {}], got [{}, {}].", name, rows,
         columns, x.rows, x.columns);
  }
  if (x.dtype != at::kFloat && x.dtype != at::kBFloat16) {
    fail(ErrorCode::kDtype, "inference weights: expected {} in Float or BFloat16, got {}.", name,
         c10::toString(x.dtype));
  }
  if (x.columns > 1 && x.column_stride != 1) {
    fail(ErrorCode::kShape,
         "inference weights: expected {} with rows in one piece, got values {} "
         "apart.",
         name, x.column_stride);
  }
}

/// A row as a kernel reads it: in `to`'s dtype, rounded to bf16 on the way where `rounds`.
void prepare_row(ConstValues from, Values to, bool rounds, size_t count) {
  if (!rounds || from.is_bf16 || to.is_bf16) {
    cast_values(from, to, 0, count);
    return;
  }
  constexpr size_t kChunk = 512;
  uint16_t rounded[kChunk];
  const auto* const values = static_cast<const float*>(from.data);
  auto* const widened = static_cast<float*>(to.data);
  for (size_t first = 0; first < count; first += kChunk) {
    const auto some = std::min(kChunk, count - first);
    cast_values({values + first, false}, {rounded, true}, 0, some);
    cast_values({rounded, true}, {widened + first, false}, 0, some);
  }
}

/// Rows of x in `dtype`, `width` values each, those behind x's 0; in memory of the calling thread.
Matrix prepared_rows(const Matrix& x, at::ScalarType dtype, bool rounds, int64_t width) {
  thread_local Scratchpad scratchpad;
  const bool to_bf16 = dtype == at::kBFloat16;
  const auto value_bytes = static_cast<int64_t>(to_bf16 ? 2 : 4);
  auto* const data =
      static_cast<char*>(scratchpad.of_size(static_cast<size_t>(x.rows * width * value_bytes)));
  const auto grain = divide_up(kCopiedPerThread, width);
  at::parallel_for(0, x.rows, grain, [&](int64_t row, int64_t last) {
    for (; row < last; ++row) {
      auto* const to = data + row * width * value_bytes;
      prepare_row({at_k(x, row, 0), is_bf16(x)}, {to, to_bf16}, rounds,
                  static_cast<size_t>(x.columns));
      std::memset(to + x.columns * value_bytes, 0,
                  static_cast<size_t>((width - x.columns) * value_bytes));
    }
  });
  return {data, dtype, x.rows, width, width};
}

/// Rows as the kernels of codes read them: in memory of the calling thread, coded_row_bytes each.
struct CodedRows {
  const char* data = nullptr;
  int64_t bytes = 0;  ///< from a row to the next
  int64_t width = 0;
};

CodedRows coded_rows(const Matrix& x, int64_t bits) {
  thread_local Scratchpad scratchpad;
  const auto width = round_up(x.columns, kPairInputs);
  const auto bytes = round_up(coded_row_bytes(width), int64_t{64});
  auto* const data = static_cast<char*>(scratchpad.of_size(static_cast<size_t>(x.rows * bytes)));
  const auto digits = code_kernels().digits;
  at::parallel_for(0, x.rows, divide_up(kCodedPerThread, width), [&](int64_t row, int64_t last) {
    for (; row < last; ++row) {
      code_row({at_k(x, row, 0), is_bf16(x)}, x.columns, digits, bits, width, data + row * bytes);
    }
  });
  return {data, bytes, width};
}

/// The kernel for weights in fp32 or bf16 and rows of fp32 or, with dots, of bf16.
MultiplyPanel kernel_of(WeightFormat format, bool dots) {
  const auto& kernels = panel_kernels();
  return format == WeightFormat::kFp32 ? kernels.fp32 : dots ? kernels.bf16_dots : kernels.bf16;
}

std::vector<Quantized> quantized(const std::vector<at::Tensor>& masters, int64_t bits) {
  std::vector<Quantized> layers;
  for (const auto& master : masters) {
    layers.push_back(quantize(master.to(at::kFloat), bits));
  }
  return layers;
}

}  // namespace

void InferenceWeights::take_outputs(const std::vector<int64_t>& outs, int64_t in) {
  outs_ = outs;
  out_ = std::accumulate(outs.begin(), outs.end(), int64_t{0});
  in_ = in;
  if (in_ == 0 || out_ == 0) {
    fail(ErrorCode::kShape, "inference weights: expected inputs and outputs, got {}.",
         format_shape({out_, in_}));
  }
}

InferenceWeights::InferenceWeights(const std::vector<at::Tensor>& masters, WeightFormat format)
    : format_(format) {
  if (masters.empty()) {
    fail(ErrorCode::kShape, "inference weights: expected at least one weight, got none.");
  }
  std::vector<at::Tensor> rows;
  std::vector<int64_t> outs;
  for (const auto& master : masters) {
    expect_rows("inference weights", "weight", master);
    expect_dimensions("inference weights", "weight", master, 2);
    expect_shape("inference weights", "weight", master, {master.size(0), masters.front().size(1)});
    if (!master.is_cpu()) {
      fail(ErrorCode::kDevice, "inference weights: expected weights on the CPU, got {}.",
           master.device().str());
    }
    if (master.scalar_type() != at::kFloat && master.scalar_type() != at::kBFloat16) {
      fail(ErrorCode::kDtype, "inference weights: expected weights in Float or BFloat16, got {}.",
           c10::toString(master.scalar_type()));
    }
    rows.push_back(dense(master));
    outs.push_back(master.size(0));
  }
  take_outputs(outs, masters.front().size(1));
  const auto bits = code_bits(format);
  packed_ = bits > 0 ? pack_codes(quantized(rows, bits)) : pack_panels(rows, format);
}

InferenceWeights::InferenceWeights(const std::vector<Quantized>& layers)
    : format_(!layers.empty() && layers.front().bits == 4 ? WeightFormat::kInt4
                                                          : WeightFormat::kInt8) {
  if (layers.empty()) {
    fail(ErrorCode::kShape, "inference weights: expected at least one weight, got none.");
  }
  std::vector<Quantized> rows;
  std::vector<int64_t> outs;
  for (const auto& layer : layers) {
    expect_quantized("inference weights", layer);
    if (layer.bits != layers.front().bits) {
      fail(ErrorCode::kConfig, "inference weights: expected codes of {} bits, got {}.",
           layers.front().bits, layer.bits);
    }
    if (layer.in != layers.front().in) {
      fail(ErrorCode::kShape, "inference weights: expected codes of {} inputs, got {}.",
           layers.front().in, layer.in);
    }
    rows.push_back({layer.codes.contiguous(), layer.scales.contiguous(), layer.bits, layer.in});
    outs.push_back(layer.out());
  }
  take_outputs(outs, layers.front().in);
  packed_ = pack_codes(rows);
}

at::Tensor InferenceWeights::multiply(const at::Tensor& x) const {
  if (!x.defined() || x.dim() < 1 || x.size(-1) != in_) {
    fail(ErrorCode::kShape, "inference weights: expected x [..., {}] for weights {}, got {}.", in_,
         format_shape({out_, in_}), x.defined() ? format_shape(x.sizes()) : "none");
  }
  if (!x.is_cpu()) {
    fail(ErrorCode::kDevice, "inference weights: expected x on the CPU, got {}.", x.device().str());
  }
  const auto rows = dense(x);
  auto shape = x.sizes().vec();
  shape.back() = out_;
  auto y = at::empty(shape, rows.options());  // [..., out]
  multiply(as_matrix(rows), as_matrix(y));
  return y;
}

void InferenceWeights::multiply(const Matrix& x, const Matrix& y, const ReadAhead& ahead) const {
  expect_rows_of("x", x, in_, x.rows);
  expect_rows_of("y", y, out_, x.rows);
  if (x.rows == 0) {
    return;
  }
  if (code_bits(format_) > 0) {
    multiply_codes(x, y, ahead);
    return;
  }
  // bf16 by dot products where the CPU has them, else by fp32 of the same values.
  const auto width = round_up(in_, depth_step(format_));
  const bool rounds = format_ == WeightFormat::kBf16;
  const bool dots = rounds && panel_kernels().bf16_dots != nullptr;
  const auto wanted = dots ? at::kBFloat16 : at::kFloat;
  const bool is_ready = x.dtype == wanted && width == in_ && (dots || !rounds);
  multiply_values(is_ready ? x : prepared_rows(x, wanted, rounds, width), y, ahead);
}

MemoryAhead InferenceWeights::memory_of(const ReadAhead& ahead) {
  if (ahead.weights == nullptr) {
    return {};
  }
  const auto& packed = ahead.weights->packed_;
  const auto* const begin = static_cast<const char*>(packed.data_ptr());
  const auto at = [&](double share) {
    return begin + static_cast<int64_t>(static_cast<double>(packed.numel()) * share);
  };
  return {at(ahead.from), at(ahead.to)};
}

template <typename Visit>
void InferenceWeights::for_panels(const Matrix& y, int64_t width, int64_t depth_at_a_time,
                                  const ReadAhead& ahead, const Visit& multiply_panel) const {
  const auto panels = divide_up(out_, kPanelColumns);
  const auto full_bytes = panel_bytes(format_, in_, kPanelColumns);
  const auto* const packed = static_cast<const char*>(packed_.data_ptr());
  // Few rows: panels among the threads. Many: rows as well, neighbours in one thread.
  const auto work_of_one = full_bytes * std::min(y.rows, kRowsPerPass);
  const auto grain = std::max<int64_t>(1, kBytesPerThread / work_of_one);
  const auto passes = divide_up(y.rows, kRowsPerPass);
  const auto whole = y.rows == 1 ? memory_of(ahead) : MemoryAhead{};
  const auto full_panels = out_ / kPanelColumns;
  at::parallel_for(0, passes * panels, grain, [&](int64_t index, int64_t last) {
    alignas(64) thread_local float sums[kRowsPerPass * kPanelColumns];
    while (index < last) {
      const auto row = index / panels * kRowsPerPass;
      const auto rows = std::min(kRowsPerPass, y.rows - row);
      const auto panel = index % panels;
      const auto full = std::min(last, full_panels) - index;  // of one row
      const auto run = y.rows == 1 ? std::clamp<int64_t>(full, 1, kPanelsPerRow) : 1;
      const auto some = MemoryAhead{part_of(whole, panel, panels).begin,
                                    part_of(whole, panel + run - 1, panels).end};
      const auto columns = panel_columns(panel, out_);
      const auto depth = rows == 1 ? width : depth_at_a_time;
      for (int64_t k = 0; k < width; k += depth) {
        multiply_panel(
            PanelOfRows{.row = row,
                        .rows = rows,
                        .columns = columns,
                        .panels = run,
                        .first = k,
                        .depth = std::min(depth, width - k),
                        .weights = packed + panel * full_bytes + panel_bytes(format_, k, columns),
                        .panel_bytes = panel_bytes(format_, in_, columns),
                        .sums = sums,
                        .ahead = some});
      }
      const auto first = panel * kPanelColumns;
      const auto there = std::min(run * kPanelColumns, out_ - first);
      store_panel({.sums = sums,
                   .rows = rows,
                   .columns = there,
                   .y = {y.row_range(row, rows).column_range(first, there).data, is_bf16(y)},
                   .y_stride = y.row_stride});
      index += run;
    }
  });
}

void InferenceWeights::multiply_values(const Matrix& x, const Matrix& y,
                                       const ReadAhead& ahead) const {
  const auto kernel = kernel_of(format_, is_bf16(x));
  for_panels(y, x.columns, kDepthAtATime, ahead, [&](const PanelOfRows& of) {
    kernel({.x = at_k(x, of.row, of.first),
            .x_stride = x.row_stride,
            .weights = of.weights,
            .columns = of.columns,
            .panels = of.panels,
            .panel_bytes = of.panel_bytes,
            .sums = of.sums,
            .rows = of.rows,
            .depth = of.depth,
            .add = of.first > 0,
            .ahead = of.ahead});
  });
}

void InferenceWeights::multiply_codes(const Matrix& x, const Matrix& y,
                                      const ReadAhead& ahead) const {
  const auto rows = coded_rows(x, code_bits(format_));
  const auto kernel = format_ == WeightFormat::kInt8 ? code_kernels().int8 : code_kernels().int4;
  for_panels(y, rows.width, kCodeDepthAtATime, ahead, [&](const PanelOfRows& of) {
    kernel({.x = rows.data + of.row * rows.bytes,
            .x_bytes = rows.bytes,
            .width = rows.width,
            .first = of.first,
            .weights = of.weights,
            .columns = of.columns,
            .panels = of.panels,
            .panel_bytes = of.panel_bytes,
            .sums = of.sums,
            .rows = of.rows,
            .depth = of.depth,
            .add = of.first > 0,
            .ahead = of.ahead});
  });
}

}  // namespace loopbank::ops

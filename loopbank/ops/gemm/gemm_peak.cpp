#include "loopbank/ops/gemm/gemm_peak.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/randn.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

#ifdef LOOPBANK_HAS_ONEDNN
#include "loopbank/ops/gemm/onednn.h"
#endif

namespace loopbank::ops {
namespace {

/// [M, K] times [K, N].
struct Shape {
  int64_t M, K, N;
  [[nodiscard]] double flops() const {
    return 2.0 * static_cast<double>(M) * static_cast<double>(K) * static_cast<double>(N);
  }
};

// Rows as a batch of a training step has tokens; smaller products run faster from the cache alone.
constexpr Shape kCpuShapes[] = {
    {1024, 1024, 1024}, {2048, 768, 2048}, {4096, 1024, 1024}, {2048, 2048, 2048}};
constexpr Shape kGpuShapes[] = {{8192, 8192, 8192}, {16384, 4096, 8192}};
constexpr double kSecondsPerShape = 0.1;
constexpr int kGpuProductsPerSync = 4;  // waiting for the result costs as much as a small product

/// Best FLOP/s of `multiply`, a call of `flops` FLOPs that returns when its result is there.
template <typename Multiply>
double best_rate(double flops, const Multiply& multiply) {
  multiply();  // first touch of the memory, code generation
  double best_seconds = 1e30;
  const Stopwatch all;
  do {
    const Stopwatch one;
    multiply();
    best_seconds = std::min(best_seconds, one.seconds());
  } while (all.seconds() < kSecondsPerShape);
  return flops / best_seconds;
}

double aten_peak(at::ScalarType dtype, at::Device device, const Shape& shape) {
  const auto options = at::TensorOptions().dtype(dtype).device(device);
  const auto a = at::randn({shape.M, shape.K}, options);
  const auto b = at::randn({shape.K, shape.N}, options);
  auto c = at::empty({shape.M, shape.N}, options);
  const int products = device.is_cuda() ? kGpuProductsPerSync : 1;
  return best_rate(products * shape.flops(), [&] {
    for (int i = 0; i < products; ++i) {
      at::mm_out(c, a, b);
    }
    (void)c.view(-1)[0].item();  // a GPU's queue is empty once a value has been read
  });
}

#ifdef LOOPBANK_HAS_ONEDNN

dnnl::matmul::primitive_desc describe_plain_product(const dnnl::memory::desc& a,
                                                    const dnnl::memory::desc& b,
                                                    const dnnl::memory::desc& c,
                                                    const dnnl::engine& engine) {
#if DNNL_VERSION_MAJOR >= 3
  return {engine, a, b, c};
#else
  return {dnnl::matmul::desc(a, b, c), engine};
#endif
}

/// FLOP/s of one shape; empty where oneDNN has no kernel of this dtype for this CPU.
std::optional<double> onednn_peak(at::ScalarType dtype, const Shape& shape) {
  using dnnl::memory;
  const auto type = dtype == at::kFloat ? memory::data_type::f32 : memory::data_type::bf16;
  const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  dnnl::stream stream(engine);
  // Random values come from ATen: a product of zeros or of subnormals may run at another speed.
  const auto a = at::randn({shape.M, shape.K}).to(dtype);
  const auto b = at::randn({shape.K, shape.N}).to(dtype);
  auto c = at::empty({shape.M, shape.N}, at::TensorOptions().dtype(dtype));
  const auto rows = memory::format_tag::ab;
  const memory::desc a_desc(memory::dims{shape.M, shape.K}, type, rows);
  const memory::desc b_desc(memory::dims{shape.K, shape.N}, type, rows);
  const memory::desc b_any(memory::dims{shape.K, shape.N}, type, memory::format_tag::any);
  const memory::desc c_desc(memory::dims{shape.M, shape.N}, type, rows);
  try {
    const auto product = describe_plain_product(a_desc, b_any, c_desc, engine);
    memory b_rows(b_desc, engine, b.data_ptr());
    memory weights(product.weights_desc(), engine);
    dnnl::reorder(b_rows, weights).execute(stream, b_rows, weights);
    memory source(a_desc, engine, a.data_ptr());
    memory destination(c_desc, engine, c.data_ptr());
    const dnnl::matmul matmul(product);
    return best_rate(shape.flops(), [&] {
      matmul.execute(
          stream,
          {{DNNL_ARG_SRC, source}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DST, destination}});
      stream.wait();
    });
  } catch (const dnnl::error& error) {
    if (error.status != dnnl_unimplemented) {
      throw;
    }
    return std::nullopt;  // bf16 before AVX-512
  }
}

#endif

double cpu_peak(at::ScalarType dtype, const Shape& shape) {
#ifdef LOOPBANK_HAS_ONEDNN
  const auto rate = onednn_peak(dtype, shape);
  return rate ? *rate : onednn_peak(at::kFloat, shape).value();
#else
  return aten_peak(dtype, at::kCPU, shape);
#endif
}

}  // namespace

double measure_gemm_peak(at::ScalarType dtype, at::Device device) {
  if (dtype != at::kFloat && dtype != at::kBFloat16) {
    fail(ErrorCode::kDtype, "measure_gemm_peak: expected Float or BFloat16, got {}.",
         c10::toString(dtype));
  }
  const at::NoGradGuard no_grad;
  // LibTorch settles its thread count at the first question; oneDNN reads it from OpenMP after.
  (void)at::get_num_threads();
  double best = 0.0;
  if (device.is_cpu()) {
    for (const auto& shape : kCpuShapes) {
      best = std::max(best, cpu_peak(dtype, shape));
    }
  } else {
    for (const auto& shape : kGpuShapes) {
      best = std::max(best, aten_peak(dtype, device, shape));
    }
  }
  return best;
}

}  // namespace loopbank::ops

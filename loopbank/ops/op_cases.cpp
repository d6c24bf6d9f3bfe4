#include "loopbank/ops/op_cases.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/TensorOperators.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/full.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/softmax.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "loopbank/ops/check.h"
#include "loopbank/ops/elementwise.h"
#include "loopbank/ops/feed_forward.h"
#include "loopbank/ops/gated_sum.h"
#include "loopbank/ops/halting.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/ops/linear.h"
#include "loopbank/ops/linear_cross_entropy.h"
#include "loopbank/ops/memory_read.h"
#include "loopbank/ops/norm.h"
#include "loopbank/ops/norm_linear.h"
#include "loopbank/ops/self_attention.h"

namespace loopbank::ops {
namespace {

constexpr uint64_t kSeed = 20260308;
constexpr double kEps = 1e-5;
constexpr double kRotaryBase = 500000.0;
constexpr int64_t kIgnore = -100;

double bytes_of(const at::Tensor& x) {
  return static_cast<double>(x.numel()) * static_cast<double>(x.element_size());
}

double product(std::initializer_list<int64_t> factors) {
  double result = 1.0;
  for (const auto factor : factors) {
    result *= static_cast<double>(factor);
  }
  return result;
}

class Cases {
 public:
  Cases(const OpSizes& sizes, at::ScalarType dtype, at::Device device)
      : s_(sizes),
        dtype_(dtype),
        device_(device),
        generator_(at::detail::createCPUGenerator(kSeed)) {}

  std::vector<OpCase> all() {
    norms();
    elementwise();
    memory();
    halting();
    products();
    return std::move(cases_);
  }

 private:
  at::Tensor normal(at::IntArrayRef shape, at::ScalarType dtype) {
    return at::randn(shape, generator_, at::kFloat).to(dtype);
  }
  /// Standard normal weights of a linear layer that keeps the scale of its input.
  at::Tensor weight(int64_t out, int64_t in) {
    return normal({out, in}, at::kFloat) / std::sqrt(static_cast<double>(in));
  }
  at::Tensor state() { return normal({s_.B, s_.T, s_.D}, at::kFloat); }
  at::Tensor low(int64_t width) { return normal({s_.B, s_.T, width}, dtype_); }

  /// @param flops  of the forward pass; the backward pass takes twice as many
  void add(const std::string& name, std::vector<at::Tensor> inputs, OpFunction run,
           const at::Tensor& like_result, double flops = 0.0) {
    double bytes = 0.0;
    for (const auto& input : inputs) {
      bytes += bytes_of(input);
    }
    const double result = bytes_of(like_result);
    for (auto& input : inputs) {
      input = input.to(device_);
    }
    cases_.push_back({.name = fmt::format("{} {} {}", name, format_shape(inputs.front().sizes()),
                                          dtype_ == at::kFloat ? "fp32" : "bf16"),
                      .inputs = std::move(inputs),
                      .run = std::move(run),
                      .forward_flops = flops,
                      .backward_flops = 2 * flops,
                      .forward_bytes = bytes + result,
                      .backward_bytes = 2 * bytes + result});
  }

  void norms() {
    const auto dtype = dtype_;
    add(
        "rms_norm", {state(), normal({s_.D}, at::kFloat)},
        [dtype](const auto& in) { return rms_norm(in[0], in[1], kEps, dtype); }, low(s_.D));
    add(
        "layer_norm", {state(), normal({s_.D}, at::kFloat), normal({s_.D}, at::kFloat)},
        [dtype](const auto& in) { return layer_norm(in[0], in[1], in[2], kEps, dtype); },
        low(s_.D));
  }

  void elementwise() {
    add(
        "swiglu", {low(2 * s_.F)}, [](const auto& in) { return swiglu(in[0]); }, low(s_.F));
    add(
        "scaled_residual", {state(), low(s_.D), at::full({}, 0.3, at::kFloat)},
        [](const auto& in) { return scaled_residual(in[0], in[1], in[2]); }, state());
  }

  void memory() {
    const auto bias = [&] { return normal({s_.D}, at::kFloat); };
    add(
        "gated_sum", {state(), low(2 * s_.D), bias(), bias(), low(s_.D), low(s_.D)},
        [](const auto& in) {
          return gated_sum(in[0], in[1], {in[2], in[3]}, {in[4], in[5]});
        },
        state());
    add(
        "memory_read", {low(s_.D), normal({s_.M, s_.D}, dtype_), normal({s_.M, s_.D}, dtype_)},
        [](const auto& in) { return memory_read(in[0], in[1], in[2]); }, low(s_.D),
        4.0 * product({s_.B, s_.T, s_.M, s_.D}));
  }

  void halting() {
    std::vector<at::Tensor> inputs;
    for (int64_t t = 0; t < s_.N; ++t) {
      inputs.push_back(state());
    }
    inputs.push_back(at::softmax(normal({s_.N, s_.B, s_.T}, at::kFloat), 0));
    add(
        "mix_by_halting", inputs,
        [](const auto& in) {
          return mix_by_halting({in.begin(), in.end() - 1}, in.back()).state;
        },
        state());
    add(
        "router_logits", {state(), weight(1, s_.D + 1), normal({1}, at::kFloat)},
        [](const auto& in) { return router_logits(in[0], in[1], in[2], 0.5); },
        normal({s_.B, s_.T}, at::kFloat));
  }

  void products() {
    const auto dtype = dtype_;
    const int64_t rows = s_.B * s_.T;
    add(
        "linear", {low(s_.D), weight(s_.F, s_.D), weight(s_.F, s_.D)},
        [dtype](const auto& in) {
          return linear(
              in[0], std::make_shared<LinearWeights>(std::vector<at::Tensor>{in[1], in[2]}, dtype));
        },
        low(2 * s_.F), 2.0 * product({rows, s_.D, 2 * s_.F}));
    branches();
    attention();
    auto targets = at::empty({rows}, at::kLong);
    targets.random_(0, s_.V, generator_);
    add(
        "linear_cross_entropy", {normal({rows, s_.D}, dtype_), weight(s_.V, s_.D), targets},
        [](const auto& in) { return linear_cross_entropy(in[0], in[1], in[2], kIgnore); },
        at::empty({}, at::kFloat), 2.0 * product({rows, s_.D, s_.V}));
    attention_of_imported();
  }

  void branches() {
    const auto dtype = dtype_;
    const auto prepare = [dtype](const std::vector<at::Tensor>& masters) {
      return std::make_shared<LinearWeights>(masters, dtype);
    };
    add(
        "norm_linear", {state(), normal({s_.D}, at::kFloat), weight(3 * s_.D, s_.D)},
        [prepare](const auto& in) { return norm_linear(in[0], in[1], kEps, prepare({in[2]})).y; },
        low(3 * s_.D), 2.0 * product({s_.B, s_.T, s_.D, 3 * s_.D}));
    add(
        "feed_forward",
        {state(), normal({s_.D}, at::kFloat), weight(s_.F, s_.D), weight(s_.F, s_.D),
         weight(s_.D, s_.F), at::full({}, 0.3, at::kFloat)},
        [prepare](const auto& in) {
          return feed_forward(in[0],
                              {.norm = in[1],
                               .eps = kEps,
                               .gate_up = prepare({in[2], in[3]}),
                               .down = prepare({in[4]})},
                              in[5]);
        },
        state(), 2.0 * product({s_.B, s_.T, 3, s_.D, s_.F}));
  }

  void attention() {
    const int64_t head = s_.head_size();
    const auto angles = rotary_table(0, s_.T, head, kRotaryBase, device_);
    const AttentionHeads heads{.query = s_.H, .key = s_.H_kv};
    add(
        "self_attention",
        {low((s_.H + 2 * s_.H_kv) * head), normal({head}, at::kFloat), normal({head}, at::kFloat)},
        [angles, heads](const auto& in) {
          return self_attention(in[0], heads, angles,
                                {.query_weight = in[1], .key_weight = in[2], .eps = kEps});
        },
        low(s_.H * head), 2.0 * product({s_.B, s_.H, s_.T, s_.T + 1, head}));
  }

  /// What imported models have in attention.
  void attention_of_imported() {
    const int64_t head = s_.head_size();
    const int64_t columns = (s_.H + 2 * s_.H_kv) * head;
    const double flops = 2.0 * product({s_.B, s_.H, s_.T, s_.T + 1, head});
    const auto angles = rotary_table(0, s_.T, head, kRotaryBase, device_);
    const AttentionHeads heads{.query = s_.H, .key = s_.H_kv};
    add(
        "self_attention_norm_before",
        {low(columns), normal({head}, at::kFloat), normal({head}, at::kFloat)},
        [angles, heads](const auto& in) {
          return self_attention(in[0], heads, angles, {in[1], in[2], kEps, NormPlace::kBefore});
        },
        low(s_.H * head), flops);
    add(
        "self_attention_no_norm", {low(columns)},
        [angles, heads](const auto& in) {
          return self_attention(in[0], heads, angles, {{}, {}, 0.0, NormPlace::kNone});
        },
        low(s_.H * head), flops);
    add(
        "add_biases",
        {low(columns), normal({s_.H * head}, at::kFloat), normal({2 * s_.H_kv * head}, at::kFloat)},
        [](const auto& in) {
          return add_biases(in[0], {in[1], in[2]});
        },
        low(columns));
  }

  OpSizes s_;
  at::ScalarType dtype_;
  at::Device device_;
  at::Generator generator_;
  std::vector<OpCase> cases_;
};

}  // namespace

std::vector<OpCase> op_cases(const OpSizes& sizes, at::ScalarType dtype, at::Device device) {
  return Cases(sizes, dtype, device).all();
}

std::vector<at::Tensor> result_and_gradients(const OpCase& op) {
  std::vector<at::Tensor> leaves;
  for (const auto& input : op.inputs) {
    auto leaf = input.detach().clone();
    leaves.push_back(leaf.is_floating_point() ? leaf.requires_grad_(true) : leaf);
  }
  const auto result = op.run(leaves);
  auto generator = at::detail::createCPUGenerator(kSeed);
  result.backward(
      at::randn(result.sizes(), generator, at::kFloat).to(result.device(), result.scalar_type()));
  std::vector<at::Tensor> all = {result.detach()};
  for (const auto& leaf : leaves) {
    if (leaf.requires_grad()) {
      all.push_back(leaf.grad());
    }
  }
  return all;
}

double largest_difference(const OpCase& op) {
  std::vector<at::Tensor> reference;
  {
    const KernelsScope scope(Kernels::kReference);
    reference = result_and_gradients(op);
  }
  const KernelsScope scope(Kernels::kFused);
  const auto fused = result_and_gradients(op);
  double worst = 0.0;
  for (size_t i = 0; i < reference.size(); ++i) {
    const auto expected = reference[i].to(at::kFloat);
    const double scale = expected.abs().max().item<double>();
    const double off = (fused[i].to(at::kFloat) - expected).abs().max().item<double>();
    worst = std::max(worst, scale > 0.0 ? off / scale : off);
  }
  return worst;
}

double allowed_difference(at::ScalarType dtype) {
  return dtype == at::kFloat ? 2e-5 : 3e-2;
}

}  // namespace loopbank::ops

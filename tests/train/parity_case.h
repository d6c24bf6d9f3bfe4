#pragma once
/// What the PyTorch twin (reference/) computed for one config, and the same from our model.

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <string>

#include "loopbank/model/language_model.h"

namespace loopbank::testing {

/// A file of reference/make_case.py.
struct ParityCase {
  std::string name;
  ModelConfig config;
  int64_t max_loops = 0;  ///< loop budget of the outputs and gradients; training has none
  int64_t steps = 0;
  double learning_rate = 0.0;
  double weight_decay = 0.0;
  double clip_norm = 0.0;
  double ponder_warmup_fraction = 0.0;  ///< of `steps`
  std::map<std::string, at::Tensor> tensors;

  /// Names of the parameters, each with its values at the start.
  [[nodiscard]] std::map<std::string, at::Tensor> with_prefix(const std::string& prefix) const;
};

[[nodiscard]] ParityCase read_parity_case(const std::filesystem::path& path);

/// A system's name as a test may have it: `mem_g3`.
[[nodiscard]] std::string parity_test_name(const ::testing::TestParamInfo<const char*>& info);

/// The largest differences that pass between ours and the twin's, each as a share of the twin's
/// largest value in the same tensor: max |a - b| / max |b|.
struct ParityTolerance {
  double logits = 0.0;  ///< also of expected loops
  double loss = 0.0;
  double gradients = 0.0;
  double losses = 0.0;  ///< before each optimizer step
  /// Weights after the optimizer steps: |a - b| / |b - start|, a share of the way they went.
  double trained = 0.0;
  double zero_gradient = 0.0;  ///< largest rounding where the gradient is zero by its equation
};

/// fp32 differs by the order of sums alone.
inline constexpr ParityTolerance kFp32Tolerance{.logits = 1e-5,
                                                .loss = 1e-5,
                                                .gradients = 1e-4,
                                                .losses = 1e-5,
                                                .trained = 2e-3,
                                                .zero_gradient = 1e-6};

/// In bf16 both round every product to 8 bits, but not the same sums in the same order: a hidden
/// state or a gradient that passed through several such roundings differs by a few times 2^-8.
inline constexpr ParityTolerance kBf16Tolerance{.logits = 3e-2,
                                                .loss = 1e-2,
                                                .gradients = 8e-2,
                                                .losses = 6e-2,
                                                .trained = 5e-1,
                                                .zero_gradient = 1e-2};

/// Logits, loss, ponder term, expected loops and every gradient.
void expect_same_outputs(const ParityCase& twin, at::ScalarType dtype,
                         const ParityTolerance& tolerance, at::Device device = at::kCPU);

/// The loss before each optimizer step, and every weight after the last.
void expect_same_training(const ParityCase& twin, at::ScalarType dtype,
                          const ParityTolerance& tolerance, at::Device device = at::kCPU);

}  // namespace loopbank::testing

#include "loopbank/train/optimizer.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/allclose.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/sparse_coo_tensor.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <regex>
#include <string>
#include <tuple>

#include "loopbank/model/language_model.h"
#include "loopbank/support/error.h"
#include "loopbank/train/run_config.h"

namespace loopbank {
namespace {

constexpr OptimizerConfig kConfig = {
    .beta1 = 0.9, .beta2 = 0.95, .eps = 1e-8, .weight_decay = 0.1, .clip_norm = 1.0};
constexpr double kRate = 0.1;

const Initial kZeros{};

void set(const Parameters& parameters, const std::string& name, double value, double gradient) {
  const at::NoGradGuard no_grad;
  auto tensor = parameters.get(name).value;
  tensor.fill_(value);
  tensor.mutable_grad() = at::full_like(tensor, gradient);
}

double first_value(const Parameters& parameters, const std::string& name) {
  return parameters.get(name).value.detach().view(-1)[0].item<double>();
}

// g = 0.5, then -0.25, from p = 1: m / (1 - 0.9) = sqrt(v / (1 - 0.95)) = 0.5 at the first step.
TEST(AdamW, TwoStepsOfOneWeightAreAsByHand) {
  Parameters parameters(at::kCPU);
  parameters.add("w", {1, 1}, ParameterKind::kLinear, kZeros);
  AdamW optimizer(parameters, kConfig);
  set(parameters, "w", 1.0, 0.5);
  optimizer.step(kRate);
  EXPECT_NEAR(first_value(parameters, "w"), 1.0 * 0.99 - 0.1, 1e-6);

  set(parameters, "w", 0.89, -0.25);
  optimizer.step(kRate);
  const double mean = (0.9 * 0.05 - 0.1 * 0.25) / (1 - 0.81);
  const double square = (0.95 * 0.0125 + 0.05 * 0.0625) / (1 - 0.9025);
  EXPECT_NEAR(first_value(parameters, "w"), 0.89 * 0.99 - 0.1 * mean / std::sqrt(square), 1e-6);
  EXPECT_EQ(optimizer.steps(), 2);
}

// With v = 0 the step is r m / eps: eps stands outside the root.
TEST(AdamW, EpsStandsOutsideTheRoot) {
  Parameters parameters(at::kCPU);
  parameters.add("w", {1}, ParameterKind::kNorm, kZeros);
  auto config = kConfig;
  config.eps = 0.5;
  AdamW optimizer(parameters, config);
  set(parameters, "w", 0.0, 0.5);
  optimizer.step(kRate);
  EXPECT_NEAR(first_value(parameters, "w"), -kRate * 0.5 / (0.5 + 0.5), 1e-7);
}

TEST(AdamW, OnlyLinearWeightsDecay) {
  Parameters parameters(at::kCPU);
  const std::vector<std::pair<std::string, ParameterKind>> kinds = {
      {"linear", ParameterKind::kLinear},   {"embedding", ParameterKind::kEmbedding},
      {"norm", ParameterKind::kNorm},       {"bias", ParameterKind::kBias},
      {"scale", ParameterKind::kLoopScale}, {"memory", ParameterKind::kMemory}};
  for (const auto& [name, kind] : kinds) {
    parameters.add(name, {2, 2}, kind, kZeros);
  }
  AdamW optimizer(parameters, kConfig);
  for (const auto& [name, kind] : kinds) {
    set(parameters, name, 1.0, 0.0);
  }
  optimizer.step(kRate);
  for (const auto& [name, kind] : kinds) {
    EXPECT_FLOAT_EQ(static_cast<float>(first_value(parameters, name)),
                    kind == ParameterKind::kLinear ? 0.99F : 1.0F)
        << name;
  }
}

TEST(AdamW, LoopScalesAndMemoryHaveLearningRatesOfTheirOwn) {
  Parameters parameters(at::kCPU);
  parameters.add("linear", {1}, ParameterKind::kLinear, kZeros);
  parameters.add("scale", {3}, ParameterKind::kLoopScale, kZeros);
  parameters.add("memory", {2, 2}, ParameterKind::kMemory, kZeros);
  auto config = kConfig;
  config.loop_scale_multiplier = 10.0;
  config.memory_multiplier = 0.5;
  AdamW optimizer(parameters, config);
  for (const char* name : {"linear", "scale", "memory"}) {
    set(parameters, name, 0.0, 3.0);  // the first step is r times the sign of the gradient
  }
  optimizer.step(kRate);
  EXPECT_NEAR(first_value(parameters, "linear"), -kRate, 1e-6);
  EXPECT_NEAR(first_value(parameters, "scale"), -10 * kRate, 1e-5);
  EXPECT_NEAR(first_value(parameters, "memory"), -0.5 * kRate, 1e-6);
}

TEST(AdamW, RoutersAndMemoryGatesHaveLearningRatesOfTheirOwn) {
  Parameters parameters(at::kCPU);
  const std::vector<std::pair<ParameterKind, double>> rates = {
      {ParameterKind::kRouter, 4.0},      {ParameterKind::kRouterBias, 4.0},
      {ParameterKind::kMemoryGate, 0.25}, {ParameterKind::kMemoryGateBias, 0.25},
      {ParameterKind::kLinear, 1.0},      {ParameterKind::kBias, 1.0}};
  const auto name_of = [](ParameterKind kind) {
    return fmt::format("parameter {}", static_cast<int>(kind));
  };
  for (const auto& [kind, rate] : rates) {
    parameters.add(name_of(kind), {2, 2}, kind, kZeros);
  }
  auto config = kConfig;
  config.router_multiplier = 4.0;
  config.memory_gate_multiplier = 0.25;
  AdamW optimizer(parameters, config);
  for (const auto& [kind, rate] : rates) {
    set(parameters, name_of(kind), 0.0, 3.0);
  }
  optimizer.step(kRate);
  for (const auto& [kind, rate] : rates) {
    EXPECT_NEAR(first_value(parameters, name_of(kind)), -rate * kRate, 1e-5) << name_of(kind);
  }
}

// 2 for what was taken, 3 for what was added, times the rate of their kind.
TEST(AdamW, TakenAndAddedParametersHaveLearningRatesOfTheirOwn) {
  Parameters parameters(at::kCPU);
  const std::vector<std::tuple<ParameterKind, Origin, double>> cases = {
      {ParameterKind::kNorm, Origin::kDrawn, 1.0},
      {ParameterKind::kNorm, Origin::kTaken, 2.0},
      {ParameterKind::kLoopScale, Origin::kTaken, 2.0 * 10.0},
      {ParameterKind::kNorm, Origin::kAdded, 3.0},
      {ParameterKind::kLoopScale, Origin::kAdded, 3.0 * 10.0}};
  for (size_t i = 0; i < cases.size(); ++i) {
    parameters.add(fmt::format("parameter {}", i), {2}, std::get<0>(cases[i]), kZeros);
    parameters.set_origin(i, std::get<1>(cases[i]));
  }
  auto config = kConfig;
  config.loop_scale_multiplier = 10.0;
  config.init_multiplier = 2.0;
  config.new_multiplier = 3.0;
  AdamW optimizer(parameters, config);
  for (const auto& parameter : parameters.all()) {
    set(parameters, parameter.name, 0.0, 3.0);  // the first step is r times the gradient's sign
  }
  optimizer.step(kRate);
  for (size_t i = 0; i < cases.size(); ++i) {
    const auto& name = parameters.all()[i].name;
    EXPECT_NEAR(first_value(parameters, name), -std::get<2>(cases[i]) * kRate, 1e-5) << name;
  }
}

// A step of a linear weight: the decay has the same factor.
TEST(AdamW, AWeightThatWasTakenMayStayAsItIs) {
  Parameters parameters(at::kCPU);
  parameters.add("w", {1, 1}, ParameterKind::kLinear, kZeros);
  parameters.set_origin(0, Origin::kTaken);
  auto config = kConfig;
  config.init_multiplier = 0.5;
  AdamW slow(parameters, config);
  set(parameters, "w", 1.0, 0.5);
  slow.step(kRate);
  EXPECT_NEAR(first_value(parameters, "w"), 1.0 - 0.5 * kRate * 0.1 - 0.5 * kRate, 1e-6);
  config.init_multiplier = 0.0;
  AdamW frozen(parameters, config);
  set(parameters, "w", 1.0, 0.5);
  frozen.step(kRate);
  EXPECT_EQ(first_value(parameters, "w"), 1.0);
}

struct GroupOfSpec {
  const char* pattern;  ///< of SPEC's parameter names
  double rate;
  bool decays;
};

// SPEC 3 and docs/settings.md by SPEC 1's names: what each parameter is, whoever declares it.
TEST(AdamW, EveryParameterOfTheTenSystemsIsInTheGroupOfSpec) {
  constexpr double kRouter = 2.0, kGate = 3.0, kScale = 5.0, kBank = 7.0;
  const std::vector<GroupOfSpec> groups = {
      {R"(embedding\.weight)", 1.0, false},
      {R"(head\.weight)", 1.0, true},
      {R"((final_norm|layers\.\d+\.block\.(attention_norm|feed_forward_norm))\.weight)", 1.0,
       false},
      {R"(layers\.\d+\.block\.attention\.(query|key)_norm\.weight)", 1.0, false},
      {R"(layers\.\d+\.block\.attention\.(query|key|value|output)\.weight)", 1.0, true},
      {R"(layers\.\d+\.block\.feed_forward\.(gate|up|down)\.weight)", 1.0, true},
      {R"(layers\.\d+\.loop_scale)", kScale, false},
      {R"(layers\.\d+\.router\.weight)", kRouter, true},
      {R"(layers\.\d+\.router\.bias)", kRouter, false},
      {R"((layers\.\d+\.)?memory\.(keys|values))", kBank, false},
      {R"((layers\.\d+\.memory\.norm|memory\.(query|key)_norm)\.(weight|bias))", 1.0, false},
      {R"(layers\.\d+\.memory\.(local|global)_gate\.weight)", kGate, true},
      {R"(layers\.\d+\.memory\.(local|global)_gate\.bias)", kGate, false},
      {R"(layers\.\d+\.memory\.(local|global)_projection\.weight)", 1.0, true}};
  auto config = kConfig;
  config.router_multiplier = kRouter;
  config.memory_gate_multiplier = kGate;
  config.loop_scale_multiplier = kScale;
  config.memory_multiplier = kBank;
  constexpr double kSmallRate = 0.01;
  const auto presets = std::filesystem::path(LOOPBANK_SOURCE_DIR) / "configs" / "demo";
  for (const char* system : {"isopar", "loop3", "loop5", "loop7", "isoflop", "isopar-m", "mem-gm3",
                             "mem-g0", "mem-g3", "isoflop-m"}) {
    SCOPED_TRACE(system);
    LanguageModel model(load_run_config(presets / (std::string(system) + ".toml")).model, at::kCPU);
    AdamW optimizer(model.parameters(), config);
    for (const auto& parameter : model.parameters().all()) {
      set(model.parameters(), parameter.name, 1.0, 3.0);
    }
    optimizer.step(kSmallRate);
    for (const auto& parameter : model.parameters().all()) {
      const auto group = std::find_if(groups.begin(), groups.end(), [&](const auto& item) {
        return std::regex_match(parameter.name, std::regex(item.pattern));
      });
      ASSERT_NE(group, groups.end()) << parameter.name;
      const double rate = kSmallRate * group->rate;
      const double expected = 1.0 - (group->decays ? rate * config.weight_decay : 0.0) - rate;
      EXPECT_NEAR(first_value(model.parameters(), parameter.name), expected, 2e-6)
          << parameter.name;
    }
  }
}

TEST(AdamW, AParameterWithoutAGradientStays) {
  Parameters parameters(at::kCPU);
  parameters.add("used", {2}, ParameterKind::kLinear, kZeros);
  parameters.add("unused", {2}, ParameterKind::kLinear, kZeros);
  AdamW optimizer(parameters, kConfig);
  set(parameters, "used", 1.0, 1.0);
  set(parameters, "unused", 1.0, 1.0);
  auto unused = parameters.get("unused").value;
  unused.mutable_grad().reset();
  optimizer.step(kRate);
  EXPECT_EQ(first_value(parameters, "unused"), 1.0);
  EXPECT_LT(first_value(parameters, "used"), 0.9);
}

// Sizes around the slices that the CPU works in, against the formula on whole tensors in fp64.
TEST(AdamW, LargeParametersAgreeWithTheFormulaOnWholeTensors) {
  constexpr double kTolerance = 1e-6;
  for (const int64_t size : {1, 65535, 65536, 65537, 3 * 65536 + 5}) {
    auto generator = at::detail::createCPUGenerator(11);
    Parameters parameters(at::kCPU);
    auto tensor = parameters.add("w", {size}, ParameterKind::kLinear, kZeros);
    const auto start = at::randn({size}, generator, at::kFloat);
    {
      const at::NoGradGuard no_grad;
      tensor.copy_(start);
    }
    AdamW optimizer(parameters, kConfig);
    auto p = start.to(at::kDouble);
    auto m = at::zeros({size}, at::kDouble);
    auto v = at::zeros({size}, at::kDouble);
    for (int k = 1; k <= 3; ++k) {
      const auto gradient = at::randn({size}, generator, at::kFloat);
      tensor.mutable_grad() = gradient;
      optimizer.step(kRate, /*gradient_scale=*/0.25);
      const auto g = gradient.to(at::kDouble) * 0.25;
      m = 0.9 * m + 0.1 * g;
      v = 0.95 * v + 0.05 * g * g;
      p = p * (1 - kRate * 0.1);
      p = p - kRate * (m / (1 - std::pow(0.9, k))) / ((v / (1 - std::pow(0.95, k))).sqrt() + 1e-8);
    }
    const double difference = (tensor.detach().to(at::kDouble) - p).abs().max().item<double>();
    EXPECT_LT(difference, kTolerance) << size << " values";
  }
}

/// A gradient of the rows 0 to 5 in which every row of `rows` is its number plus k, sparse with
/// rows that come twice, or dense.
at::Tensor row_gradient(const std::vector<int64_t>& rows, int k, bool sparse) {
  const auto indices = at::tensor(rows, at::kLong);
  const auto values = (indices.to(at::kFloat) + k).unsqueeze(1).expand({-1, 3}).contiguous();
  const auto gradient = at::sparse_coo_tensor(indices.unsqueeze(0), values, {6, 3});
  return sparse ? gradient : gradient.to_dense();
}

// The second case decays the rows that never had a gradient as well.
TEST(AdamW, ASparseGradientIsADenseOneOfZerosElsewhere) {
  for (const auto kind : {ParameterKind::kEmbedding, ParameterKind::kLinear}) {
    std::vector<at::Tensor> results;
    std::vector<double> norms;
    for (const bool sparse : {false, true}) {
      Parameters parameters(at::kCPU);
      auto value = parameters.add("rows", {6, 3}, kind, kZeros);
      {
        const at::NoGradGuard no_grad;
        value.fill_(1.0);
      }
      AdamW optimizer(parameters, kConfig);
      int k = 0;
      for (const auto& rows : std::vector<std::vector<int64_t>>{{1, 4, 1}, {2}, {4, 2}, {5}}) {
        value.mutable_grad() = row_gradient(rows, ++k, sparse);
        norms.push_back(gradient_norm(parameters));
        optimizer.step(kRate, 0.5);
        if (k == 2) {  // which rows move is found again from the moments
          const auto state = optimizer.state();
          NamedTensors copy;
          for (const auto& [name, tensor] : state) {
            copy.emplace_back(name, tensor.clone());
          }
          optimizer.restore(copy, optimizer.steps());
        }
      }
      results.push_back(value.detach().clone());
    }
    EXPECT_TRUE(at::allclose(results[1], results[0], 0.0, 1e-6)) << results[1] << results[0];
    for (size_t i = 0; i < norms.size() / 2; ++i) {
      EXPECT_NEAR(norms[i], norms[i + norms.size() / 2], 1e-5);
    }
    EXPECT_EQ(results[1][0][0].item<float>() < 1.0F, kind == ParameterKind::kLinear);
  }
}

TEST(AdamW, ARestoredOptimizerGoesOnWithTheSameBits) {
  const auto make = [](Parameters& parameters) {
    parameters.add("a", {5, 3}, ParameterKind::kLinear, kZeros);
    parameters.add("b", {3}, ParameterKind::kBias, kZeros);
    set(parameters, "a", 1.0, 0.3);
    set(parameters, "b", -1.0, 0.2);
  };
  Parameters whole(at::kCPU), again(at::kCPU);
  make(whole);
  make(again);
  AdamW optimizer(whole, kConfig);
  optimizer.step(kRate);
  optimizer.step(kRate);
  AdamW other(again, kConfig);
  {
    const at::NoGradGuard no_grad;
    for (const char* name : {"a", "b"}) {
      again.get(name).value.detach().copy_(whole.get(name).value);
    }
  }
  other.restore(optimizer.state(), optimizer.steps());
  optimizer.step(kRate);
  other.step(kRate);
  for (const char* name : {"a", "b"}) {
    EXPECT_TRUE(at::equal(whole.get(name).value, again.get(name).value)) << name;
  }
}

TEST(AdamW, AStateOfAnotherModelIsRefusedByName) {
  Parameters one(at::kCPU), two(at::kCPU), three(at::kCPU);
  one.add("a", {2}, ParameterKind::kLinear, kZeros);
  two.add("b", {2}, ParameterKind::kLinear, kZeros);
  three.add("a", {3}, ParameterKind::kLinear, kZeros);
  AdamW optimizer(one, kConfig);
  for (const auto* other : {&two, &three}) {
    try {
      optimizer.restore(AdamW(*other, kConfig).state(), 1);
      FAIL() << "was not refused";
    } catch (const Error& error) {
      EXPECT_EQ(error.code(), ErrorCode::kCheckpoint);
      EXPECT_NE(std::string(error.what()).find("first_moment.a"), std::string::npos)
          << error.what();
    }
  }
  EXPECT_EQ(optimizer.steps(), 0);
}

TEST(GradientNorm, IsThatOfAllGradientsTogether) {
  Parameters parameters(at::kCPU);
  parameters.add("a", {2, 2}, ParameterKind::kLinear, kZeros);
  parameters.add("b", {1}, ParameterKind::kBias, kZeros);
  parameters.add("c", {7}, ParameterKind::kBias, kZeros);
  set(parameters, "a", 0.0, 2.0);  // 4 x 4
  set(parameters, "b", 0.0, 3.0);  // 9
  EXPECT_DOUBLE_EQ(gradient_norm(parameters), 5.0);
  set(parameters, "b", 0.0, std::nan(""));
  EXPECT_FALSE(std::isfinite(gradient_norm(parameters)));
  clear_gradients(parameters);
  EXPECT_EQ(gradient_norm(parameters), 0.0);
}

TEST(ClipCoefficient, IsThatOfTorch) {
  EXPECT_DOUBLE_EQ(clip_coefficient(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_EQ(clip_coefficient(0.5, 1.0), 1.0);
  EXPECT_LT(clip_coefficient(1.0, 1.0), 1.0);
  EXPECT_EQ(clip_coefficient(100.0, 0.0), 1.0);
}

}  // namespace
}  // namespace loopbank

#include "parity_case.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "loopbank/model/safetensors.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/schedule.h"

namespace loopbank::testing {
namespace {

/// Whether max |a - b| / max |b| is within the tolerance; else where the worst value stands.
::testing::AssertionResult near(const at::Tensor& ours, const at::Tensor& twin, double tolerance) {
  if (ours.sizes() != twin.sizes()) {
    return ::testing::AssertionFailure()
           << fmt::format("shape [{}], the twin has [{}]", fmt::join(ours.sizes(), ", "),
                          fmt::join(twin.sizes(), ", "));
  }
  const auto a = ours.detach().to(at::kCPU, at::kDouble).reshape(-1);
  const auto b = twin.detach().to(at::kDouble).reshape(-1);
  const auto difference = (a - b).abs();
  const double largest = b.abs().max().item<double>();
  const double worst = difference.max().item<double>();
  // A tensor of zeros has to be zeros: there is nothing to be relative to.
  const double allowed = tolerance * largest;
  if (worst <= allowed) {  // false for NaN
    return ::testing::AssertionSuccess();
  }
  const auto at = difference.argmax().item<int64_t>();
  return ::testing::AssertionFailure() << fmt::format(
             "max abs {:.3g}, max rel {:.3g} (allowed {:.3g}) at flat index {}: {:.9g}, the twin "
             "has {:.9g}",
             worst, worst / largest, tolerance, at, a[at].item<double>(), b[at].item<double>());
}

/// Whether |a - b| / |b - start| in the Euclidean norm is within the tolerance: how far apart two
/// trainings are beside how far they went. One value whose gradient is all rounding may step either
/// way in AdamW, so the largest difference would measure luck.
::testing::AssertionResult went_alike(const at::Tensor& ours, const at::Tensor& twin,
                                      const at::Tensor& start, double tolerance) {
  const auto b = twin.to(at::kDouble);
  const double apart = (ours.detach().to(at::kCPU, at::kDouble) - b).norm().item<double>();
  const double way = (b - start.to(at::kDouble)).norm().item<double>();
  if (apart <= tolerance * way) {  // false for NaN
    return ::testing::AssertionSuccess();
  }
  return ::testing::AssertionFailure()
         << fmt::format("apart by {:.3g} after a way of {:.3g}: {:.3g} (allowed {:.3g})", apart,
                        way, apart / way, tolerance);
}

/// The bias of the key norm adds the same to every score of a query, which softmax does not see:
/// its gradient is zero, and what is computed for it is rounding, in which no two programs agree.
bool has_zero_gradient(const std::string& parameter) {
  return parameter == "memory.key_norm.bias";
}

std::string prefix_of(at::ScalarType dtype) {
  return dtype != at::kBFloat16 ? "fp32." : "bf16.";
}

LanguageModel model_of(const ParityCase& twin, at::Device device) {
  LanguageModel model(twin.config, device);
  const auto initial = twin.with_prefix("initial.");
  EXPECT_EQ(model.parameters().all().size(), initial.size());
  const at::NoGradGuard no_grad;
  for (const auto& parameter : model.parameters().all()) {
    const auto found = initial.find(parameter.name);
    if (found == initial.end()) {
      ADD_FAILURE() << "the twin has no parameter " << parameter.name;
      continue;
    }
    EXPECT_EQ(parameter.value.sizes(), found->second.sizes()) << parameter.name;
    auto value = parameter.value;
    value.copy_(found->second);
  }
  return model;
}

/// Whether ours in bf16 is at least as close to the gradient in fp32 as the twin's in bf16 is: two
/// gradients that are both rounded may lie on either side of it. Never in fp32, where the twin's is
/// the measure itself.
bool is_no_further_than(const at::Tensor& twin, const at::Tensor& ours, const at::Tensor& exact) {
  const auto distance = [&](const at::Tensor& gradient) {
    return (gradient.to(at::kCPU, at::kDouble) - exact.to(at::kDouble)).norm().item<double>();
  };
  return distance(ours) < distance(twin);
}

}  // namespace

std::map<std::string, at::Tensor> ParityCase::with_prefix(const std::string& prefix) const {
  std::map<std::string, at::Tensor> found;
  for (const auto& [key, tensor] : tensors) {
    if (key.starts_with(prefix)) {
      found.emplace(key.substr(prefix.size()), tensor);
    }
  }
  return found;
}

ParityCase read_parity_case(const std::filesystem::path& path) {
  const auto content = read_safetensors(path);
  const auto number = [&](const std::string& key) { return std::stod(content.metadata.at(key)); };
  ParityCase twin{.name = path.stem().string(),
                  .config = config_from_json(nlohmann::json::parse(content.metadata.at("config")),
                                             path.string()),
                  .max_loops = static_cast<int64_t>(number("max_loops")),
                  .steps = static_cast<int64_t>(number("steps")),
                  .learning_rate = number("learning_rate"),
                  .weight_decay = number("weight_decay"),
                  .clip_norm = number("clip_norm"),
                  .ponder_warmup_fraction =
                      content.metadata.contains("ponder_warmup_fraction")  // absent in older files
                          ? number("ponder_warmup_fraction")
                          : 0.0,
                  .tensors = {content.tensors.begin(), content.tensors.end()}};
  return twin;
}

std::string parity_test_name(const ::testing::TestParamInfo<const char*>& info) {
  std::string name = info.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

void expect_same_outputs(const ParityCase& twin, at::ScalarType dtype,
                         const ParityTolerance& tolerance, at::Device device) {
  auto model = model_of(twin, device);
  const auto& expected = twin.tensors;
  const auto tokens = expected.at("tokens").to(device);    // [B, T]
  const auto targets = expected.at("targets").to(device);  // [B, T]
  const ForwardOptions options{.compute_dtype = dtype, .max_loops = twin.max_loops};
  const auto prefix = prefix_of(dtype);
  {
    const at::NoGradGuard no_grad;
    const auto out = model.forward(tokens, options);
    EXPECT_TRUE(near(out.logits, expected.at(prefix + "logits"), tolerance.logits)) << "logits";
    EXPECT_TRUE(near(out.expected_loops, expected.at(prefix + "expected_loops"), tolerance.logits))
        << "expected loops of forward";
  }
  const auto loss = model.loss(tokens, targets, options);
  EXPECT_TRUE(near(loss.total, expected.at(prefix + "loss"), tolerance.loss)) << "loss";
  EXPECT_TRUE(near(loss.cross_entropy, expected.at(prefix + "cross_entropy"), tolerance.loss))
      << "cross-entropy";
  EXPECT_TRUE(near(loss.ponder, expected.at(prefix + "ponder"), tolerance.loss)) << "ponder term";
  EXPECT_TRUE(near(loss.expected_loops, expected.at(prefix + "expected_loops"), tolerance.logits))
      << "expected loops of loss";
  loss.total.backward();
  for (const auto& parameter : model.parameters().all()) {
    const auto gradient = parameter.value.grad().defined() ? parameter.value.grad().to_dense()
                                                           : at::zeros_like(parameter.value);
    if (has_zero_gradient(parameter.name)) {
      EXPECT_LE(gradient.abs().max().item<double>(), tolerance.zero_gradient) << parameter.name;
      continue;
    }
    const auto name = "gradient." + parameter.name;
    if (is_no_further_than(expected.at(prefix + name), gradient, expected.at("fp32." + name))) {
      continue;
    }
    EXPECT_TRUE(near(gradient, expected.at(prefix + name), tolerance.gradients))
        << "gradient of " << parameter.name;
  }
}

void expect_same_training(const ParityCase& twin, at::ScalarType dtype,
                          const ParityTolerance& tolerance, at::Device device) {
  auto model = model_of(twin, device);
  const auto& parameters = model.parameters();
  const auto tokens = twin.tensors.at("tokens").to(device);    // [B, T]
  const auto targets = twin.tensors.at("targets").to(device);  // [B, T]
  OptimizerConfig config;
  config.weight_decay = twin.weight_decay;
  AdamW optimizer(parameters, config);
  std::vector<double> losses;
  for (int64_t step = 1; step <= twin.steps; ++step) {
    const auto loss =
        model.loss(tokens, targets,
                   {.compute_dtype = dtype,
                    .ponder_weight = ponder_weight_at(
                        twin.config.ponder_weight, twin.ponder_warmup_fraction, step, twin.steps)});
    losses.push_back(loss.total.item<double>());
    loss.total.backward();
    optimizer.step(twin.learning_rate, clip_coefficient(gradient_norm(parameters), twin.clip_norm));
    clear_gradients(parameters);
  }
  const auto prefix = prefix_of(dtype);
  EXPECT_TRUE(near(at::tensor(losses), twin.tensors.at(prefix + "losses"), tolerance.losses))
      << "loss before each step";
  for (const auto& parameter : parameters.all()) {
    if (!has_zero_gradient(parameter.name)) {
      EXPECT_TRUE(went_alike(parameter.value, twin.tensors.at(prefix + "trained." + parameter.name),
                             twin.tensors.at("initial." + parameter.name), tolerance.trained))
          << parameter.name << " after " << twin.steps << " steps";
    }
  }
}

}  // namespace loopbank::testing

/// Training steps on a device that is no CPU (tests/device/stand_in_device.h).

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <string>

#include "loopbank/ops/libtorch.h"
#include "loopbank/train/batch_step.h"
#include "loopbank/train/optimizer.h"
#include "loopbank/train/validation.h"
#include "small_run.h"
#include "tests/device/stand_in_device.h"

namespace loopbank::testing {
namespace {

ModelConfig small_model(int64_t loops, int64_t slots) {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 24;
  config.intermediate_size = 40;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 20;
  config.max_loops = loops;
  config.local_memory_slots = slots;
  config.global_memory_slots = slots;
  config.ponder_weight = loops > 1 ? 0.01 : 0.0;
  return config;
}

Batch some_batch() {
  auto generator = at::detail::createCPUGenerator(11);
  auto text = at::empty({6, 21}, at::kLong);
  text.random_(0, 61, generator);
  return {text.narrow(1, 0, 20).contiguous(), text.narrow(1, 1, 20).contiguous()};
}

struct Trained {
  LanguageModel model;
  std::unique_ptr<BatchStep> steps;
  StepTaken last;

  explicit Trained(const ModelConfig& config, at::Device device) : model(config, device) {
    RunConfig run;
    run.training.micro_batch = 2;
    steps = make_batch_step(model, run, Ranks());
    model.parameters().initialize(5);
  }
  void step(const ForwardOptions& options = {}) {
    last = steps->take(some_batch(), options, {.learning_rate = 1e-2, .clip_norm = 0.5},
                       /*wants_stop=*/false);
  }
};

double furthest(const LanguageModel& a, const LanguageModel& b) {
  double most = 0.0;
  for (size_t i = 0; i < a.parameters().all().size(); ++i) {
    const auto other = b.parameters().all()[i].value.detach().to(at::kCPU);
    const auto off = (a.parameters().all()[i].value.detach().to(at::kCPU) - other).abs().max();
    most = std::max(most, off.item<double>());
  }
  return most;
}

struct System {
  const char* name;
  int64_t loops;
  int64_t slots;
  Recompute recompute;
};

class StepOnAnotherDevice : public ::testing::TestWithParam<System> {};

TEST_P(StepOnAnotherDevice, TrainsAsTheCpuDoes) {
  const auto config = small_model(GetParam().loops, GetParam().slots);
  ForwardOptions options;
  options.recompute = GetParam().recompute;
  Trained here(config, at::kCPU);
  Trained there(config, stand_in_device());
  for (int step = 0; step < 2; ++step) {
    here.step(options);
    there.step(options);
    EXPECT_NEAR(there.last.found.loss.loss, here.last.found.loss.loss,
                1e-5 * here.last.found.loss.loss);
    EXPECT_NEAR(there.last.found.norm, here.last.found.norm, 1e-4 * here.last.found.norm);
    EXPECT_GT(here.last.found.norm, 0.5);  // clipped
    ASSERT_EQ(there.last.found.loss.loops_by_layer.size(), 2U);
    EXPECT_NEAR(there.last.found.loss.loops_by_layer[1], here.last.found.loss.loops_by_layer[1],
                1e-5);
  }
  // AdamW divides by the gradient's own size: a weight whose gradient is rounding alone goes anywhere
  // within its 0.02, and a few of them do.
  EXPECT_LT(furthest(here.model, there.model), 1e-3);
  EXPECT_EQ(there.steps->steps(), 2);
}

TEST_P(StepOnAnotherDevice, TakesBf16) {
  Trained there(small_model(GetParam().loops, GetParam().slots), stand_in_device());
  Trained here(small_model(GetParam().loops, GetParam().slots), at::kCPU);
  ForwardOptions options;
  options.compute_dtype = at::kBFloat16;
  options.recompute = GetParam().recompute;
  here.step(options);
  there.step(options);
  EXPECT_NEAR(there.last.found.loss.loss, here.last.found.loss.loss, 1e-2);
  EXPECT_TRUE(there.last.finite);
}

TEST_P(StepOnAnotherDevice, WaitsOnceForTheNumbersOfTheLog) {
  Trained there(small_model(GetParam().loops, GetParam().slots), stand_in_device());
  ForwardOptions options;
  options.recompute = GetParam().recompute;
  there.step(options);
  const auto before = num_device_reads();
  there.step(options);
  // LibTorch 1 waits for the numbers of the passes and for the norm.
  EXPECT_EQ(num_device_reads() - before, ops::kHasFusedAdamw ? 1 : 2);
}

TEST_P(StepOnAnotherDevice, LeavesTheWeightsWithoutAFiniteLoss) {
  Trained there(small_model(GetParam().loops, GetParam().slots), stand_in_device());
  there.step();
  const auto& norm = there.model.parameters().get("final_norm.weight").value;
  const auto other = there.model.parameters().get("head.weight").value.detach();
  const auto before = other.to(at::kCPU).clone();
  norm.detach()[0].fill_(std::numeric_limits<double>::quiet_NaN());
  there.step();
  EXPECT_FALSE(there.last.finite);
  EXPECT_EQ(there.steps->steps(), 1);
  EXPECT_TRUE(at::equal(other.to(at::kCPU), before));
  norm.detach()[0].fill_(1.0);
  there.step();
  EXPECT_TRUE(there.last.finite);
  EXPECT_EQ(there.steps->steps(), 2);
  EXPECT_FALSE(at::equal(other.to(at::kCPU), before));
}

INSTANTIATE_TEST_SUITE_P(Systems, StepOnAnotherDevice,
                         ::testing::Values(System{"dense", 0, 0, Recompute::kNone},
                                           System{"loops", 3, 0, Recompute::kNone},
                                           System{"memory", 3, 5, Recompute::kNone},
                                           System{"loops_again", 3, 5, Recompute::kLoop},
                                           System{"layers_again", 3, 5, Recompute::kLayer}),
                         [](const auto& system) { return std::string(system.param.name); });

TEST(ValidatorAway, ValidatesAndStoresAsTheCpuDoes) {
  const TestDirectory directory;
  const auto run = small_run(directory);
  const auto tokenizer = Tokenizer::bytes();
  const Validator validator(std::make_shared<TokenFile>(run.data.validation), tokenizer,
                            run.training);
  LanguageModel here(run.model);
  LanguageModel there(run.model, stand_in_device());
  here.parameters().initialize(1);
  there.parameters().initialize(1);
  const auto expected = validator.validate(here, 1, {});
  const auto measured = validator.validate(there, 1, {});
  EXPECT_NEAR(measured.loss, expected.loss, 1e-5);
  EXPECT_NEAR(measured.mean_loops, expected.mean_loops, 1e-5);
  ASSERT_EQ(measured.local_gates.size(), expected.local_gates.size());
  EXPECT_NEAR(measured.local_gates[0], expected.local_gates[0], 1e-5);

  AdamW optimizer(there.parameters(), run.optimizer);
  TrainState first;
  first.step = 1;
  save_checkpoint(directory.path(), {run, first, there, optimizer.state(), tokenizer});
  LanguageModel again(run.model, stand_in_device());
  AdamW other(again.parameters(), run.optimizer);
  const auto saved = load_checkpoint(checkpoint_path(directory.path(), 1), again);
  other.restore(saved.moments, 1);
  EXPECT_EQ(saved.state.step, 1);
  EXPECT_EQ(furthest(again, here), 0.0);
}

}  // namespace
}  // namespace loopbank::testing

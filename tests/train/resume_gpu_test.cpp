/// Runs on a GPU: the same bits twice and after a stop, and memory that does not suffice.

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <gtest/gtest.h>

#include <string>

#include "loopbank/train/device.h"
#include "small_run.h"
#include "tests/device/gpu.h"

namespace loopbank::testing {
namespace {

class TrainOnGpu : public GpuTest<::testing::TestWithParam<const char*>> {
 protected:
  [[nodiscard]] RunConfig run_on_gpu(const TestDirectory& directory) const {
    auto run = small_run(directory);
    run.training.device = "cuda:0";
    return run;
  }
};

TEST_P(TrainOnGpu, StoppedAndResumedIsTheSameBitForBit) {
  const TestDirectory directory;
  auto run = run_on_gpu(directory);
  run.training.precision = GetParam();
  run.training.micro_batch = 2;
  const auto whole = directory.path() / "whole";
  const auto parts = directory.path() / "parts";
  (void)train(run, quiet(whole));
  (void)train(run, stopping_after(parts, 3));
  (void)train(run, quiet(parts, ResumeMode::kResume));
  EXPECT_EQ(timeless_rows(parts), timeless_rows(whole));
  EXPECT_EQ(read_file(parts / "model.safetensors"), read_file(whole / "model.safetensors"));
}

TEST_P(TrainOnGpu, LearnsWhatTheCpuLearns) {
  const TestDirectory directory;
  auto run = run_on_gpu(directory);
  run.training.precision = GetParam();
  const auto there = train(run, quiet(directory.path() / "gpu"));
  run.training.device = "cpu";
  const auto here = train(run, quiet(directory.path() / "cpu"));
  EXPECT_NEAR(there.loss, here.loss, std::string(GetParam()) == "fp32" ? 1e-3 : 5e-2);
}

INSTANTIATE_TEST_SUITE_P(Dtypes, TrainOnGpu, ::testing::Values("fp32", "bf16"),
                         [](const auto& dtype) { return std::string(dtype.param); });

class MemoryOnGpu : public GpuTest<> {};

TEST_F(MemoryOnGpu, ThatIsTooLittleIsFoundBeforeTheFirstStep) {
  const TestDirectory directory;
  auto run = small_run(directory);
  run.training.device = "cuda:0";
  run.model.hidden_size = 16384;
  run.model.intermediate_size = 65536;
  run.model.num_hidden_layers = 60;
  run.model.num_attention_heads = 128;
  expect_fragments(refusal(run, quiet(directory.path() / "run")), ErrorCode::kDevice,
                   {"cuda:0: expected", "of free memory"});
}

TEST_F(MemoryOnGpu, ThatRunsOutIsOneErrorThatSaysWhatToLower) {
  try {
    const auto whole = at::empty({int64_t{1} << 44}, at::TensorOptions(at::kByte).device(gpu_));
    FAIL() << "expected no room for 16 TiB";
  } catch (const c10::OutOfMemoryError& error) {
    try {
      fail_out_of_memory(error, "run", "Lower training.micro_batch.");
    } catch (const Error& ours) {
      expect_fragments(ours, ErrorCode::kDevice,
                       {"run: expected room on the GPU, got none: ", "Lower training.micro_batch."});
      EXPECT_EQ(std::string(ours.what()).find('\n'), std::string::npos);
    }
  }
}

}  // namespace
}  // namespace loopbank::testing

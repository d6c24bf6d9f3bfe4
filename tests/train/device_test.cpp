#include "loopbank/train/device.h"

#include <ATen/Context.h>
#include <gtest/gtest.h>

#include <string>

#include "loopbank/support/error.h"
#include "small_run.h"

namespace loopbank::testing {
namespace {

Error error_for(const std::string& name) {
  try {
    static_cast<void>(choose_device(name, "--device"));
  } catch (const Error& error) {
    return error;
  }
  ADD_FAILURE() << name << " was not refused";
  return {ErrorCode::kConfig, ""};
}

TEST(ChooseDevice, RefusesWhatIsNotThereInOneLine) {
  EXPECT_TRUE(choose_device("cpu").is_cpu());
  for (const std::string name : {"gpu", "cuda:", "cuda:x", "cuda:-1", "cuda1"}) {
    const auto error = error_for(name);
    EXPECT_EQ(error.code(), ErrorCode::kConfig) << name;
    EXPECT_EQ(std::string(error.what()),
              R"(--device: expected "auto", "cpu", "cuda" or "cuda:K", got ")" + name + "\".");
  }
  expect_fragments(error_for("cuda:99"), ErrorCode::kDevice, {"--device: expected", "\"cuda:99\""});
  if (!at::hasCUDA()) {
    EXPECT_TRUE(choose_device("auto").is_cpu());
    expect_fragments(error_for("cuda"), ErrorCode::kDevice,
                     {"--device: expected a GPU for \"cuda\", got", "Use \"cpu\""});
  }
}

TEST(FreeMemoryBytes, IsNotAskedOfTheCpu) {
  EXPECT_FALSE(free_memory_bytes(at::kCPU).has_value());
}

TEST(OutOfMemory, IsOneLineWithWhatLibTorchTriedAndWhatToLower) {
  const c10::OutOfMemoryError error(
      {"allocate", "allocator.cpp", 1},
      "CUDA out of memory. Tried to allocate 20.00 GiB. GPU 0 has 1.00 GiB free. If reserved but "
      "unallocated memory is large try setting PYTORCH_CUDA_ALLOC_CONF.\nException raised");
  try {
    fail_out_of_memory(error, "run", "Lower training.micro_batch");
  } catch (const Error& ours) {
    EXPECT_EQ(ours.code(), ErrorCode::kDevice);
    EXPECT_STREQ(ours.what(),
                 "run: expected room on the GPU, got none: CUDA out of memory. Tried to allocate "
                 "20.00 GiB. GPU 0 has 1.00 GiB free. Lower training.micro_batch.");
  }
}

}  // namespace
}  // namespace loopbank::testing

/// The engine on a GPU writes what it writes on the CPU.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <string>

#include "tests/device/gpu.h"
#include "tests/infer/looping_model.h"

namespace loopbank::testing {
namespace {

class EngineOnGpu : public GpuTest<> {};

TEST_F(EngineOnGpu, GreedyTokensAreThoseOfTheCpu) {
  const auto here = looping_model();
  LanguageModel there(here.config(), gpu_);
  {
    const at::NoGradGuard no_grad;
    for (size_t i = 0; i < here.parameters().all().size(); ++i) {
      there.parameters().all()[i].value.detach().copy_(here.parameters().all()[i].value);
    }
  }
  for (const std::string exit : {"all", "cdf:0.6", "change:0.5", "budget:2"}) {
    for (const std::string policy : {"full", "copy", "first", "mixture"}) {
      const auto request = request_of(some_prompt(21, 5), 24, exit, policy);
      EXPECT_EQ(answer_alone(there, request).tokens, answer_alone(here, request).tokens)
          << exit << ", " << policy;
    }
  }
}

}  // namespace
}  // namespace loopbank::testing

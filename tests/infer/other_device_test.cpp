/// The engine on a device that is no CPU.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <string>
#include <tuple>

#include "loopbank/support/error.h"
#include "tests/device/stand_in_device.h"
#include "tests/infer/looping_model.h"

namespace loopbank::testing {
namespace {

/// The looping model with the same weights on the device.
LanguageModel looping_model_on(at::Device device) {
  const auto here = looping_model();
  LanguageModel there(here.config(), device);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < here.parameters().all().size(); ++i) {
    there.parameters().all()[i].value.detach().copy_(here.parameters().all()[i].value);
  }
  return there;
}

class EngineOnAnotherDevice
    : public ::testing::TestWithParam<std::tuple<std::string, std::string>> {};

TEST_P(EngineOnAnotherDevice, WritesWhatTheCpuWrites) {
  const auto& [exit, policy] = GetParam();
  const auto here = looping_model();
  const auto there = looping_model_on(stand_in_device());
  const auto request = request_of(some_prompt(21, 5), 12, exit, policy);
  const auto expected = answer_alone(here, request);
  const auto answer = answer_alone(there, request);
  EXPECT_EQ(answer.tokens, expected.tokens);
  EXPECT_EQ(answer.reason, expected.reason);
}

INSTANTIATE_TEST_SUITE_P(
    Exits, EngineOnAnotherDevice,
    ::testing::Values(std::tuple{"all", "full"}, std::tuple{"cdf:0.6", "full"},
                      std::tuple{"cdf:0.6", "recompute"}, std::tuple{"change:0.5", "copy"},
                      std::tuple{"cdf:0.6", "first"}, std::tuple{"cdf:0.6,hard", "last"},
                      std::tuple{"all", "mixture"}, std::tuple{"budget:2", "full"}));

TEST(AnotherDevice, ScoresATextAsTheCpuDoes) {
  auto request = request_of(some_prompt(40, 1), 0);
  request.score_from = 1;
  const auto expected = answer_alone(looping_model(), request);
  const auto answer = answer_alone(looping_model_on(stand_in_device()), request,
                                   {.batch_tokens = 16});
  ASSERT_EQ(answer.scores.size(), expected.scores.size());
  for (size_t i = 0; i < expected.scores.size(); ++i) {
    EXPECT_NEAR(answer.scores[i], expected.scores[i], 1e-4) << i;
  }
}

TEST(AnotherDevice, RefusesProductsWithCodes) {
  const auto there = looping_model_on(stand_in_device());
  try {
    const Engine engine(there, {.weight_bits = 8});
    FAIL() << "expected an error";
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kDevice);
    EXPECT_NE(std::string(error.what()).find("got 8 bits"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace loopbank::testing

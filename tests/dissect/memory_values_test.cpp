#include "loopbank/dissect/memory_values.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/mv.h>
#include <gtest/gtest.h>

#include "memory_model.h"

namespace loopbank {
namespace {

constexpr int64_t kBytes = 256;

TEST(SlotTokens, AValueRaisesTheLetterThatItNames) {
  const auto model = testing::letter_model(50.0);
  const auto tokens = slot_tokens(model, {0}, 0, {0, 3}, kBytes, 2);
  ASSERT_EQ(tokens.size(), 2U);
  EXPECT_EQ(tokens[0].raised[0].id, 'b');  // slot 0 belongs to a
  EXPECT_EQ(tokens[1].raised[0].id, 'a');
  // 10 x 16 for one word, 0 for all others of 256: less the mean.
  EXPECT_NEAR(tokens[0].raised[0].logit, 160.0 - 160.0 / kBytes, 1e-3);
  EXPECT_NEAR(tokens[0].raised[1].logit, -160.0 / kBytes, 1e-3);
}

TEST(SlotTokens, AreTheHeadOfTheProjectedValue) {
  const auto model = testing::random_model();
  const at::NoGradGuard no_grad;
  const auto get = [&](const char* name) { return model.parameters().get(name).value; };
  get("final_norm.weight").uniform_(0.5, 1.5);
  for (int64_t layer = 0; layer < 2; ++layer) {
    const auto projection = get(layer == 0 ? "layers.0.memory.global_projection.weight"
                                           : "layers.1.memory.global_projection.weight");
    const auto state = at::mv(projection, get("memory.values")[2]) * get("final_norm.weight");
    const auto logits = at::mv(get("head.weight"), state).narrow(0, 0, kBytes);
    const auto expected = logits - logits.mean();
    const auto tokens = slot_tokens(model, {BankId::kGlobal}, layer, {1, 2}, kBytes, 3);
    for (int64_t i = 0; i < 3; ++i) {
      const auto& raised = tokens[1].raised[static_cast<size_t>(i)];
      EXPECT_NEAR(raised.logit, std::get<0>(expected.topk(3))[i].item<double>(), 1e-4);
      EXPECT_NEAR(raised.logit, expected[raised.id].item<double>(), 1e-4);
      const auto& lowered = tokens[1].lowered[static_cast<size_t>(i)];
      EXPECT_NEAR(lowered.logit, -std::get<0>((-expected).topk(3))[i].item<double>(), 1e-4);
    }
  }
}

}  // namespace
}  // namespace loopbank

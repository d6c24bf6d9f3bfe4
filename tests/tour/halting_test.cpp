/// Halting by a softmax over the loops.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tour_model.h"

namespace loopbank::testing {
namespace {

TEST(HaltingChange, LoopsThatAreWantedAlikeWeighAlike) {
  const at::NoGradGuard no_grad;
  const auto model = tour_model();
  set_parameter(model, "layers.0.router.weight", 0.0);
  set_parameter(model, "layers.0.router.bias", 0.7);
  Recorder recorder;
  const auto out = model.forward(tour_tokens(2, 9), {.recorder = &recorder});
  EXPECT_TRUE(recorder.halting[0].sub(1.0 / 3).abs().le(1e-6).all().item<bool>());
  EXPECT_TRUE(out.expected_loops[0].sub(2.0).abs().le(1e-5).all().item<bool>());
}

}  // namespace
}  // namespace loopbank::testing

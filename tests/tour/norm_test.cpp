/// A block with its norms after the branches.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tour_model.h"

namespace loopbank::testing {
namespace {

TEST(NormChange, AStateAfterABlockIsNormed) {
  const at::NoGradGuard no_grad;
  const auto model = tour_model();
  set_parameter(model, "layers.0.block.feed_forward_norm.weight", 1.5);
  Recorder recorder;
  (void)model.forward(tour_tokens(2, 9), {.recorder = &recorder});
  const auto lengths = recorder.state_norm[0].slice(0, 1);  // after each loop [N, B, T]
  EXPECT_TRUE(lengths.sub(1.5).abs().le(1e-3).all().item<bool>());
}

}  // namespace
}  // namespace loopbank::testing

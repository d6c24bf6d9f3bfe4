/// Gates by a softsign.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "tour_model.h"

namespace loopbank::testing {
namespace {

TEST(GateChange, AGateOfThreeIsSevenEighthsOpen) {
  const at::NoGradGuard no_grad;
  const auto model = tour_model();
  set_parameter(model, "layers.0.memory.local_gate.weight", 0.0);
  set_parameter(model, "layers.0.memory.local_gate.bias", 3.0);
  set_parameter(model, "layers.0.memory.global_gate.weight", 0.0);
  set_parameter(model, "layers.0.memory.global_gate.bias", -3.0);
  Recorder recorder;
  (void)model.forward(tour_tokens(2, 9), {.recorder = &recorder});
  EXPECT_TRUE(recorder.local_gate[0].sub(0.875).abs().le(1e-6).all().item<bool>());
  EXPECT_TRUE(recorder.global_gate[0].sub(0.125).abs().le(1e-6).all().item<bool>());
}

}  // namespace
}  // namespace loopbank::testing

#pragma once
/// A model with the weights of another one, on another device.

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>

#include "loopbank/model/language_model.h"

namespace loopbank::testing {

inline LanguageModel on_device(const LanguageModel& model, at::Device device) {
  LanguageModel there(model.config(), device);
  const at::NoGradGuard no_grad;
  for (size_t i = 0; i < model.parameters().all().size(); ++i) {
    there.parameters().all()[i].value.detach().copy_(model.parameters().all()[i].value);
  }
  return there;
}

}  // namespace loopbank::testing

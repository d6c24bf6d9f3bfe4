#pragma once
/// The model that the changes of docs/change-the-model.md are tried on.

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <string>

#include "loopbank/model/language_model.h"

namespace loopbank::testing {

/// A small model with loops and banks, dense in its last layer, whose parts all matter.
[[nodiscard]] LanguageModel tour_model();

/// Tokens [B, T] for that model.
[[nodiscard]] at::Tensor tour_tokens(int64_t batch, int64_t length);

/// Fills a parameter of a model.
void set_parameter(const LanguageModel& model, const std::string& name, double value);

}  // namespace loopbank::testing

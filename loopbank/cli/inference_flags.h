#pragma once
/// Flags that eval, generate and probe share.

#include <ATen/core/Tensor.h>

#include <CLI/CLI.hpp>

namespace loopbank::cli {

/// MODEL_DIR, the folder of the model.
void add_model_directory(CLI::App& command, std::string& directory);

/// --precision fp32|bf16: the number type in which the model computes.
void add_precision_flag(CLI::App& command, at::ScalarType& compute_dtype);

}  // namespace loopbank::cli

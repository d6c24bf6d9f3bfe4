#pragma once
/// Flags that the commands share which run a trained model.

#include <ATen/core/Tensor.h>

#include <CLI/CLI.hpp>

#include "loopbank/infer/request.h"
#include "loopbank/model/config.h"
#include "loopbank/support/field.h"

namespace loopbank::cli {

/// MODEL_DIR, the folder of the model.
void add_model_directory(CLI::App& command, std::string& directory);

/// --precision fp32|bf16: the number type in which the model computes.
void add_precision_flag(CLI::App& command, at::ScalarType& compute_dtype,
                        const char* name = "--precision");

/// --device auto|cpu|cuda|cuda:K: where the model computes.
void add_device_flag(CLI::App& command, std::string& device);

/// --max-loops N: the loop budget, or --max-loops N,N,... where the target holds a list.
void add_max_loops_flag(CLI::App& command, FieldTarget budget);

/// As long as the rows that the model was trained on, where its folder tells: behind them its loss
/// may rise steeply. Else as long as it reads.
[[nodiscard]] int64_t trained_length(const std::string& directory, const ModelConfig& config);

/// --exit, --kv and --kv-prefill: when tokens leave layers, and what later tokens find of them.
void add_exit_flags(CLI::App& command, InferenceSettings& settings);

}  // namespace loopbank::cli

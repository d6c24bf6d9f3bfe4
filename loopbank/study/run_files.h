#pragma once
/// What a run's own files tell: its speed, its validations one after another, and the inner life of
/// its model.

#include <filesystem>
#include <nlohmann/json_fwd.hpp>

#include "loopbank/train/run_config.h"

namespace loopbank {

/// Over all steps of a run, however often it was interrupted.
/// @throws Error kData for a file that cannot be read
[[nodiscard]] double median_tokens_per_second(const std::filesystem::path& metrics);

/// {"step": [...], "validation_loss": [...], "validation_bpb": [...], "mean_loops": [...],
/// "loops_by_layer": [[...], ...], "local_gates": ..., "global_gates": ...}, a value a
/// validation; keys that the validations have not are left out.
[[nodiscard]] nlohmann::ordered_json validation_curve(const std::filesystem::path& metrics);

/// The inner life of a trained run's model on its validation rows (dissect/inside.h): inside.json
/// of its folder, measured and written where it does not exist.
/// @throws Error kCheckpoint, kData as load_inference_model and open_run_data
void ensure_inside(const RunConfig& run, const std::filesystem::path& folder);

/// inside.json as it stands; null where there is none.
[[nodiscard]] nlohmann::ordered_json read_inside(const std::filesystem::path& folder);

}  // namespace loopbank

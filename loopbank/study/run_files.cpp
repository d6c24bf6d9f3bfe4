#include "loopbank/study/run_files.h"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/data/sampler.h"
#include "loopbank/dissect/inside.h"
#include "loopbank/eval/json_lines.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_data.h"

namespace loopbank {

double median_tokens_per_second(const std::filesystem::path& metrics) {
  std::vector<double> speeds;
  for_each_json_line(metrics, [&](const nlohmann::json& row, const std::string&) {
    if (row.contains("tokens_per_second")) {
      speeds.push_back(row["tokens_per_second"].get<double>());
    }
    return true;
  });
  return median(std::move(speeds));
}

nlohmann::ordered_json validation_curve(const std::filesystem::path& metrics) {
  constexpr std::array<std::pair<const char*, const char*>, 7> kKeys = {
      {{"step", "step"},
       {"validation_loss", "validation_loss"},
       {"validation_bpb", "validation_bpb"},
       {"mean_loops", "mean_loops"},
       {"loops_by_layer", "loops_by_layer"},
       {"local_gate_by_layer", "local_gates"},
       {"global_gate_by_layer", "global_gates"}}};
  auto curve = nlohmann::ordered_json::object();
  for_each_json_line(metrics, [&](const nlohmann::json& row, const std::string&) {
    if (row.contains("validation_loss")) {
      for (const auto& [in_metrics, in_curve] : kKeys) {
        if (row.contains(in_metrics)) {
          curve[in_curve].push_back(nlohmann::ordered_json(row[in_metrics]));
        }
      }
    }
    return true;
  });
  return curve;
}

void ensure_inside(const RunConfig& run, const std::filesystem::path& folder) {
  const auto path = folder / "inside.json";
  if (std::filesystem::exists(path)) {
    return;
  }
  const auto data = open_run_data(run);
  const auto loaded = load_inference_model(folder, choose_device(run.training.device));
  const SequentialRows rows(data.validation, run.training.sequence_length);
  const auto count = std::min(run.training.validation_rows, rows.num_rows());
  InsideOptions options;
  options.compute_dtype = run.training.forward_options().compute_dtype;
  const auto inside = measure_inside(loaded.model, loaded.tokenizer, rows.rows(0, count), options);
  write_file_atomically(path, to_json(inside).dump() + "\n");
}

nlohmann::ordered_json read_inside(const std::filesystem::path& folder) {
  const auto path = folder / "inside.json";
  if (!std::filesystem::exists(path)) {
    return nullptr;
  }
  auto json = nlohmann::ordered_json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    fail(ErrorCode::kData,
         "{}: expected what a model does within, got broken JSON. Remove the file to measure it "
         "anew.",
         path.string());
  }
  return json;
}

}  // namespace loopbank

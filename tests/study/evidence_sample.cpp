#include <array>
#include <cmath>

#include "report_sample.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<double, 3> kSeedShifts = {-0.001, 0.0002, 0.0008};

/// Ten points a factor of two apart, the last at 4.096 M tokens.
Json score_curve(const std::string& system, const Json& columns, int seed) {
  Json curve = {{"seed", seed}};
  for (int point = 0; point < 10; ++point) {
    const double tokens = 8000 * std::exp2(point);
    curve["step"].push_back(static_cast<int>(tokens / 1000));
    curve["tokens"].push_back(tokens);
    for (const auto& column : columns) {
      const double base = 2.5 - 0.1 * std::log2(tokens / 8000);
      const double shift = kSeedShifts.at(static_cast<size_t>(seed - 1));
      const double gain =
          slope_of_sample(system) * std::log2(tokens / kSampleCrossing) * (1 + shift);
      curve["scores"][column["key"].get<std::string>()].push_back(base + gain);
    }
  }
  return curve;
}

Json thinking(int layers) {
  Json json = {{"task", "reasoning"}, {"seeds", 3}, {"tokens", 900}};
  json["correlation"] = {{"rho", 0.41}, {"low", 0.35}, {"high", 0.47}, {"has_interval", true}};
  for (int layer = 0; layer < layers; ++layer) {
    json["by_layer"].push_back({{"rho", 0.1 * layer},
                                {"low", 0.1 * layer - 0.05},
                                {"high", 0.1 * layer + 0.05},
                                {"has_interval", true}});
  }
  for (int steps = 1; steps <= 4; ++steps) {
    Json cell = {{"steps", steps}, {"tokens", 300 - 50 * steps}, {"loops", 1.2 + 0.2 * steps}};
    for (int layer = 0; layer < layers; ++layer) {
      cell["loops_by_layer"].push_back(1.2 + 0.1 * layer * steps);
    }
    json["by_steps"].push_back(cell);
  }
  return json;
}

void add_evidence(Json& part) {
  // A key that is added moves what stands beside it.
  part["score_curves"] = Json::object();
  part["thinking"] = Json::object();
  for (auto& system : part["systems"]) {
    const auto name = system["name"].get<std::string>();
    for (const double share : {0.98, 1.0, 1.02}) {
      system["expected_flops_by_seed"].push_back(share *
                                                 system["expected_flops_per_token"].get<double>());
    }
    if (system["group"] == "paper") {
      for (int seed = 1; seed <= 3; ++seed) {
        part["score_curves"][name].push_back(score_curve(name, part["columns"], seed));
      }
    }
    if (system["loops"] > 0) {
      system["loop_scale_init"] = 0.5413;
      system["router_bias"] = 0.0;
      part["thinking"][name].push_back(thinking(system["layers"].get<int>()));
    }
  }
}

}  // namespace

double slope_of_sample(const std::string& system) {
  return system == "isopar" ? 0.0 : system.starts_with("loop") ? -0.02 : 0.01;
}

Json full_results() {
  auto json = results_without_curves_of_scores();
  for (auto& part : json["parts"]) {
    add_evidence(part);
  }
  json["systems"] = json["parts"][0]["systems"];
  return json;
}

}  // namespace loopbank::testing

#include "loopbank/study/systems.h"

#include <algorithm>

#include "loopbank/study/presets.h"
#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

constexpr int64_t kMemoryLoops = 3;

/// What a scale adds to its preset: how large the memory is, and in which steps widths grow.
struct ScaleSizes {
  std::string_view preset;
  int64_t local_slots;
  int64_t global_slots;
  int64_t width_step;
};

ScaleSizes sizes_of(Scale scale) {
  switch (scale) {
    case Scale::kDemo:
      return {kDemoPreset, 64, 32, 16};
    case Scale::kSmall:
      return {kSmallPreset, 256, 128, 64};
    case Scale::kPaper:
      break;
  }
  return {kPaperPreset, 1024, 512, 256};
}

RunConfig base_run(Scale scale, const ScaleSizes& sizes,
                   const std::vector<std::string>& overrides) {
  RunConfig run;
  read_toml_text(sizes.preset, fmt::format("configs/{}/base.toml", name_of(scale)), overrides,
                 run.sections());
  return run;
}

RunConfig with_loops(RunConfig run, int64_t loops) {
  run.model.max_loops = {{loops}, false};
  return run;
}

RunConfig with_memory(const RunConfig& base, const ScaleSizes& sizes, double gate_bias) {
  auto run = with_loops(base, kMemoryLoops);
  run.model.local_memory_slots = sizes.local_slots;
  run.model.global_memory_slots = sizes.global_slots;
  run.model.memory_gate_bias_init = gate_bias;
  return run;
}

/// Makes the systems of one scale; the solver's baselines share its two inputs.
class Builder {
 public:
  Builder(Scale scale, const std::vector<std::string>& overrides)
      : sizes_(sizes_of(scale)), base_(base_run(scale, sizes_, overrides)) {}

  System dense(std::string name, std::string label, PaperScores paper) const {
    auto run = base_;
    run.model = dense_twin(run.model);
    return finish({std::move(name), std::move(label), std::move(run), paper, std::nullopt});
  }
  System loops(std::string name, std::string label, int64_t loops, PaperScores paper) const {
    return finish(
        {std::move(name), std::move(label), with_loops(base_, loops), paper, std::nullopt});
  }
  System memory(std::string name, std::string label, double gate_bias, PaperScores paper) const {
    return finish({std::move(name), std::move(label), with_memory(base_, sizes_, gate_bias), paper,
                   std::nullopt});
  }
  System matched(std::string name, std::string label, MatchBy by, bool of_memory,
                 PaperScores paper) const {
    auto run = of_memory ? with_memory(base_, sizes_, 0.0) : with_loops(base_, kMemoryLoops);
    const auto baseline = match_baseline(
        run.model,
        {.by = by, .sequence_length = run.training.sequence_length, .step = sizes_.width_step});
    run.model = baseline.model;
    return finish({std::move(name), std::move(label), std::move(run), paper, baseline});
  }

 private:
  static System finish(System system) {
    system.run.validate();
    return system;
  }

  ScaleSizes sizes_;
  RunConfig base_;
};

}  // namespace

std::string_view name_of(Scale scale) {
  switch (scale) {
    case Scale::kDemo:
      return "demo";
    case Scale::kSmall:
      return "small";
    case Scale::kPaper:
      break;
  }
  return "paper";
}

std::vector<System> study_systems(Scale scale, const std::vector<std::string>& overrides) {
  const Builder make(scale, overrides);
  std::vector<System> systems;
  systems.push_back(make.dense("isopar", "IsoPar", {0.477, 0.859, 2.163}));
  systems.push_back(make.loops("loop3", "Loop-3", 3, {0.501, 0.813, 1.687}));
  systems.push_back(make.loops("loop5", "Loop-5", 5, {0.503, 0.823, 1.737}));
  systems.push_back(make.loops("loop7", "Loop-7", 7, {0.498, 0.832, 1.659}));
  systems.push_back(
      make.matched("isoflop", "IsoFLOP", MatchBy::kFlops, false, {0.523, 0.780, 1.801}));
  systems.push_back(
      make.matched("isopar-m", "IsoPar-M", MatchBy::kParameters, true, {0.459, 0.823, 2.108}));
  systems.push_back(make.memory("mem-gm3", "Mem (g0=-3)", -3.0, {0.472, 0.810, 1.619}));
  systems.push_back(make.memory("mem-g0", "Mem (g0=0)", 0.0, {0.481, 0.810, 1.662}));
  systems.push_back(make.memory("mem-g3", "Mem (g0=3)", 3.0, {0.511, 0.794, 1.616}));
  systems.push_back(
      make.matched("isoflop-m", "IsoFLOP-M", MatchBy::kFlops, true, {0.535, 0.749, 1.761}));
  return systems;
}

std::vector<System> choose_systems(std::vector<System> systems,
                                   const std::vector<std::string>& names) {
  if (names.empty()) {
    return systems;
  }
  std::vector<std::string> known;
  for (const auto& system : systems) {
    known.push_back(system.name);
  }
  for (const auto& name : names) {
    if (std::find(known.begin(), known.end(), name) == known.end()) {
      fail(ErrorCode::kConfig, "study: expected names of systems, got \"{}\".{}", name,
           suggestion(name, known));
    }
  }
  std::erase_if(systems, [&](const System& system) {
    return std::find(names.begin(), names.end(), system.name) == names.end();
  });
  return systems;
}

}  // namespace loopbank

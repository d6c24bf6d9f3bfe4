#include "loopbank/study/systems.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"
#include "loopbank/train/run_init.h"

namespace loopbank {
namespace {

/// One of the paper's ten.
struct PaperSystem {
  const char* name;
  const char* label;
  const char* retrofit;        ///< label of what is made from an existing model; null: none is
  int64_t loops;               ///< N; 0: dense
  std::optional<double> gate;  ///< g0 of a memory system
  const char* match;           ///< of a baseline that the solver derives; else null
  const char* by;
  std::array<double, 3> scores;  ///< commonsense accuracy and BPB, math BPB
};

constexpr std::array<PaperSystem, 10> kPaperSystems = {{
    {"isopar", "IsoPar", "Dense, continued", 0, {}, nullptr, nullptr, {0.477, 0.859, 2.163}},
    {"loop3", "Loop-3", "3 loops", 3, {}, nullptr, nullptr, {0.501, 0.813, 1.687}},
    {"loop5", "Loop-5", "5 loops", 5, {}, nullptr, nullptr, {0.503, 0.823, 1.737}},
    {"loop7", "Loop-7", "7 loops", 7, {}, nullptr, nullptr, {0.498, 0.832, 1.659}},
    {"isoflop", "IsoFLOP", nullptr, 0, {}, "loop3", "flops", {0.523, 0.780, 1.801}},
    {"isopar-m", "IsoPar-M", nullptr, 0, {}, "mem-g0", "parameters", {0.459, 0.823, 2.108}},
    {"mem-gm3",
     "Mem (g0=-3)",
     "3 loops, memory (g0=-3)",
     3,
     -3.0,
     nullptr,
     nullptr,
     {0.472, 0.810, 1.619}},
    {"mem-g0", "Mem (g0=0)", "3 loops, memory", 3, 0.0, nullptr, nullptr, {0.481, 0.810, 1.662}},
    {"mem-g3",
     "Mem (g0=3)",
     "3 loops, memory (g0=3)",
     3,
     3.0,
     nullptr,
     nullptr,
     {0.511, 0.794, 1.616}},
    {"isoflop-m", "IsoFLOP-M", nullptr, 0, {}, "mem-g0", "flops", {0.535, 0.749, 1.761}},
}};

constexpr int kMostLikes = 16;  // systems that are each like the next

/// Resolves names to systems; a system may be like, or match, any other one.
class Builder {
 public:
  explicit Builder(const StudyConfig& config) : config_(config) {}

  System make(const std::string& name, int depth = 0) const {
    if (depth > kMostLikes) {
      fail(ErrorCode::kConfig, "system.{}: expected systems of which one stands alone, got a ring.",
           name);
    }
    for (const auto& own : config_.systems) {
      if (own.name == name) {
        auto places = config_.places;
        auto system = make_own(own, depth, places);
        return finish(std::move(system), places);
      }
    }
    for (const auto& paper : kPaperSystems) {
      if (paper.name == name) {
        return finish(make_paper(paper, depth), config_.places);
      }
    }
    fail(ErrorCode::kConfig, "study: expected names of systems, got \"{}\".{}", name,
         suggestion(name, known()));
  }

 private:
  [[nodiscard]] std::vector<std::string> known() const {
    std::vector<std::string> names;
    for (const auto& own : config_.systems) {
      names.push_back(own.name);
    }
    for (const auto& paper : kPaperSystems) {
      names.emplace_back(paper.name);
    }
    return names;
  }

  [[nodiscard]] System make_paper(const PaperSystem& paper, int depth) const {
    const bool retrofit = config_.is_retrofit();
    System system{.name = paper.name,
                  .label = retrofit && paper.retrofit != nullptr ? paper.retrofit : paper.label,
                  .group = "paper",
                  .run = config_.run,
                  .paper = {},
                  .match = {},
                  .seeds = config_.study.seeds.values};
    if (!retrofit) {
      system.paper = {{"commonsense_accuracy", paper.scores[0]},
                      {"commonsense_bpb", paper.scores[1]},
                      {"math_bpb", paper.scores[2]}};
    }
    if (paper.match != nullptr) {
      derive(system, paper.match, paper.by, depth);
    } else if (paper.loops == 0) {
      system.run.model = retrofit ? system.run.model : dense_twin(system.run.model);
    } else {
      system.run.model.max_loops = paper.loops;
    }
    if (paper.gate) {
      system.run.model.local_memory_slots = config_.study.local_slots;
      system.run.model.global_memory_slots = config_.study.global_slots;
      system.run.model.memory_gate_bias_init = *paper.gate;
    }
    return system;
  }

  /// @param places  gets those of the system's own settings
  [[nodiscard]] System make_own(const SystemSettings& own, int depth, SettingPlaces& places) const {
    System system{
        .name = own.name,
        .label = own.label.empty() ? own.name : own.label,
        .group = own.group,
        .run = config_.run,
        .paper = {},
        .match = {},
        .seeds = own.seeds.values.empty() ? config_.study.seeds.values : own.seeds.values};
    if (!own.match.empty()) {
      derive(system, own.match, own.by, depth);
    } else {
      system.run = make(own.like, depth + 1).run;
    }
    const auto section = "system." + own.name;
    const auto* place = config_.places.find(section, "set");
    const auto source = fmt::format("{}: set", place == nullptr ? section : place->where);
    places.add(apply_settings(own.set, source, system.run.sections()));
    return system;
  }

  /// Makes the system the dense baseline of another. One in equal time is as large as the one of
  /// equal parameters: what it has left it spends on steps.
  void derive(System& system, const std::string& target, const std::string& by, int depth) const {
    if (config_.is_retrofit()) {
      fail(ErrorCode::kConfig,
           "study: expected systems that can start from {} (training.init), got {}, the dense "
           "baseline of {}: a wider or deeper model would have to start anew. The control is "
           "isopar.",
           config_.run.training.init, system.name, target);
    }
    const auto matched = make(target, depth + 1);
    system.run = matched.run;
    auto baseline = match_baseline(matched.run.model,
                                   {.by = by == "flops" ? MatchBy::kFlops : MatchBy::kParameters,
                                    .sequence_length = matched.run.training.sequence_length,
                                    .step = config_.study.width_step});
    system.run.model = baseline.model;
    system.match = Match{.system = target, .by = by, .baseline = std::move(baseline)};
  }

  System finish(System system, const SettingPlaces& places) const {
    system.run.training.seed = config_.study.seeds.values.front();
    if (config_.is_retrofit()) {
      // That of the model to start from: in a system made like another, loops have taken its place.
      system.run.model.depth_scale = config_.run.model.depth_scale;
      system.run.model =
          model_from_init(config_.run.model, system.run.model, config_.run.training.init);
    }
    check_together(places, system.run.sections(), "system." + system.name,
                   [&] { system.run.validate(); });
    return system;
  }

  const StudyConfig& config_;
};

}  // namespace

std::vector<System> study_systems(const StudyConfig& config) {
  const Builder builder(config);
  const auto& chosen = config.study.systems;
  std::vector<System> systems;
  for (const auto& name : chosen) {
    (void)builder.make(name);  // refuses what there is not
  }
  for (const auto& paper : kPaperSystems) {
    const bool is_usual = chosen.empty() && (!config.is_retrofit() || paper.retrofit != nullptr);
    if (is_usual || std::find(chosen.begin(), chosen.end(), paper.name) != chosen.end()) {
      systems.push_back(builder.make(paper.name));
    }
  }
  for (const auto& own : config.systems) {
    systems.push_back(builder.make(own.name));
  }
  return systems;
}

std::vector<System> study_systems(Scale scale, const std::vector<std::string>& overrides) {
  return study_systems(study_preset(scale, overrides));
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

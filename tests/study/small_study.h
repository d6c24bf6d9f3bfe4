#pragma once
/// A study of seconds: a small world, and models of one layer that take a few steps.

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/study/runner.h"
#include "loopbank/support/files.h"

namespace loopbank::testing {

inline BenchmarkOptions small_benchmark(uint64_t seed = 3) {
  BenchmarkOptions options;
  options.seed = seed;
  options.facts = {.num_people = 8, .num_places = 8, .values_per_attribute = 4};
  options.num_eval_instances = 8;
  options.training_bytes = 20'000;
  options.validation_bytes = 4'000;
  return options;
}

/// `section.key=value` texts that make a preset as small.
inline std::vector<std::string> small_settings() {
  return {"study.seeds=[3]",
          "model.vocab_size=280",
          "model.hidden_size=16",
          "model.intermediate_size=32",
          "model.num_hidden_layers=1",
          "model.num_attention_heads=2",
          "training.steps=6",
          "training.batch=2",
          "training.sequence_length=16",
          "training.validate_every=3",
          "training.validation_rows=2",
          "training.checkpoint_every=2",
          "training.precision=fp32",
          "training.device=cpu",
          "benchmark.people=8",
          "benchmark.places=8",
          "benchmark.values=4",
          "benchmark.instances=8",
          "benchmark.training_bytes=20000",
          "benchmark.validation_bytes=4000"};
}

inline StudyOptions small_study(const std::filesystem::path& out,
                                std::vector<std::string> systems = {"isopar", "loop3"},
                                const std::vector<std::string>& more = {}) {
  auto settings = small_settings();
  settings.insert(settings.end(), more.begin(), more.end());
  StudyOptions options;
  options.scale = "demo";
  options.parts = {study_preset(Scale::kDemo, settings)};
  options.out = out;
  options.systems = std::move(systems);
  options.command = "loopbank study <here> & now";
  options.show_progress = false;
  return options;
}

inline std::filesystem::path run_folder(const std::filesystem::path& out, const std::string& system,
                                        int seed = 3) {
  return out / "benchmark" / fmt::format("seed-{}", seed) / "systems" / system;
}

inline nlohmann::json json_of_file(const std::filesystem::path& path) {
  return nlohmann::json::parse(read_file(path));
}

}  // namespace loopbank::testing

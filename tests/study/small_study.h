#pragma once
/// A study of seconds: a small world, and models of one layer that take a few steps.

#include <string>
#include <utility>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/study/runner.h"

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

inline StudyOptions small_study(const std::filesystem::path& out,
                                std::vector<std::string> systems = {"isopar", "loop3"}) {
  StudyOptions options;
  options.out = out;
  options.systems = std::move(systems);
  options.seed = 3;
  options.overrides = {"model.vocab_size=280",
                       "model.hidden_size=16",
                       "model.intermediate_size=32",
                       "model.num_hidden_layers=1",
                       "model.num_attention_heads=2",
                       "training.steps=6",
                       "training.batch=2",
                       "training.sequence_length=16",
                       "training.validation_rows=2",
                       "training.checkpoint_every=2",
                       "training.precision=fp32",
                       "training.device=cpu"};
  options.benchmark = small_benchmark();
  options.command = "loopbank study <here> & now";
  options.show_progress = false;
  return options;
}

}  // namespace loopbank::testing

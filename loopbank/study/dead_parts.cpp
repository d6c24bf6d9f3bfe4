#include "loopbank/study/dead_parts.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/support/progress.h"
#include "loopbank/train/alarms.h"

namespace loopbank {
namespace {

std::vector<DeadPart> dead_parts_in(const SystemResult& system) {
  std::vector<DeadPart> found;
  for (const auto& alarm : system.alarms) {
    auto same = std::find_if(found.begin(), found.end(), [&](const DeadPart& part) {
      return part.kind == alarm.kind && part.layers == alarm.layers;
    });
    if (same == found.end()) {
      found.push_back({.system = system.label,
                       .kind = alarm.kind,
                       .what = alarm.message,
                       .layers = alarm.layers,
                       .of_layers = system.layers,
                       .of_seeds = static_cast<int64_t>(system.seeds.size())});
      same = found.end() - 1;
    }
    same->seeds.push_back(alarm.seed);
  }
  return found;
}

std::string seeds_of(const DeadPart& part) {
  return fmt::format("{} of {}", part.seeds.size(), plural(part.of_seeds, "seed"));
}

}  // namespace

std::string DeadPart::where() const {
  return layers.empty() ? "the whole model" : spoken_layers(layers, of_layers);
}

std::vector<DeadPart> dead_parts_of(const PartResult& part) {
  std::vector<DeadPart> all;
  for (const auto& system : part.systems) {
    for (auto& dead : dead_parts_in(system)) {
      all.push_back(std::move(dead));
    }
  }
  return all;
}

std::string dead_parts(const PartResult& part, const std::string& system) {
  const auto* found = part.find(system);
  std::string text;
  for (const auto& dead : found == nullptr ? std::vector<DeadPart>() : dead_parts_in(*found)) {
    text += fmt::format("{}{} ({}, {})", text.empty() ? "" : "; ", dead.what, dead.where(),
                        seeds_of(dead));
  }
  return text;
}

WatchedRuns watched_runs(const PartResult& part) {
  WatchedRuns runs;
  for (const auto& system : part.systems) {
    if (system.loops > 0) {
      runs.watched += static_cast<int64_t>(system.watched_seeds.size());
      runs.all += static_cast<int64_t>(system.seeds.size());
    }
  }
  return runs;
}

std::string unwatched_runs(const PartResult& part) {
  const auto runs = watched_runs(part);
  const auto unwatched = runs.all - runs.watched;
  return unwatched <= 0 ? ""
                        : fmt::format(
                              "{} of {} not watched: alarms off, or fewer validations than an "
                              "alarm waits for.",
                              unwatched, plural(runs.all, "run"));
}

std::string no_dead_parts(const PartResult& part) {
  const auto runs = watched_runs(part);
  if (runs.watched == 0) {
    return unwatched_runs(part);
  }
  return fmt::format("none found in {} of {}.{}{}", runs.watched, plural(runs.all, "run"),
                     runs.watched < runs.all ? " " : "", unwatched_runs(part));
}

std::string format_dead_parts(const PartResult& part) {
  const auto none = no_dead_parts(part);
  if (none.empty()) {
    return "";
  }
  std::string text = "Dead parts:";
  const auto all = dead_parts_of(part);
  for (const auto& dead : all) {
    text += fmt::format("\n  {}: {}, {}, {}", dead.system, dead.what, dead.where(), seeds_of(dead));
  }
  if (all.empty()) {
    return text + " " + none + "\n";
  }
  const auto unwatched = unwatched_runs(part);
  return text + (unwatched.empty() ? "" : "\n  " + unwatched) + "\n";
}

}  // namespace loopbank

#include "loopbank/study/dead_parts.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

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
                       .of_seeds = static_cast<int64_t>(system.seeds.size())});
      same = found.end() - 1;
    }
    same->seeds.push_back(alarm.seed);
  }
  return found;
}

std::string seeds_of(const DeadPart& part) {
  return fmt::format("{} of {} seed{}", part.seeds.size(), part.of_seeds,
                     part.of_seeds == 1 ? "" : "s");
}

}  // namespace

std::string DeadPart::where() const {
  return layers.empty()
             ? "the whole model"
             : fmt::format("layer{} {}", layers.size() > 1 ? "s" : "", fmt::join(layers, ", "));
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

std::string no_dead_parts(const PartResult& part) {
  const bool any = std::any_of(part.systems.begin(), part.systems.end(),
                               [](const SystemResult& system) { return system.loops > 0; });
  return any ? "none: every loop, bank, gate and router of every run does something." : "";
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
  return all.empty() ? text + " " + none + "\n" : text + "\n";
}

}  // namespace loopbank

// Question 5: what stopping early costs, and what it saves.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loopbank/study/answers.h"
#include "loopbank/study/exits_table.h"

namespace loopbank {
namespace {

/// A system and what it saves at most at a price.
struct Saving {
  const SystemResult* system;
  const ExitSummary* best;
  double price;

  [[nodiscard]] bool saves() const { return best->flops_saved() > 0.0; }
  /// Beyond doubt: the price is kept, and FLOPs and time are saved, whatever the seed.
  [[nodiscard]] bool is_clear() const {
    const auto above_zero = [](const std::vector<double>& by_seed) {
      const auto interval = student_difference(by_seed);
      return interval && interval->low > 0.0;
    };
    return saves() && is_clearly_within(*best, price) && above_zero(best->flops_saved_by_seed) &&
           above_zero(best->time_saved_by_seed);
  }
};

/// Of the paper's systems, or of all where none of those was measured; where some have two seeds or
/// more, those alone.
std::vector<const SystemResult*> systems_with_exits(const PartResult& part) {
  std::vector<const SystemResult*> systems;
  for (const auto& row : exits_rows(part)) {
    if (row.price == kEqualShare) {
      systems.push_back(row.system);
    }
  }
  const auto keep = [&](auto&& wanted) {
    if (std::any_of(systems.begin(), systems.end(), wanted)) {
      std::erase_if(systems, [&](const auto* system) { return !wanted(system); });
    }
  };
  keep([](const SystemResult* system) { return system->group == "paper"; });
  keep([](const SystemResult* system) { return system->exits->seeds.size() > 1; });
  return systems;
}

/// What the systems save at a price.
struct Savings {
  std::vector<Saving> all;

  Savings(const PartResult& part, double price) {
    for (const auto* system : systems_with_exits(part)) {
      all.push_back(
          {system, most_saved(*system->exits, "scoring", price, &ExitSummary::flops_saved), price});
    }
  }
  [[nodiscard]] size_t saving() const {
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [](const Saving& one) { return one.saves(); }));
  }
  [[nodiscard]] size_t clear() const {
    return static_cast<size_t>(
        std::count_if(all.begin(), all.end(), [](const Saving& one) { return one.is_clear(); }));
  }
  /// The one that saves most FLOPs.
  [[nodiscard]] const Saving& most() const {
    return *std::max_element(all.begin(), all.end(), [](const Saving& a, const Saving& b) {
      return a.best->flops_saved() < b.best->flops_saved();
    });
  }
  /// Likewise of those that are clear, of which there is one at least.
  [[nodiscard]] const Saving& most_clear() const {
    return *std::max_element(all.begin(), all.end(), [](const Saving& a, const Saving& b) {
      return std::pair(a.is_clear(), a.best->flops_saved()) <
             std::pair(b.is_clear(), b.best->flops_saved());
    });
  }
};

/// `BPB +0.12 % (95 % interval over seeds -0.03 to +0.27 %)`.
std::string describe_rise(const SystemComparison& bpb) {
  return fmt::format("BPB {} (95 % interval over {} {:+.2f} to {:+.2f} %)", rise_text(bpb),
                     bpb.over_seeds ? "seeds" : "rows of text", 100 * bpb.decisive.low / bpb.there,
                     100 * bpb.decisive.high / bpb.there);
}

/// `At equal perplexity 4 of 6 systems skip loops, 1 clearly. Loop-7 saves most, by cdf 1/2: ...`
std::string describe_savings(const std::string& at, const Savings& savings) {
  const auto count = savings.all.size();
  if (savings.saving() == 0) {
    return fmt::format(
        "{}, no rule that was tried skips a loop in {}.", at,
        count == 1 ? savings.all.front().system->label : fmt::format("any of {} systems", count));
  }
  const auto& most = savings.most();
  const auto& best = *most.best;
  const auto clearly = savings.clear() == savings.saving() ? "clearly"
                       : savings.clear() == 0              ? "none clearly"
                                              : fmt::format("{} clearly", savings.clear());
  const auto saved = fmt::format("by {}: {} of the FLOPs and {} of the time, {}", best.label(),
                                 saved_text(best.flops_saved_by_seed),
                                 saved_text(best.time_saved_by_seed), describe_rise(best.bpb));
  return count == 1 ? fmt::format("{}, {} skips loops{} {}.", at, most.system->label,
                                  savings.clear() == 1 ? " clearly," : ", not clearly,", saved)
                    : fmt::format("{}, {} of {} systems skip loops, {}. {} saves most, {}.", at,
                                  savings.saving(), count, clearly, most.system->label, saved);
}

/// Where tokens are decoded one by one, the time that the same rule saves.
std::string describe_decoding(const Saving& saving) {
  const auto* decoded = saving.system->exits->find(saving.best->name, "full", "decode");
  return decoded == nullptr || !saving.saves()
             ? ""
             : fmt::format(" Decoding token by token, that rule saves {} of the time.",
                           saved_text(decoded->time_saved_by_seed));
}

/// What the rule that a system chose on its text does to its answers.
std::string describe_questions(const PartResult& part, const Savings& savings) {
  const auto* system = savings.most().system;
  size_t worse = 0;
  size_t all = 0;
  std::string example;
  for (const auto& column : part.columns) {
    for (const auto& saving : savings.all) {
      const auto found = saving.system->exits->questions.find(column.key);
      if (!column.is_bpb() || !saving.saves() || found == saving.system->exits->questions.end()) {
        continue;
      }
      ++all;
      worse += found->second.verdict == Verdict::kWorse ? 1 : 0;
      if (saving.system == system) {
        example += fmt::format("{}{} {}", example.empty() ? "" : "; ", column.title,
                               describe(found->second));
      }
    }
  }
  return all == 0 ? ""
                  : fmt::format(
                        " Asked the study's questions under the cheapest rule within half a "
                        "percent, which each seed chose on its text, the systems do clearly worse "
                        "in {} of {} scores; {}: {}.",
                        worse, all, system->label, example);
}

/// The gate against the rule that needs none, over all systems, when text is scored.
std::string describe_gate(const PartResult& part) {
  size_t better = 0;
  size_t worse = 0;
  size_t all = 0;
  const GateComparison* largest = nullptr;
  const SystemResult* of = nullptr;
  for (const auto* system : systems_with_exits(part)) {
    for (const auto& comparison : system->exits->gate) {
      if (comparison.where != "scoring") {
        continue;
      }
      ++all;
      better += comparison.bpb.verdict == Verdict::kBetter ? 1 : 0;
      worse += comparison.bpb.verdict == Verdict::kWorse ? 1 : 0;
      if (largest == nullptr ||
          std::abs(comparison.bpb.relative()) > std::abs(largest->bpb.relative())) {
        largest = &comparison;
        of = system;
      }
    }
  }
  return all == 0 ? " The gate and the rule without one did not meet at equal FLOPs."
                  : fmt::format(
                        " At equal FLOPs the trained gate (cdf) is clearly better than the rule "
                        "that needs none (change) in {} of {} comparisons and clearly worse in {}; "
                        "they differ most in {} at {} of its loops: {}.",
                        better, all, worse, of->label, largest->gate.substr(4),
                        describe_rise(largest->bpb));
}

/// What other keys and values cost under the gate's middle rule.
std::string describe_policies(const SystemResult& system) {
  const auto& exits = *system.exits;
  std::string text;
  for (const auto& result : exits.results) {
    if (result.kv == "full" || result.where != "decode" || result.name == "all") {
      continue;
    }
    const auto* full = exits.find(result.name, "full", "decode");
    if (text.empty() && full != nullptr) {
      text = fmt::format("{} with keys and values made late (full)", rise_text(full->bpb));
    }
    text += fmt::format("{}{} with {}", text.empty() ? "" : ", ", rise_text(result.bpb), result.kv);
  }
  return text.empty() ? ""
                      : fmt::format(
                            " While {} decodes and its tokens leave by the gate, BPB moves "
                            "by {}.",
                            system.label, text);
}

}  // namespace

Answer answer_exits(const PartResult& part) {
  const auto systems = systems_with_exits(part);
  if (systems.empty()) {
    return {.text = "It takes a trained system with loops whose exits were measured."};
  }
  const Savings equal(part, kEqualShare);
  const Savings close(part, kCloseShare);
  size_t seeds = systems.front()->exits->seeds.size();
  for (const auto* system : systems) {
    seeds = std::min(seeds, system->exits->seeds.size());
  }
  Answer answer;
  if (seeds < 2) {
    answer.tone = Tone::kOpen;
    answer.headline = "One seed is too little to tell";
  } else if (equal.clear() > 0) {
    const auto& most = *equal.most_clear().best;
    answer.tone = equal.clear() == equal.all.size() ? Tone::kYes : Tone::kPartly;
    answer.headline =
        fmt::format("Up to {:.0f} % of the FLOPs and {:.0f} % of the time at equal perplexity",
                    100 * most.flops_saved(), 100 * most.time_saved());
  } else {
    answer.tone = equal.saving() > 0 ? Tone::kOpen : Tone::kNo;
    answer.headline = equal.saving() > 0 ? "Too near to tell" : "Nothing at equal perplexity";
  }
  answer.text = describe_savings("At equal perplexity (BPB up by 0.1 % at most)", equal) + " " +
                describe_savings("Within half a percent", close) + describe_decoding(close.most());
  const auto caveat = caveat_of_seeds(part, static_cast<int64_t>(seeds));
  answer.more = (describe_questions(part, close) + describe_gate(part) +
                 describe_policies(*close.most().system) + (caveat.empty() ? "" : " " + caveat))
                    .substr(1);
  return answer;
}

}  // namespace loopbank

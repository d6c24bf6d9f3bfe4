#include "loopbank/study/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace loopbank {
namespace {

std::string num_of(size_t count, size_t all) {
  return count == all ? fmt::format("all {}", all) : fmt::format("{} of {}", count, all);
}

/// The sentences that are not empty, with blanks between.
std::string joined(const std::vector<std::string>& sentences) {
  std::string text;
  for (const auto& sentence : sentences) {
    text += text.empty() || sentence.empty() ? "" : " ";
    text += sentence;
  }
  return text;
}

/// How systems of one family compare with one other system.
struct Tally {
  size_t all = 0;
  size_t better = 0;
  size_t worse = 0;
  size_t over_seeds = 0;                         ///< compared over two seeds or more
  const SystemResult* best = nullptr;            ///< the one whose score is best
  const SystemComparison* comparison = nullptr;  ///< of the best

  [[nodiscard]] Tone tone() const {
    if (all == 0) {
      return Tone::kUnmeasured;
    }
    if (better == all) {
      return Tone::kYes;
    }
    if (better > 0) {
      return Tone::kPartly;
    }
    return worse > 0 ? Tone::kNo : Tone::kOpen;
  }
};

std::string headline_of(Tone tone) {
  constexpr std::array<const char*, 5> kHeadlines = {"Yes", "Partly", "No", "Not told apart",
                                                     "Not measured"};
  return kHeadlines.at(static_cast<size_t>(tone));
}

Tally compare_family(const PartResult& part, std::string_view family, const std::string& other,
                     const Column& column) {
  Tally tally;
  for (const auto& system : part.systems) {
    const auto* comparison = part.compared({system.name, other, column.key});
    if (system.group != "paper" || system.family != family || comparison == nullptr) {
      continue;
    }
    ++tally.all;
    tally.better += comparison->verdict == Verdict::kBetter ? 1 : 0;
    tally.over_seeds += comparison->over_seeds ? 1 : 0;
    tally.worse += comparison->verdict == Verdict::kWorse ? 1 : 0;
    if (tally.best == nullptr || comparison->here < tally.comparison->here) {
      tally.best = &system;
      tally.comparison = comparison;
    }
  }
  return tally;
}

/// `All 3 looped systems have a clearly lower reasoning BPB than IsoPar; the best, Loop-7, has ...`
std::string describe_tally(const Tally& tally, const std::string& who, const std::string& other,
                           const Column& column) {
  if (tally.over_seeds == 0) {
    return fmt::format("No finding without two common seeds; the best of {} {}, {}, has {}.",
                       tally.all, who, tally.best->label, describe(*tally.comparison));
  }
  const auto than = fmt::format("lower {} than {}", column.title, other);
  std::string text;
  if (tally.better > 0) {
    text = fmt::format("{} {} {} a clearly {}", num_of(tally.better, tally.all), who,
                       tally.better == 1 && tally.all > 1 ? "has" : "have", than);
  } else {
    text = fmt::format("none of {} {} has a clearly {}", tally.all, who, than);
  }
  if (tally.worse > 0) {
    text += fmt::format(" and {} {} clearly worse", tally.worse, tally.worse == 1 ? "is" : "are");
  }
  text[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(text[0])));
  return text +
         fmt::format("; the best, {}, has {}.", tally.best->label, describe(*tally.comparison));
}

/// What the verdict leaves open: another seed, or of several seeds that they are too few for what
/// their questions tell. Empty where nothing.
std::string doubt_of_seeds(const PartResult& part, const SystemComparison& comparison) {
  if (!comparison.over_seeds) {
    return caveat_of_seeds(part, comparison.num_seeds);
  }
  if (!comparison.questions.excludes_zero() || comparison.verdict != Verdict::kOpen) {
    return "";
  }
  return fmt::format(
      "Over the questions alone the difference is clear ({:+.3f} to {:+.3f}): {} "
      "seeds are too few to tell.",
      comparison.questions.low, comparison.questions.high, comparison.num_seeds);
}

std::string how(Verdict verdict) {
  return verdict == Verdict::kBetter  ? "is better"
         : verdict == Verdict::kWorse ? "is worse"
                                      : "is not told apart";
}

/// `With learned scales on both sides, Loop-3 against Loop-1 is better: ...`; empty where that was
/// not measured.
std::string against(const PartResult& part, const std::string& what, const SystemResult& system,
                    const std::string& other_name, const Column& column) {
  const auto* other = part.find(other_name);
  const auto* comparison = part.compared({system.name, other_name, column.key});
  return other == nullptr || comparison == nullptr
             ? ""
             : fmt::format("{}, {} against {} {}: {}.", what, system.label, other->label,
                           how(comparison->verdict), describe(*comparison));
}

/// What one system costs more than another.
struct Cost {
  double SystemResult::*figure;
  const char* name;
};

/// `At equal FLOPs a token, Loop-3 against IsoFLOP is better: ...` for the system that the baseline
/// was derived from, or else for `otherwise`; the cost ratio is told where it is not near 1. Empty
/// where that was not measured.
std::string at_equal_cost(const PartResult& part, const std::string& baseline,
                          const SystemResult& otherwise, const Cost& cost, const Column& column) {
  constexpr double kNearCost = 0.05;
  const auto* base = part.find(baseline);
  if (base == nullptr || base->*cost.figure == 0) {
    return "";
  }
  const auto* matched = base->matches ? part.find(base->matches->system) : nullptr;
  const bool of_family = matched != nullptr && matched->family == otherwise.family;
  const auto& system = of_family ? *matched : otherwise;
  const double ratio = system.*cost.figure / base->*cost.figure;
  const auto at = std::abs(ratio - 1) < kNearCost
                      ? fmt::format("At equal {}", cost.name)
                      : fmt::format("At {:.2f} times the {}", ratio, cost.name);
  return against(part, at, system, baseline, column);
}

/// Says so where the loops behind the first leave the state as it is: then no gain is theirs.
std::string dead_loops(const SystemResult& system) {
  constexpr double kNothing = 1e-3;
  double largest = 0.0;
  size_t loops = 0;
  for (const auto& changes : system.inside ? system.inside->state_change : ByLayerAndLoop()) {
    for (size_t i = 1; i < changes.size(); ++i) {
      largest = std::max(largest, changes[i]);
      ++loops;
    }
  }
  return loops == 0 || largest >= kNothing
             ? ""
             : fmt::format(
                   "But the loops of {} behind the first change the state by {:.1e} at most: "
                   "they do nothing, and the gain has another source.",
                   system.label, largest);
}

Answer answer_loops(const PartResult& part) {
  const auto* column = find_column(part.columns, "reasoning", Measure::kBpb);
  if (column == nullptr) {
    return {.text = "No reasoning column was scored."};
  }
  const auto tally = compare_family(part, "loops", "isopar", *column);
  if (tally.all == 0) {
    return {.text = fmt::format("It takes {} and a looped system without memory, both scored.",
                                part.init.empty() ? "IsoPar" : part.label_of("isopar"))};
  }
  const Cost flops{&SystemResult::forward_flops, "FLOPs a token"};
  const Cost time{&SystemResult::seconds, "time"};
  return {.tone = tally.tone(),
          .headline = headline_of(tally.tone()),
          .text = describe_tally(tally, "looped systems", part.label_of("isopar"), *column),
          .more = joined(
              {dead_loops(*tally.best),
               against(part, "With learned scales on both sides", *tally.best, "loop1", *column),
               at_equal_cost(part, "isoflop", *tally.best, flops, *column),
               at_equal_cost(part, "isotime", *tally.best, time, *column),
               doubt_of_seeds(part, *tally.comparison)})};
}

/// What part of the way from the looped system to IsoFLOP memory goes; empty without IsoFLOP.
std::string gap_closed(const PartResult& part, const Tally& tally, const SystemResult& base,
                       const Column& column) {
  const auto* isoflop = part.find("isoflop");
  const auto* gap =
      isoflop == nullptr ? nullptr : part.compared({isoflop->name, base.name, column.key});
  if (gap == nullptr) {
    return "";
  }
  if (gap->verdict != Verdict::kBetter) {
    return fmt::format("{} does not clearly lack knowledge against IsoFLOP: {:.3f} against {:.3f}.",
                       base.label, gap->there, gap->here);
  }
  const double share = (tally.comparison->here - gap->there) / (gap->here - gap->there);
  return share <= 0 ? fmt::format("Nothing of the gap to IsoFLOP ({:.3f}) is closed.", gap->here)
                    : fmt::format("That is {:.0f} % of the way to IsoFLOP ({:.3f}).", 100 * share,
                                  gap->here);
}

/// The paper's system that memory was added to: as many loops, no slots; null for none.
const SystemResult* base_of_memory(const PartResult& part) {
  const SystemResult* memory = nullptr;
  for (const auto& system : part.systems) {
    if (memory == nullptr && system.group == "paper" && system.family == "memory") {
      memory = &system;
    }
  }
  for (const auto& system : part.systems) {
    if (memory != nullptr && system.group == "paper" && system.family == "loops" &&
        system.loops == memory->loops) {
      return &system;
    }
  }
  return nullptr;
}

Answer answer_memory(const PartResult& part) {
  const auto* column = find_column(part.columns, "knowledge", Measure::kBpb);
  if (column == nullptr) {
    return {.text = "No knowledge column was scored."};
  }
  const auto* base = base_of_memory(part);
  if (base == nullptr) {
    return {.text =
                "It takes a system with memory banks and one of as many loops without, both "
                "scored."};
  }
  const auto tally = compare_family(part, "memory", base->name, *column);
  if (tally.all == 0) {
    return {.text = fmt::format("Nothing tells how sure the {} of the systems with memory is.",
                                column->title)};
  }
  const Cost parameters{&SystemResult::parameters, "parameters"};
  return {.tone = tally.tone(),
          .headline = headline_of(tally.tone()),
          .text = joined({describe_tally(tally, "systems with memory", base->label, *column),
                          gap_closed(part, tally, *base, *column)}),
          .more = joined({at_equal_cost(part, "isopar-m", *tally.best, parameters, *column),
                          doubt_of_seeds(part, *tally.comparison)})};
}

}  // namespace

std::string_view name_of(Tone tone) {
  constexpr std::array<std::string_view, 5> kNames = {"yes", "partly", "no", "open", "unmeasured"};
  return kNames.at(static_cast<size_t>(tone));
}

std::string caveat_of_seeds(const PartResult& part, int64_t num_seeds) {
  return num_seeds > 1            ? ""
         : part.seeds.size() == 1 ? "One seed was trained: another may move every score."
                                  : fmt::format(
                                        "These systems have {} seed in common: another may "
                                        "move their scores.",
                                        num_seeds == 1 ? "one" : "no");
}

std::array<Answer, kNumQuestions> answer_questions(const PartResult& part) {
  return {answer_loops(part), answer_memory(part), answer_together(part), answer_inside(part),
          answer_exits(part)};
}

}  // namespace loopbank

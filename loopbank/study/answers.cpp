#include "loopbank/study/answers.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/comparison.h"

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
  const Json* best = nullptr;   ///< the one whose score is best
  SystemComparison comparison;  ///< of the best

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
  switch (tone) {
    case Tone::kYes:
      return "Yes";
    case Tone::kPartly:
      return "Partly";
    case Tone::kNo:
      return "No";
    case Tone::kOpen:
      return "Too near to tell";
    case Tone::kUnmeasured:
      break;
  }
  return "Not measured";
}

Tally compare_family(const Json& part, std::string_view family, std::string_view other,
                     const ScoreColumn& column) {
  Tally tally;
  for (const auto* system : systems_of(part, {"paper"})) {
    if (text_at(*system, "family") != family) {
      continue;
    }
    const auto comparison = compare_systems(part, text_at(*system, "name"), other, column);
    if (!comparison) {
      continue;
    }
    ++tally.all;
    tally.better += comparison->decisive_verdict() > 0 ? 1 : 0;
    tally.worse += comparison->decisive_verdict() < 0 ? 1 : 0;
    const bool first = tally.best == nullptr;
    const bool lower = comparison->here < tally.comparison.here;
    if (first || lower == column.lower_is_better) {
      tally.best = system;
      tally.comparison = *comparison;
    }
  }
  return tally;
}

/// `All 3 looped systems have a lower reasoning BPB than IsoPar beyond the 95 % interval; ...`
std::string describe_tally(const Tally& tally, const std::string& who, const std::string& other,
                           const ScoreColumn& column) {
  const auto than = fmt::format("{} {} than {}", column.lower_is_better ? "lower" : "higher",
                                column.title, other);
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
  text += fmt::format("; the best, {}, has {}.", label_of(*tally.best),
                      describe_comparison(tally.comparison));
  return text;
}

/// What seeds leave open of a comparison that is clear over the questions; empty where nothing.
std::string doubt_of_seeds(const Json& part, const SystemComparison& comparison) {
  const auto seeds = numbers(member(part, "seeds")).size();
  if (seeds == 1) {
    return one_seed_warning(part);
  }
  if (comparison.verdict() == 0 || !comparison.seeds || comparison.verdict_over_seeds() != 0) {
    return "";
  }
  return fmt::format(
      "Over the questions alone the difference is clear ({:+.3f} to {:+.3f}): {} "
      "seeds are too few to tell.",
      comparison.low, comparison.high, seeds);
}

std::string how(const SystemComparison& comparison) {
  const int verdict = comparison.decisive_verdict();
  return verdict > 0 ? "is better" : verdict < 0 ? "is worse" : "is too near to tell";
}

/// `With learned scales on both sides, Loop-3 against Loop-1 is better: ...`; empty where that was
/// not measured.
std::string against(const Json& part, const std::string& what, const Json& system,
                    std::string_view other_name, const ScoreColumn& column) {
  const auto* other = find_system(part, other_name);
  const auto comparison = compare_systems(part, text_at(system, "name"), other_name, column);
  return other == nullptr || !comparison
             ? ""
             : fmt::format("{}, {} against {} {}: {}.", what, label_of(system), label_of(*other),
                           how(*comparison), describe_comparison(*comparison));
}

/// `At equal FLOPs a token, Loop-3 against IsoFLOP is better: ...` for the system that the baseline
/// was derived from, or else for `otherwise`; the cost ratio is told where it is not near 1. Empty
/// where that was not measured.
std::string at_equal_cost(const Json& part, std::string_view baseline, const Json& otherwise,
                          const char* cost_key, const char* cost_name, const ScoreColumn& column) {
  constexpr double kNearCost = 0.05;
  const auto* base = find_system(part, baseline);
  if (base == nullptr) {
    return "";
  }
  const auto* matched = find_system(part, text_at(member(*base, "matches"), "system"));
  const bool of_family =
      matched != nullptr && text_at(*matched, "family") == text_at(otherwise, "family");
  const auto& system = of_family ? *matched : otherwise;
  const auto cost = number_at(system, cost_key);
  const auto base_cost = number_at(*base, cost_key);
  if (!cost || !base_cost || *base_cost == 0) {
    return "";
  }
  const double ratio = *cost / *base_cost;
  const auto at = std::abs(ratio - 1) < kNearCost
                      ? fmt::format("At equal {}", cost_name)
                      : fmt::format("At {:.2f} times the {}", ratio, cost_name);
  return against(part, at, system, baseline, column);
}

/// Says so where the loops behind the first leave the state as it is: then no gain is theirs.
std::string dead_loops(const Json& part, const Json& system) {
  constexpr double kNothing = 1e-3;
  double largest = 0.0;
  size_t loops = 0;
  for (const auto& layer :
       member(member(member(part, "inside"), text_at(system, "name")), "state_change")) {
    const auto changes = numbers(layer);
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
                   label_of(system), largest);
}

Answer answer_loops(const Json& part) {
  const auto column = find_column(part, "reasoning", "bpb");
  if (!column) {
    return {.text = "No reasoning column was scored."};
  }
  const auto tally = compare_family(part, "loops", "isopar", *column);
  if (tally.all == 0) {
    return {.text = "It takes IsoPar and a looped system without memory, both scored."};
  }
  return {
      .tone = tally.tone(),
      .headline = headline_of(tally.tone()),
      .text = describe_tally(tally, "looped systems", "IsoPar", *column),
      .more = joined(
          {dead_loops(part, *tally.best),
           against(part, "With learned scales on both sides", *tally.best, "loop1", *column),
           at_equal_cost(part, "isoflop", *tally.best, "flops_per_token", "FLOPs a token", *column),
           at_equal_cost(part, "isotime", *tally.best, "seconds", "time", *column),
           doubt_of_seeds(part, tally.comparison)})};
}

/// What part of the way from the looped system to IsoFLOP memory goes; empty without IsoFLOP.
std::string gap_closed(const Json& part, const Tally& tally, const Json& base,
                       const ScoreColumn& column) {
  const auto gap = compare_systems(part, "isoflop", text_at(base, "name"), column);
  if (!gap) {
    return "";
  }
  if (gap->verdict() <= 0) {
    return fmt::format("{} does not clearly lack knowledge against IsoFLOP: {:.3f} against {:.3f}.",
                       label_of(base), gap->there, gap->here);
  }
  const double share = (tally.comparison.here - gap->there) / (gap->here - gap->there);
  return share <= 0 ? fmt::format("Nothing of the gap to IsoFLOP ({:.3f}) is closed.", gap->here)
                    : fmt::format("That is {:.0f} % of the way to IsoFLOP ({:.3f}).", 100 * share,
                                  gap->here);
}

Answer answer_memory(const Json& part) {
  const auto column = find_column(part, "knowledge", "bpb");
  if (!column) {
    return {.text = "No knowledge column was scored."};
  }
  const auto paper = systems_of(part, {"paper"});
  const auto is_memory = [](const Json* system) { return text_at(*system, "family") == "memory"; };
  const auto memory = std::find_if(paper.begin(), paper.end(), is_memory);
  // The system that memory was added to: as many loops, no slots.
  const auto base = std::find_if(paper.begin(), paper.end(), [&](const Json* system) {
    return memory != paper.end() && text_at(*system, "family") == "loops" &&
           number_at(*system, "loops") == number_at(**memory, "loops");
  });
  if (base == paper.end()) {
    return {.text =
                "It takes a system with memory banks and one of as many loops without, both "
                "scored."};
  }
  const auto tally = compare_family(part, "memory", text_at(**base, "name"), *column);
  if (tally.all == 0) {
    return {.text = fmt::format("Nothing tells how sure the {} of the systems with memory is.",
                                column->title)};
  }
  return {.tone = tally.tone(),
          .headline = headline_of(tally.tone()),
          .text = joined({describe_tally(tally, "systems with memory", label_of(**base), *column),
                          gap_closed(part, tally, **base, *column)}),
          .more = joined(
              {at_equal_cost(part, "isopar-m", *tally.best, "parameters", "parameters", *column),
               doubt_of_seeds(part, tally.comparison)})};
}

}  // namespace

std::string_view name_of(Tone tone) {
  switch (tone) {
    case Tone::kYes:
      return "yes";
    case Tone::kPartly:
      return "partly";
    case Tone::kNo:
      return "no";
    case Tone::kOpen:
      return "open";
    case Tone::kUnmeasured:
      break;
  }
  return "unmeasured";
}

std::string_view question_text(int question) {
  constexpr std::array<std::string_view, kNumQuestions> kQuestions = {
      "Do loops help reasoning?", "Does memory make up for knowledge?",
      "How do loops and memory interact?", "Which layers loop and read memory most?"};
  return kQuestions.at(static_cast<size_t>(question - 1));
}

std::string one_seed_warning(const Json& part) {
  return numbers(member(part, "seeds")).size() == 1
             ? "One seed was trained: another may move every score."
             : "";
}

std::array<Answer, kNumQuestions> answer_questions(const Json& part) {
  return {answer_loops(part), answer_memory(part), answer_together(part), answer_inside(part)};
}

}  // namespace loopbank

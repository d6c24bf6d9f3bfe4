#include "loopbank/study/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "loopbank/study/certainty.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// A score with how far it may be off: `0.412+-.031`.
std::string with_error(double score, double error) {
  const auto digits = fmt::format("{:.3f}", error);
  return fmt::format("{:.3f}+-{}", score, digits.starts_with("0") ? digits.substr(1) : digits);
}

std::string score_cell(const SystemResult& row, const Column& column) {
  const auto& score = row.scores.at(column.key);
  return with_error(score.mean, score.bar().value_or(0.0));
}

/// "facts accuracy" as {"facts", "accuracy"}.
std::pair<std::string, std::string> two_lines(const std::string& title) {
  const auto space = title.rfind(' ');
  return {title.substr(0, space), title.substr(space + 1)};
}

/// What +- is, of systems with several seeds and with one.
std::string legend_of(const PartResult& part) {
  std::vector<std::string> of_one;
  for (const auto& row : part.systems) {
    if (row.seeds.size() == 1) {
      of_one.push_back(row.label);
    }
  }
  const auto seeds = fmt::format("{}", fmt::join(part.seeds, ", "));
  if (of_one.size() == part.systems.size()) {
    return fmt::format(
        "+- is one standard error over the questions of one seed ({}): another seed moves the "
        "scores further.\n",
        seeds);
  }
  return fmt::format(
      "+- is the standard deviation over seeds ({}){}.\n", seeds,
      of_one.empty() ? ""
                     : fmt::format("; of {}, which {} one seed, a standard error over its "
                                   "questions, less than another seed moves the scores by",
                                   fmt::join(of_one, ", "), of_one.size() == 1 ? "has" : "have"));
}

}  // namespace

std::string describe_match(const SystemResult& row, const PartResult& part) {
  const auto& match = *row.matches;
  auto text =
      fmt::format("{} matches {} by {}: {:+.1f} % parameters, {:+.1f} % FLOPs a token", row.label,
                  part.label_of(match.system), match.by, 100 * match.parameters, 100 * match.flops);
  if (match.seconds) {
    text += fmt::format(", {:+.1f} % seconds in {} steps", 100 * *match.seconds, row.steps);
  }
  return text;
}

std::string format_table(const PartResult& part) {
  size_t width = 12;
  for (const auto& row : part.systems) {
    width = std::max(width, row.label.size());
  }
  std::string first = std::string(width, ' ');
  std::string second = fmt::format("{:<{}}", "system", width);
  for (const auto& column : part.columns) {
    const auto [above, below] = two_lines(column.title);
    first += fmt::format(" {:>11}", above);
    second += fmt::format(" {:>11}", below);
  }
  first += fmt::format(" {:>10} {:>7} {:>5} {:>8} {:>6} |", "", "FLOPs", "mean", "tokens", "");
  second += fmt::format(" {:>10} {:>7} {:>5} {:>8} {:>6} |", "parameters", "a token", "loops",
                        "a second", "steps");
  const auto rule = std::string(first.size() - 1, '-') + "+";
  const bool of_paper = std::any_of(part.columns.begin(), part.columns.end(),
                                    [](const Column& column) { return !column.paper_key.empty(); });
  first += of_paper && part.init.empty() ? " paper's own, on other data:" : "";
  for (const auto& column : part.columns) {
    if (!column.paper_key.empty()) {
      second += fmt::format(" {:>8}", column.paper_title);
    }
  }
  auto text = first + "\n" + second + "\n" + rule + std::string(28, '-') + "\n";
  for (const auto& row : part.systems) {
    text += fmt::format("{:<{}}", row.label, width);
    for (const auto& column : part.columns) {
      text += fmt::format(" {:>11}", score_cell(row, column));
    }
    text += fmt::format(" {:>10} {:>7} {:>5.2f} {:>8} {:>6} |", format_count(row.parameters),
                        format_count(row.forward_flops), row.mean_loops,
                        format_count(row.tokens_per_second), row.steps);
    for (const auto& column : part.columns) {
      if (const auto score = row.paper_score(column)) {
        text += fmt::format(" {:>8.3f}", *score);
      }
    }
    text += "\n";
  }
  for (const auto& row : part.systems) {
    text += row.matches ? describe_match(row, part) + "\n" : "";
  }
  return text + legend_of(part);
}

std::string note_on_init(const PartResult& part) {
  if (part.init.empty()) {
    return "";
  }
  return fmt::format(
      "All systems start from {} and are trained on as many tokens more, in the same order. The "
      "control is {}: the model as it is, trained on. Baselines of equal parameters or FLOPs would "
      "have to start anew, so there are none, and nothing stands beside the paper's numbers.",
      part.init, part.label_of("isopar"));
}

std::string format_claims(const PartResult& part) {
  if (!part.init.empty()) {
    return note_on_init(part) + "\n";
  }
  if (part.claims.empty()) {
    return "None of the paper's findings compares the systems that are done.\n";
  }
  std::string text =
      "Findings, here and there (relative change and difference, each with its 95 % interval):\n";
  for (const auto& claim : part.claims) {
    const auto* column = find_column(part.columns, claim.column);
    const auto& comparison = part.comparison_of(claim);
    const auto& decisive = comparison.decisive;
    text += fmt::format(
        "  RQ{} {} ({}): {}: {} {} against {}: {:+.1f} % [{:+.1f}, {:+.1f}], {:+.3f} [{:+.3f}, "
        "{:+.3f}] ({})\n",
        claim.question, claim_verdict(comparison.verdict), how_sure(comparison), claim.text,
        column->title, part.label_of(claim.better), part.label_of(claim.worse),
        100 * comparison.relative(), 100 * comparison.share(decisive.low),
        100 * comparison.share(decisive.high), decisive.difference, decisive.low, decisive.high,
        claim.paper ? fmt::format("paper {:+.1f} %", 100 * *claim.paper) : claim.source);
  }
  for (const auto& sentence : describe_certainty(part)) {
    text += sentence + "\n";
  }
  return text;
}

}  // namespace loopbank

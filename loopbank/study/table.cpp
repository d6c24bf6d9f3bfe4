#include "loopbank/study/table.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstdlib>

#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

/// A score with how far it may be off: `0.412+-.031`.
std::string with_error(double score, double error) {
  const auto digits = fmt::format("{:.3f}", error);
  return fmt::format("{:.3f}+-{}", score, digits.starts_with("0") ? digits.substr(1) : digits);
}

std::string score_cell(const SystemRow& row, const Column& column) {
  const auto summary = row.score(column);
  return with_error(summary.mean, summary.spread.value_or(summary.error));
}

/// "facts accuracy" as {"facts", "accuracy"}.
std::pair<std::string, std::string> two_lines(const std::string& title) {
  const auto space = title.rfind(' ');
  return {title.substr(0, space), title.substr(space + 1)};
}

std::string match_line(const SystemRow& row, const PartResult& part) {
  const auto& match = *row.system.match;
  const auto* target = part.find(match.system);
  auto text = fmt::format("{} matches {} by {}: {:+.1f} % parameters, {:+.1f} % FLOPs a token",
                          row.system.label, target != nullptr ? target->system.label : match.system,
                          match.by, 100 * match.baseline.parameters.residual(),
                          100 * match.baseline.forward_flops.residual());
  if (const auto seconds = part.seconds_residual(row)) {
    text += fmt::format(", {:+.1f} % seconds in {} steps", 100 * *seconds, row.runs.front().steps);
  }
  return text + "\n";
}

}  // namespace

std::string format_table(const PartResult& part) {
  size_t width = 12;
  for (const auto& row : part.rows) {
    width = std::max(width, row.system.label.size());
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
  first += " paper's own, on other data:";
  for (const auto& column : part.columns) {
    if (column.paper != nullptr) {
      second += fmt::format(" {:>8}", column.paper_title);
    }
  }
  auto text = first + "\n" + second + "\n" + rule + std::string(28, '-') + "\n";
  for (const auto& row : part.rows) {
    text += fmt::format("{:<{}}", row.system.label, width);
    for (const auto& column : part.columns) {
      text += fmt::format(" {:>11}", score_cell(row, column));
    }
    const auto& run = row.runs.front();
    text += fmt::format(" {:>10} {:>7} {:>5.2f} {:>8} {:>6} |", format_count(run.parameters),
                        format_count(run.forward_flops), row.mean(&RunResult::mean_loops),
                        format_count(row.mean(&RunResult::tokens_per_second)), run.steps);
    for (const auto& column : part.columns) {
      if (column.paper != nullptr && row.system.paper) {
        text += fmt::format(" {:>8.3f}", (*row.system.paper).*column.paper);
      }
    }
    text += "\n";
  }
  for (const auto& row : part.rows) {
    text += row.system.match ? match_line(row, part) : "";
  }
  const auto seeds = fmt::format("{}", fmt::join(part.seeds, ", "));
  return text + (part.seeds.size() > 1
                     ? fmt::format("+- is the standard deviation over seeds ({}).\n", seeds)
                     : fmt::format("+- is one standard error over the questions of one seed ({}): "
                                   "another seed moves the scores further.\n",
                                   seeds));
}

std::string format_claims(const PartResult& part) {
  const auto title_of = [&](const std::string& key) {
    const auto found = std::find_if(part.columns.begin(), part.columns.end(),
                                    [&](const Column& column) { return column.key == key; });
    return found == part.columns.end() ? key : found->title;
  };
  if (part.claims.empty()) {
    return "None of the paper's findings compares the systems that are done.\n";
  }
  std::string text =
      "The paper's findings, here and there (relative change, 95 % interval of the "
      "difference):\n";
  for (const auto& claim : part.claims) {
    const auto* better = part.find(claim.better);
    const auto* worse = part.find(claim.worse);
    auto verdict = claim.verdict;
    if (verdict.starts_with("not")) {
      verdict = "NOT" + verdict.substr(3);
    }
    text += fmt::format(
        "  RQ{} {:<19} {}: {} {} against {}: {:+.1f} % [{:+.3f}, {:+.3f}] (paper "
        "{:+.1f} %)\n",
        claim.question, verdict, claim.text, title_of(claim.column), better->system.label,
        worse->system.label, 100 * claim.ours, claim.difference.low, claim.difference.high,
        100 * claim.paper);
  }
  return text;
}

}  // namespace loopbank

#include "loopbank/study/report.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/data/benchmark_instance.h"
#include "loopbank/support/progress.h"

namespace loopbank {
namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --quiet: #777; }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 84rem; line-height: 1.5;
       font-family: system-ui, sans-serif; }
h1 { line-height: 1.2; } h2 { margin-top: 2.5rem; }
p, ul { max-width: 46rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .5rem; text-align: right; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; font-weight: 600; }
thead th { vertical-align: bottom; font-weight: 600; }
tbody tr:hover { background: var(--soft); }
.error { color: var(--quiet); font-size: .8em; display: block; }
.paper { border-left: 2px solid var(--line); }
.paper, .paper ~ td, .paper ~ th { color: var(--quiet); }
pre { overflow-x: auto; padding: .75rem; background: var(--soft); border-radius: .3rem;
      font-size: .85rem; }
pre.wrap { white-space: pre-wrap; overflow-wrap: anywhere; }
summary { cursor: pointer; font-weight: 600; margin: .5rem 0; }
@media (max-width: 60rem) {
  thead { display: none; }
  table, tbody, tr, td { display: block; width: 100%; }
  tr { border: 1px solid var(--line); border-radius: .4rem; margin-bottom: 1rem; }
  td { display: flex; justify-content: space-between; gap: 1rem; border-bottom: 0; }
  td:first-child { background: var(--soft); font-size: 1.1rem; }
  td:not(:first-child)::before { content: attr(data-name); color: var(--quiet); text-align: left; }
  .error { display: inline; margin-left: .4rem; }
  .paper { border-left: 0; border-top: 1px dashed var(--line); }
}
)";

/// A cell of the measured part: its heading, its value, its standard error or nothing.
struct Cell {
  const char* heading;
  std::string value;
  double error = 0.0;
};

std::vector<Cell> measured_cells(const SystemResult& row) {
  const auto score = [](double value) { return fmt::format("{:.3f}", value); };
  return {{"facts accuracy", score(row.facts_accuracy), row.errors.facts_accuracy},
          {"facts BPB", score(row.facts_bpb), row.errors.facts_bpb},
          {"reasoning BPB", score(row.reasoning_bpb), row.errors.reasoning_bpb},
          {"reasoning accuracy", score(row.reasoning_accuracy), row.errors.reasoning_accuracy},
          {"parameters", format_count(row.parameters)},
          {"FLOPs a token", format_count(row.forward_flops)},
          {"mean loops", fmt::format("{:.2f}", row.mean_loops)},
          {"tokens a second", format_count(row.tokens_per_second)},
          {"training", format_duration(row.seconds)}};
}

std::vector<Cell> paper_cells(const PaperScores& scores) {
  return {{"paper: CS Acc", fmt::format("{:.3f}", scores.commonsense_accuracy)},
          {"paper: CS BPB", fmt::format("{:.3f}", scores.commonsense_bpb)},
          {"paper: Math BPB", fmt::format("{:.3f}", scores.math_bpb)}};
}

std::string table_head() {
  const SystemResult none;
  std::string text = "<thead><tr><th>system</th>";
  for (const auto& cell : measured_cells(none)) {
    text += fmt::format("<th>{}</th>", cell.heading);
  }
  bool first = true;
  for (const auto& cell : paper_cells(none.paper)) {
    text += fmt::format("<th{}>{}</th>", first ? " class=\"paper\"" : "", cell.heading);
    first = false;
  }
  return text + "</tr></thead>\n";
}

std::string table_row(const SystemResult& row) {
  auto text = fmt::format("<tr><td>{}</td>", escape_html(row.label));
  for (const auto& cell : measured_cells(row)) {
    const auto error = cell.error > 0
                           ? fmt::format("<span class=\"error\">&plusmn; {:.3f}</span>", cell.error)
                           : std::string();
    text += fmt::format("<td data-name=\"{}\"><span>{}{}</span></td>", cell.heading,
                        escape_html(cell.value), error);
  }
  bool first = true;
  for (const auto& cell : paper_cells(row.paper)) {
    text += fmt::format("<td{} data-name=\"{}\"><span>{}</span></td>",
                        first ? " class=\"paper\"" : "", cell.heading, cell.value);
    first = false;
  }
  return text + "</tr>\n";
}

std::string residuals(const StudyResult& result) {
  std::string items;
  for (const auto& row : result.systems) {
    if (row.residuals) {
      items += fmt::format(
          "<li>{}: {:+.1f} % parameters, {:+.1f} % FLOPs against the system that it matches</li>\n",
          escape_html(row.label), 100 * row.residuals->parameters,
          100 * row.residuals->forward_flops);
    }
  }
  return items.empty() ? "" : "<p>What the solver could not match:</p>\n<ul>\n" + items + "</ul>\n";
}

std::string introduction() {
  return fmt::format(
      "<p>Systems trained on text that the program makes itself: <em>facts</em> about invented "
      "people and places (what was told must be recalled) and <em>reasoning</em> problems of "
      "several steps (none of those asked was ever told). The paper's own scores, on other data, "
      "stand beside: facts against its commonsense suite, reasoning against its math suite. "
      "Lower BPB is better, higher accuracy is better; guessing has an accuracy of {:.3f}. "
      "&plusmn; is one standard error over the questions of this one seed.</p>\n",
      1.0 / kBenchmarkChoices);
}

std::string table(const StudyResult& result) {
  if (result.systems.empty()) {
    return "<p>No system is done yet.</p>\n";
  }
  std::string text = "<table>\n" + table_head() + "<tbody>\n";
  for (const auto& row : result.systems) {
    text += table_row(row);
  }
  return text + "</tbody>\n</table>\n" + residuals(result);
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string make_report(const StudyResult& result) {
  const auto scale = escape_html(result.scale);
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>Think harder or know more? {} study, seed {}</title>\n<style>{}</style>\n</head>\n"
      "<body>\n<h1>Think harder or know more?</h1>\n<p>Adaptive loops and memory banks at {} "
      "scale, seed {}, {} thread(s) a system.</p>\n",
      scale, result.seed, kStyle, scale, result.seed, result.threads);
  page += introduction() + table(result);
  if (!result.systems.empty()) {
    page += fmt::format("<h2>Against the paper</h2>\n<pre class=\"wrap\">{}</pre>\n",
                        escape_html(compare_with_paper(result)));
  }
  page += fmt::format("<h2>How it was made</h2>\n<pre class=\"wrap\">{}</pre>\n",
                      escape_html(result.command));
  page += fmt::format(
      "<details><summary>What all systems share</summary>\n<pre>{}</pre>\n</details>\n"
      "<details><summary>Data</summary>\n<pre>{}</pre>\n</details>\n</body>\n</html>\n",
      escape_html(result.settings), escape_html(result.data));
  return page;
}

}  // namespace loopbank

#include "loopbank/study/csv.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <vector>

namespace loopbank {
namespace {

std::string quoted(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) {
    return text;
  }
  std::string safe = "\"";
  for (const char c : text) {
    if (c == '"') {
      safe += '"';
    }
    safe += c;
  }
  safe += '"';
  return safe;
}

std::string number(std::optional<double> value) {
  return value && std::isfinite(*value) ? fmt::format("{}", *value) : "";
}

void add_row(std::string& csv, const std::vector<std::string>& fields) {
  for (size_t i = 0; i < fields.size(); ++i) {
    if (i > 0) {
      csv += ',';
    }
    csv += quoted(fields[i]);
  }
  csv += '\n';
}

}  // namespace

std::string table_csv(const PartResult& part) {
  std::vector<std::string> fields = {"system", "label", "group"};
  for (const auto& column : part.columns) {
    fields.push_back(column.key);
    fields.push_back(column.key + "_spread");
    fields.push_back(column.key + "_standard_error");
  }
  for (const char* name :
       {"parameters", "flops_per_token", "expected_flops_per_token", "training_flops_per_token",
        "tokens_per_second", "mean_loops", "mean_loops_spread", "validation_loss", "validation_bpb",
        "steps", "tokens", "seconds"}) {
    fields.emplace_back(name);
  }
  for (const auto& column : part.columns) {
    if (!column.paper_key.empty()) {
      fields.push_back("paper_" + column.paper_key);
    }
  }
  std::string csv;
  add_row(csv, fields);
  for (const auto& system : part.systems) {
    fields = {system.name, system.label, system.group};
    for (const auto& column : part.columns) {
      const auto* score = system.score(column);
      fields.push_back(score != nullptr ? number(score->mean) : "");
      fields.push_back(score != nullptr ? number(score->spread) : "");
      fields.push_back(score != nullptr ? number(score->error) : "");
    }
    const std::vector<std::optional<double>> figures = {system.parameters,
                                                        system.forward_flops,
                                                        system.expected_flops,
                                                        system.training_flops,
                                                        system.tokens_per_second,
                                                        system.mean_loops,
                                                        system.mean_loops_spread,
                                                        system.validation_loss,
                                                        system.validation_bpb,
                                                        double(system.steps),
                                                        system.tokens,
                                                        system.seconds};
    for (const auto& value : figures) {
      fields.push_back(number(value));
    }
    for (const auto& column : part.columns) {
      if (!column.paper_key.empty()) {
        fields.push_back(number(system.paper_score(column)));
      }
    }
    add_row(csv, fields);
  }
  return csv;
}

std::string claims_csv(const PartResult& part) {
  std::string csv = "question,text,column,better,worse,ours,paper,difference,low,high,p,verdict\n";
  for (const auto& claim : part.claims) {
    const auto& comparison = part.comparison_of(claim);
    const auto& difference = comparison.decisive;
    std::vector<std::string> fields = {fmt::format("{}", claim.question), claim.text, claim.column,
                                       claim.better, claim.worse};
    for (const double value : {claim.ours, claim.paper, difference.difference, difference.low,
                               difference.high, difference.p}) {
      fields.push_back(number(value));
    }
    fields.emplace_back(claim_verdict(comparison.verdict));
    add_row(csv, fields);
  }
  return csv;
}

std::string exits_csv(const PartResult& part) {
  std::string csv =
      "system,where,kv,name,rules,mean_loops,flops_per_token,flops_saved_share,time_saved_share,"
      "bpb,"
      "bpb_of_all,difference,low,high,p,verdict\n";
  for (const auto& system : part.systems) {
    if (!system.exits) {
      continue;
    }
    for (const auto& result : system.exits->results) {
      const auto& difference = result.bpb.decisive;
      std::vector<std::string> fields = {system.name, result.where, result.kv, result.name,
                                         fmt::format("{}", fmt::join(result.rules, " "))};
      const auto time =
          result.time_saved_by_seed.empty() ? std::nullopt : std::optional(result.time_saved());
      for (const std::optional<double> value :
           {std::optional(result.mean_loops), std::optional(result.flops_per_token),
            std::optional(result.flops_saved()), time, std::optional(result.bpb.here),
            std::optional(result.bpb.there), std::optional(difference.difference),
            std::optional(difference.low), std::optional(difference.high),
            std::optional(difference.p)}) {
        fields.push_back(number(value));
      }
      fields.emplace_back(name_of(result.bpb.verdict));
      add_row(csv, fields);
    }
  }
  return csv;
}

std::string figure_csv(const Figure& figure) {
  const auto any = [&](auto&& has) {
    return std::any_of(figure.series.begin(), figure.series.end(), has);
  };
  const bool panels = any([](const FigureSeries& series) { return !series.panel.empty(); });
  const bool errors = any([](const FigureSeries& series) { return !series.error.empty(); });
  const bool ends = any([](const FigureSeries& series) { return !series.low.empty(); });
  const bool notes = any([](const FigureSeries& series) { return !series.notes.empty(); });
  const std::array<bool, 8> shown = {panels, true, true, true, errors, ends, ends, notes};
  std::string csv;
  const auto add = [&](const std::array<std::string, 8>& fields) {
    std::vector<std::string> row;
    for (size_t i = 0; i < fields.size(); ++i) {
      if (shown[i]) {
        row.push_back(fields[i]);
      }
    }
    add_row(csv, row);
  };
  add({"panel", "series", figure.x_title, figure.y_title,
       figure.error_label.empty() ? "error" : figure.error_label, "low", "high", "note"});
  const auto value_at = [](const std::vector<double>& values, size_t i) {
    return i < values.size() ? number(values[i]) : "";
  };
  for (const auto& series : figure.series) {
    for (size_t i = 0; i < series.y.size(); ++i) {
      const auto x = figure.x_names.empty() ? number(series.x[i])
                                            : figure.x_names.at(static_cast<size_t>(series.x[i]));
      add({series.panel, series.label, x, number(series.y[i]), value_at(series.error, i),
           value_at(series.low, i), value_at(series.high, i),
           i < series.notes.size() ? series.notes[i] : ""});
    }
  }
  return csv;
}

std::string conclusions_csv(const std::vector<Figure>& figures) {
  std::string csv = "figure,title,conclusion\n";
  for (const auto& figure : figures) {
    add_row(csv, {figure.id, figure.title, figure.conclusion});
  }
  return csv;
}

}  // namespace loopbank

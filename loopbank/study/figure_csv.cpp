#include "loopbank/study/figure_csv.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/study/html.h"
#include "loopbank/study/page_data.h"

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

std::string table_csv(const Json& part) {
  const auto columns = columns_of(part);
  std::vector<std::string> fields = {"system", "label", "group"};
  for (const auto& column : columns) {
    fields.push_back(column.key);
    fields.push_back(column.key + "_spread");
    fields.push_back(column.key + "_standard_error");
  }
  const std::vector<std::string> plain = {"parameters",
                                          "flops_per_token",
                                          "expected_flops_per_token",
                                          "training_flops_per_token",
                                          "tokens_per_second",
                                          "mean_loops",
                                          "mean_loops_spread",
                                          "validation_loss",
                                          "validation_bpb",
                                          "steps",
                                          "tokens",
                                          "seconds"};
  fields.insert(fields.end(), plain.begin(), plain.end());
  for (const auto& column : columns) {
    if (!column.paper_key.empty()) {
      fields.push_back("paper_" + column.paper_key);
    }
  }
  std::string csv;
  add_row(csv, fields);
  for (const auto* system : systems_of(part)) {
    fields = {text_at(*system, "name"), label_of(*system), group_of(*system)};
    for (const auto& column : columns) {
      const auto score = score_of(*system, column.key);
      fields.push_back(score ? number(score->mean) : "");
      fields.push_back(score ? number(score->spread) : "");
      fields.push_back(score ? number(score->standard_error) : "");
    }
    for (const auto& key : plain) {
      fields.push_back(number(number_at(*system, key)));
    }
    for (const auto& column : columns) {
      if (!column.paper_key.empty()) {
        fields.push_back(number(paper_score(*system, column)));
      }
    }
    add_row(csv, fields);
  }
  return csv;
}

std::string claims_csv(const Json& part) {
  std::string csv = "question,text,column,better,worse,ours,paper,difference,low,high,p,verdict\n";
  for (const auto& claim : member(part, "claims")) {
    std::vector<std::string> fields = {number(number_at(claim, "question"))};
    for (const char* key : {"text", "column", "better", "worse"}) {
      fields.push_back(text_at(claim, key));
    }
    for (const char* key : {"ours", "paper", "difference", "low", "high", "p"}) {
      fields.push_back(number(number_at(claim, key)));
    }
    fields.push_back(text_at(claim, "verdict"));
    add_row(csv, fields);
  }
  return csv;
}

}  // namespace

std::string figure_csv(const Figure& figure) {
  const auto any = [&](auto&& has) {
    return std::any_of(figure.series.begin(), figure.series.end(), has);
  };
  const bool panels = any([](const FigureSeries& series) { return !series.panel.empty(); });
  const bool errors = any([](const FigureSeries& series) { return !series.error.empty(); });
  const bool notes = any([](const FigureSeries& series) { return !series.notes.empty(); });
  const auto row = [&](const std::string& panel, const std::string& label, const std::string& x,
                       const std::string& y, const std::string& error, const std::string& note) {
    std::vector<std::string> fields;
    if (panels) {
      fields.push_back(panel);
    }
    fields.push_back(label);
    fields.push_back(x);
    fields.push_back(y);
    if (errors) {
      fields.push_back(error);
    }
    if (notes) {
      fields.push_back(note);
    }
    return fields;
  };
  std::string csv;
  add_row(csv, row("panel", "series", figure.x_title, figure.y_title,
                   figure.error_label.empty() ? "error" : figure.error_label, "note"));
  for (const auto& series : figure.series) {
    for (size_t i = 0; i < series.y.size(); ++i) {
      const auto x = figure.x_names.empty() ? number(series.x[i])
                                            : figure.x_names.at(static_cast<size_t>(series.x[i]));
      add_row(csv, row(series.panel, series.label, x, number(series.y[i]),
                       i < series.error.size() ? number(series.error[i]) : "",
                       i < series.notes.size() ? series.notes[i] : ""));
    }
  }
  return csv;
}

std::map<std::string, std::string> make_csv(const Json& results) {
  std::map<std::string, std::string> files;
  for (const auto& part : member(results, "parts")) {
    const auto name = slug(text_at(part, "name"));
    files[name + "-table.csv"] = table_csv(part);
    if (member(part, "claims").is_array()) {
      files[name + "-claims.csv"] = claims_csv(part);
    }
    for (const auto& figure : make_figures(part)) {
      files[figure_name(part, figure) + ".csv"] = figure_csv(figure);
    }
  }
  return files;
}

}  // namespace loopbank

#include "loopbank/study/page_data.h"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <nlohmann/json.hpp>

#include "loopbank/study/html.h"

namespace loopbank {
namespace {

/// Two decimals: more than a shade shows.
Json to_two_decimals(double value) {
  return std::round(value * 100) / 100;
}

/// What one model did at the tokens of a text, a list a quantity: {"text": [...], "loss": [...],
/// "expected_loops": [[a layer each], ...], ...}. Null where there is none.
Json columns_of_tokens(const Json& tokens) {
  Json columns;
  for (const auto& token : tokens) {
    columns["text"].push_back(text_at(token, "text"));
    if (const auto loss = number_at(token, "loss")) {
      columns["loss"].push_back(to_two_decimals(*loss));
    }
    for (const char* key : {"expected_loops", "local_gate", "global_gate"}) {
      if (const auto values = numbers(member(token, key)); !values.empty()) {
        auto row = Json::array();
        std::transform(values.begin(), values.end(), std::back_inserter(row), to_two_decimals);
        columns[key].push_back(std::move(row));
      }
    }
  }
  return columns;
}

/// What the script needs to colour the tokens of every system, with the values that all tokens
/// have.
Json tokens_of(const PartView& view) {
  auto views = Json::array();
  for (const auto* system : shown_systems(*view.json)) {
    const auto& inside = member(member(*view.json, "inside"), text_at(*system, "name"));
    auto columns = columns_of_tokens(member(member(inside, "token_view"), "tokens"));
    if (columns.is_null()) {
      continue;
    }
    const auto count = columns["text"].size();
    for (const char* key : {"loss", "expected_loops", "local_gate", "global_gate"}) {
      if (columns.contains(key) && columns[key].size() != count) {
        columns.erase(key);
      }
    }
    views.push_back({{"label", label_of(*system)},
                     {"part", view.title},
                     {"adaptive", is_adaptive(*system)},
                     {"columns", std::move(columns)}});
  }
  return views;
}

}  // namespace

std::vector<PartView> views_of(const Json& results) {
  std::vector<PartView> views;
  const auto& parts = member(results, "parts");
  for (const auto& part : parts) {
    const auto title = text_at(part, "title", text_at(part, "name"));
    views.push_back({&part, parts.size() > 1 ? title : "", make_figures(part)});
  }
  return views;
}

std::string figure_name(const Json& part, const Figure& figure) {
  return slug(text_at(part, "name")) + "-" + figure.id;
}

Json page_data(const std::vector<PartView>& views) {
  Json data = {{"figures", Json::object()}, {"tokens", Json::array()}};
  for (const auto& view : views) {
    for (const auto& figure : view.figures) {
      if (figure.kind != FigureKind::kHeat) {
        data["figures"][figure_name(*view.json, figure)] = to_json(figure);
      }
    }
    for (auto& tokens : tokens_of(view)) {
      data["tokens"].push_back(std::move(tokens));
    }
  }
  return data;
}

}  // namespace loopbank

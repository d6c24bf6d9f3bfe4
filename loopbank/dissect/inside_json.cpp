/// The inner life of a model as JSON: the "inside" object of docs/formats.md.

#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/dissect/inside.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// Four decimals: a token's figures are read by people, and there are many of them.
double to_four_decimals(double value) {
  constexpr double kScale = 1e4;
  return std::round(value * kScale) / kScale;
}

ByLayer to_four_decimals(ByLayer values) {
  for (auto& value : values) {
    value = to_four_decimals(value);
  }
  return values;
}

void add_unless_empty(Json& json, const char* key, const ByLayer& values) {
  if (!values.empty()) {
    json[key] = values;
  }
}

Json json_of(const InsideOfClass& found) {
  Json json = {{"name", token_class_name(found.token_class)},
               {"tokens", found.tokens},
               {"share", found.share}};
  if (found.loss) {
    json["loss"] = *found.loss;
  }
  json["expected_loops"] = found.expected_loops;
  add_unless_empty(json, "local_gate", found.local_gate);
  add_unless_empty(json, "global_gate", found.global_gate);
  return json;
}

Json json_of(const InsideOfBudget& budget) {
  return {{"max_loops", budget.max_loops},
          {"loss", budget.loss},
          {"bpb", budget.bpb},
          {"flops_per_token", budget.flops_per_token}};
}

Json json_of(const InsideOfToken& token) {
  Json json = {{"text", token.text},
               {"loss", to_four_decimals(token.loss)},
               {"expected_loops", to_four_decimals(token.expected_loops)}};
  add_unless_empty(json, "local_gate", to_four_decimals(token.local_gate));
  add_unless_empty(json, "global_gate", to_four_decimals(token.global_gate));
  return json;
}

template <typename Item>
Json list_of(const std::vector<Item>& items) {
  auto list = Json::array();
  for (const auto& item : items) {
    list.push_back(json_of(item));
  }
  return list;
}

void add_gate(Json& json, const char* key, const std::optional<GateStatistics>& gate) {
  if (gate) {
    json[key] = {{"mean", gate->mean}, {"spread", gate->spread}};
  }
}

}  // namespace

Json to_json(const Inside& inside) {
  Json json = {{"tokens", inside.tokens},
               {"layers", inside.layers},
               {"loops", inside.loops},
               {"expected_loops", inside.expected_loops},
               {"expected_loops_spread", inside.expected_loops_spread},
               {"halting", inside.halting}};
  if (inside.loop_scale) {
    json["loop_scale"] = *inside.loop_scale;
  }
  json["state_norm"] = inside.state_norm;
  json["state_change"] = inside.state_change;
  add_gate(json, "local_gate", inside.local_gate);
  add_gate(json, "global_gate", inside.global_gate);
  json["token_classes"] = list_of(inside.token_classes);
  json["bpb_by_loops"] = list_of(inside.bpb_by_loops);
  json["token_view"] = {{"tokens", list_of(inside.token_view)}};
  return json;
}

}  // namespace loopbank

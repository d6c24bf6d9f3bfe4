#include "loopbank/train/event_tags.h"

#include <fmt/format.h>

#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;
using TagOfKey = std::pair<std::string_view, std::string_view>;

constexpr std::array kStepTags = std::to_array<TagOfKey>({
    {"loss", "train/loss"},
    {"tokens", "train/tokens"},
    {"tokens_per_second", "train/tokens_per_second"},
    {"mean_loops", "loops/mean"},
    {"learning_rate", "train/learning_rate"},
    {"gradient_norm", "train/gradient_norm"},
    {"ponder", "train/ponder"},
    {"ponder_weight", "train/ponder_weight"},
});

constexpr std::array kValidationTags = std::to_array<TagOfKey>({
    {"validation_loss", "validation/loss"},
    {"validation_bpb", "validation/bpb"},
    {"validation_loss_without_memory", "validation/loss_without_memory"},
    {"mean_loops", "validation/mean_loops"},
});

/// Lists of a number a layer.
constexpr std::array kValidationLists = std::to_array<TagOfKey>({
    {"loops_by_layer", "validation_loops"},
    {"local_gate_by_layer", "local_gates"},
    {"global_gate_by_layer", "global_gates"},
    {"local_focus_by_layer", "local_focus"},
    {"global_focus_by_layer", "global_focus"},
    {"loop_change_by_layer", "loop_changes"},
    {"router_gradient_by_layer", "router_gradients"},
});

double value_in(const Json& value) {
  return value.is_number() ? value.get<double>() : std::numeric_limits<double>::quiet_NaN();
}

template <typename Table>
void add_by_table(const Json& row, const Table& table, std::vector<EventScalar>& scalars) {
  for (const auto& [key, tag] : table) {
    if (const auto found = row.find(key); found != row.end()) {
      scalars.push_back({.tag = std::string(tag), .value = value_in(*found)});
    }
  }
}

void add_by_layer(const Json& row, std::string_view key, std::string_view group,
                  std::vector<EventScalar>& scalars) {
  const auto list = row.find(key);
  for (size_t layer = 0; list != row.end() && layer < list->size(); ++layer) {
    scalars.push_back(
        {.tag = fmt::format("{}/layer_{}", group, layer), .value = value_in((*list)[layer])});
  }
}

void add_step(const Json& row, std::vector<EventScalar>& scalars) {
  add_by_table(row, kStepTags, scalars);
  const auto weight = row.find("ponder_weight");
  const double ponder =
      weight == row.end() ? 0.0 : value_in(*weight) * value_in(row.value("ponder", Json(0.0)));
  scalars.push_back({.tag = "train/cross_entropy", .value = value_in(row.at("loss")) - ponder});
  if (row.value("skipped", false)) {
    scalars.push_back({.tag = "train/skipped", .value = 1.0});
  }
  add_by_layer(row, "loops_by_layer", "loops", scalars);
}

void add_validation(const Json& row, std::vector<EventScalar>& scalars) {
  add_by_table(row, kValidationTags, scalars);
  if (const auto by_loops = row.find("validation_loss_by_loops"); by_loops != row.end()) {
    for (const auto& [loops, loss] : by_loops->items()) {
      scalars.push_back(
          {.tag = fmt::format("validation_loss_by_loops/{}", loops), .value = value_in(loss)});
    }
  }
  for (const auto& [key, group] : kValidationLists) {
    add_by_layer(row, key, group, scalars);
  }
  const auto scales = row.find("loop_scale_by_layer");
  for (size_t layer = 0; scales != row.end() && layer < scales->size(); ++layer) {
    const auto& of_layer = (*scales)[layer];
    for (size_t loop = 0; loop < of_layer.size(); ++loop) {
      scalars.push_back({.tag = fmt::format("loop_scales/layer_{}_loop_{}", layer, loop + 1),
                         .value = value_in(of_layer[loop])});
    }
  }
}

void add_evaluation(const Json& row, const Json& name, std::vector<EventScalar>& scalars) {
  const auto with_budget =
      fmt::format("{}:max_loops={}", name.get<std::string>(), row.value("max_loops", int64_t{1}));
  scalars.push_back(
      {.tag = "evaluation/" + with_budget, .value = value_in(row.value("value", Json()))});
  scalars.push_back(
      {.tag = "evaluation_bpb/" + with_budget, .value = value_in(row.value("bpb", Json()))});
}

}  // namespace

std::vector<EventScalar> scalars_of_row(const Json& row) {
  std::vector<EventScalar> scalars;
  if (row.contains("loss")) {
    add_step(row, scalars);
  } else if (row.contains("validation_loss")) {
    add_validation(row, scalars);
  } else if (row.contains("task") || row.contains("suite")) {
    add_evaluation(row, row.contains("task") ? row["task"] : row["suite"], scalars);
  } else if (row.contains("alarm")) {
    const auto layers = row.value("layers", Json::array()).size();
    const bool is_whole_model = layers == 0 && row.value("all_layers", false);
    scalars.push_back({.tag = "alarms/" + row["alarm"].get<std::string>(),
                       .value = is_whole_model ? 1.0 : static_cast<double>(layers)});
  }
  return scalars;
}

}  // namespace loopbank

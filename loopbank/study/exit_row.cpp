#include "loopbank/study/exit_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

std::vector<double> numbers_in(const nlohmann::json& list, const JsonValues& values,
                               const char* key) {
  std::vector<double> numbers;
  for (const auto& value : list) {
    if (!value.is_number()) {
      values.refuse(key, "a list of numbers");
    }
    numbers.push_back(value.get<double>());
  }
  return numbers;
}

}  // namespace

nlohmann::ordered_json row_json(const ExitResult& row) {
  Json json = {
      {"rule", row.rule}, {"hard", row.hard}, {"kv", row.kv}, {"where", name_of(row.where)}};
  for (const auto& [key, number] : kExitFigures) {
    json[key] = row.*number;
  }
  json["mean_loops_by_layer"] = row.mean_loops_by_layer;
  json["kv_bytes_per_token"] = row.kv_bytes_per_token;
  return json;
}

nlohmann::ordered_json stored_row_json(const ExitResult& row) {
  auto json = row_json(row);
  json["document_bpb"] = row.document_bpb;
  auto& tasks = json["tasks"] = Json::array();
  for (const auto& task : row.tasks) {
    tasks.push_back({{"task", task.task}, {"questions", task.questions}});
  }
  return json;
}

ExitResult read_stored_row(const nlohmann::json& json, const std::string& where) {
  const JsonValues values(json, where, {.expected = "a row of exits"});
  ExitResult row{.rule = values.text("rule"), .hard = values.flag("hard"), .kv = values.text("kv")};
  const auto place = std::find_if(kExitPlaces.begin(), kExitPlaces.end(), [&](ExitWhere one) {
    return name_of(one) == values.text("where");
  });
  if (place == kExitPlaces.end()) {
    values.refuse("where", "decode, everywhere or scoring");
  }
  row.where = *place;
  for (const auto& [key, number] : kExitFigures) {
    row.*number = values.number(key);
  }
  row.mean_loops_by_layer =
      numbers_in(values.list("mean_loops_by_layer"), values, "mean_loops_by_layer");
  row.kv_bytes_per_token = values.count("kv_bytes_per_token");
  row.document_bpb = numbers_in(values.list("document_bpb"), values, "document_bpb");
  for (const auto& stored : values.list("tasks")) {
    const JsonValues task(stored, where, {.expected = "a task of a row"});
    ExitTask one{.task = task.text("task")};
    one.questions = numbers_in(task.list("questions"), task, "questions");
    one.value = mean_of(one.questions);
    row.tasks.push_back(std::move(one));
  }
  return row;
}

}  // namespace loopbank

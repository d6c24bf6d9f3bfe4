#include "loopbank/study/exit_row.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <utility>

#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

/// Numbers of a row under their keys.
constexpr std::array kRowNumbers = {std::pair{"bpb", &ExitResult::bpb},
                                    std::pair{"kl", &ExitResult::kl},
                                    std::pair{"top1_agreement", &ExitResult::top1_agreement},
                                    std::pair{"mean_loops", &ExitResult::mean_loops},
                                    std::pair{"flops_per_token", &ExitResult::flops_per_token},
                                    std::pair{"seconds", &ExitResult::seconds},
                                    std::pair{"seconds_of_all", &ExitResult::seconds_of_all},
                                    std::pair{"time_saved_share", &ExitResult::time_saved_share},
                                    std::pair{"noise_share", &ExitResult::noise_share},
                                    std::pair{"cpu_saved_share", &ExitResult::cpu_saved_share},
                                    std::pair{"cpu_noise_share", &ExitResult::cpu_noise_share}};
constexpr std::array kPlaces = {ExitWhere::kDecode, ExitWhere::kEverywhere, ExitWhere::kScoring};

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
  for (const auto& [key, number] : kRowNumbers) {
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
  const auto place = std::find_if(kPlaces.begin(), kPlaces.end(), [&](ExitWhere one) {
    return name_of(one) == values.text("where");
  });
  if (place == kPlaces.end()) {
    values.refuse("where", "decode, everywhere or scoring");
  }
  row.where = *place;
  for (const auto& [key, number] : kRowNumbers) {
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

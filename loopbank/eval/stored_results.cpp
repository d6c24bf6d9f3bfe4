#include "loopbank/eval/stored_results.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/eval/json_lines.h"
#include "loopbank/eval/metrics.h"
#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetricsEnding = "-metrics.json";
constexpr std::string_view kPredictionsEnding = "-predictions.jsonl";

JsonValues values_within(const nlohmann::json& json, const std::string& where) {
  return {json, where, {.remedy = "Is this a folder of results?"}};
}

/// A number, or 0 or 1 for a truth.
double number_or_truth(const JsonValues& values, const std::string& key) {
  const auto& value = values.at(key.c_str());
  return value.is_boolean() ? static_cast<double>(value.get<bool>()) : values.number(key.c_str());
}

int64_t count_or_zero(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

std::string plain(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : show_json(value);
}

/// Ids that stand once, so that documents can be found by them.
void make_unique(std::vector<StoredDocument>& documents, const std::vector<std::string>& places) {
  std::set<std::string> ids;
  for (const auto& document : documents) {
    ids.insert(document.id);
  }
  if (ids.size() < documents.size()) {
    for (size_t i = 0; i < documents.size(); ++i) {
      documents[i].id = places[i] + "/" + documents[i].id;
    }
  }
}

void read_predictions(const fs::path& path, StoredTask& task) {
  std::vector<std::string> places;
  for_each_json_line(path, [&](const nlohmann::json& row, const std::string& where) {
    const auto values = values_within(row, where);
    const auto metrics = values_within(values.at("metrics"), where);
    places.push_back(plain(values.at("doc_id")));
    task.documents.push_back({.id = plain(values.at("native_id")),
                              .value = number_or_truth(metrics, task.metric),
                              .bpb = number_or_truth(metrics, "bits_per_byte_corr")});
    if (metrics.has(kKnownBits)) {
      task.documents.back().known_bits = metrics.number(kKnownBits);
    }
    if (const auto hash = row.find("task_hash"); hash != row.end() && hash->is_string()) {
      task.requests_hash = hash->get<std::string>();
    }
    return true;
  });
  if (task.documents.empty()) {
    fail(ErrorCode::kData, "{}: expected a row for each document, got none.", path.string());
  }
  make_unique(task.documents, places);
}

/// What `loopbank eval` wrote.
void read_own(const JsonValues& metrics, const std::string& where, StoredResults& results) {
  for (const auto& item : metrics.list("results")) {
    const auto values = values_within(item, where);
    StoredTask task{.task = values.text("task"),
                    .metric = values.text("metric"),
                    .max_loops = count_or_zero(item, "max_loops"),
                    .requests_hash = {},
                    .documents = {}};
    read_predictions(results.directory / values.text("predictions"), task);
    results.tasks.push_back(std::move(task));
  }
  for (const auto& item : metrics.list("suites")) {
    const auto values = values_within(item, where);
    StoredSuite suite{
        .suite = values.text("suite"), .tasks = {}, .max_loops = count_or_zero(item, "max_loops")};
    for (const auto& task : values.list("tasks")) {
      suite.tasks.push_back(plain(task));
    }
    results.suites.push_back(std::move(suite));
  }
}

/// What OLMES wrote: a file of metrics a task.
void read_olmes(StoredResults& results) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(results.directory)) {
    const auto name = entry.path().filename().string();
    if (name.starts_with("task-") && name.ends_with(kMetricsEnding)) {
      files.push_back(entry.path());
    }
  }
  std::sort(files.begin(), files.end());
  for (const auto& file : files) {
    const auto json = read_json_file(file);
    const auto metrics = values_within(json, file.string());
    const auto& config = metrics.object("task_config");
    const auto metadata = config.value("metadata", nlohmann::json::object());
    StoredTask task{.task = metadata.is_object() && metadata.contains("alias")
                                ? plain(metadata.at("alias"))
                                : metrics.text("task_name"),
                    .metric = values_within(config, file.string()).text("primary_metric"),
                    .max_loops = 0,
                    .requests_hash = {},
                    .documents = {}};
    auto name = file.filename().string();
    name.replace(name.size() - kMetricsEnding.size(), kMetricsEnding.size(), kPredictionsEnding);
    read_predictions(results.directory / name, task);
    task.requests_hash.clear();  // of its configuration, not of the prompts
    results.tasks.push_back(std::move(task));
  }
}

}  // namespace

StoredResults read_results(const fs::path& directory) {
  const auto summary = directory / "metrics.json";
  if (!fs::exists(summary)) {
    fail(ErrorCode::kData,
         "{}: expected a folder with metrics.json, got {}. Write one with loopbank eval --out.",
         directory.string(), fs::exists(directory) ? "none in it" : "no such folder");
  }
  StoredResults results{.directory = directory, .tasks = {}, .suites = {}};
  const auto json = read_json_file(summary);
  const auto metrics = values_within(json, summary.string());
  if (metrics.has("results")) {
    read_own(metrics, summary.string(), results);
  } else {
    read_olmes(results);
  }
  if (results.tasks.empty()) {
    fail(ErrorCode::kData, "{}: expected results of at least one task, got none.",
         directory.string());
  }
  return results;
}

}  // namespace loopbank

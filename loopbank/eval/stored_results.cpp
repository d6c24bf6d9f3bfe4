#include "loopbank/eval/stored_results.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/eval/json_lines.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kMetricsEnding = "-metrics.json";
constexpr std::string_view kPredictionsEnding = "-predictions.jsonl";

const nlohmann::json& field(const nlohmann::json& json, const char* key, const std::string& where) {
  const auto found = json.is_object() ? json.find(key) : json.end();
  if (!json.is_object() || found == json.end()) {
    fail(ErrorCode::kData, "{}: expected \"{}\", got none. Is this a folder of results?", where,
         key);
  }
  return *found;
}

std::string text(const nlohmann::json& json, const char* key, const std::string& where) {
  const auto& value = field(json, key, where);
  if (!value.is_string()) {
    fail(ErrorCode::kData, "{}: \"{}\" expects a text, got {}.", where, key, value.dump());
  }
  return value.get<std::string>();
}

/// A number, or 0 or 1 for a truth.
double number(const nlohmann::json& json, const std::string& key, const std::string& where) {
  const auto& value = field(json, key.c_str(), where);
  if (!value.is_number() && !value.is_boolean()) {
    fail(ErrorCode::kData, "{}: \"{}\" expects a number, got {}.", where, key, value.dump());
  }
  return value.is_boolean() ? static_cast<double>(value.get<bool>()) : value.get<double>();
}

int64_t count_or_zero(const nlohmann::json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_number_integer() ? found->get<int64_t>() : 0;
}

nlohmann::json read_json(const fs::path& path) {
  auto json = nlohmann::json::parse(read_file(path), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) {
    fail(ErrorCode::kData, "{}: expected a JSON object, got something else.", path.string());
  }
  return json;
}

std::string plain(const nlohmann::json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
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
    const auto& metrics = field(row, "metrics", where);
    places.push_back(plain(field(row, "doc_id", where)));
    task.documents.push_back({.id = plain(field(row, "native_id", where)),
                              .value = number(metrics, task.metric, where),
                              .bpb = number(metrics, "bits_per_byte_corr", where)});
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
void read_own(const nlohmann::json& metrics, const std::string& where, StoredResults& results) {
  for (const auto& item : field(metrics, "results", where)) {
    StoredTask task{.task = text(item, "task", where),
                    .metric = text(item, "metric", where),
                    .max_loops = count_or_zero(item, "max_loops"),
                    .requests_hash = {},
                    .documents = {}};
    read_predictions(results.directory / text(item, "predictions", where), task);
    results.tasks.push_back(std::move(task));
  }
  for (const auto& item : field(metrics, "suites", where)) {
    StoredSuite suite{.suite = text(item, "suite", where),
                      .tasks = {},
                      .max_loops = count_or_zero(item, "max_loops")};
    for (const auto& task : field(item, "tasks", where)) {
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
    const auto metrics = read_json(file);
    const auto where = file.string();
    const auto& config = field(metrics, "task_config", where);
    const auto metadata = config.value("metadata", nlohmann::json::object());
    StoredTask task{.task = metadata.is_object() && metadata.contains("alias")
                                ? plain(metadata.at("alias"))
                                : text(metrics, "task_name", where),
                    .metric = text(config, "primary_metric", where),
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
  const auto metrics = read_json(summary);
  if (metrics.contains("results")) {
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

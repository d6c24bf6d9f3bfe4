#include "loopbank/eval/result_files.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/eval/olmes_results.h"
#include "loopbank/eval/request_check.h"
#include "loopbank/eval/stored_results.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::content_of;
using testing::expect_contains;
using testing::TestDirectory;

/// Two instances of two choices each, scored by hand.
EvalReport small_report() {
  ContinuationScore likely{.log_probability = -2.0 * std::log(2.0),
                           .unconditioned = -1.0,
                           .tokens = 2,
                           .characters = 3,
                           .bytes = 4,
                           .greedy = true,
                           .loops = 3.0,
                           .context_cut = false,
                           .windows = 1,
                           .context_tokens = 7};
  auto unlikely = likely;
  unlikely.log_probability = -9.0;
  unlikely.context_cut = true;
  TaskResult result;
  result.task = "arc_challenge";
  result.metric = Metric::kAccUncond;
  result.value = {.mean = 0.5, .standard_error = 0.5};
  result.bpb = {.mean = 0.25, .standard_error = 0.125};
  result.metrics = {{Metric::kAccUncond, result.value}, {Metric::kBitsPerByte, result.bpb}};
  result.max_loops = 3;
  result.mean_loops = 1.5;
  result.contexts_cut = 2;
  result.shots = 5;
  result.flops_per_token = 75.9e6;
  result.expected_flops_per_token = 62.1e6;
  result.cost = {.tokens = 3000, .computed_tokens = 600, .head_rows = 40, .seconds = 2.0};
  result.requests_hash = "0123456789abcdef";
  result.instances = {{.id = "q1", .label = 0, .choices = {likely, unlikely}},
                      {.id = "q2", .label = 1, .choices = {likely, unlikely}}};
  EvalReport report;
  report.model = "runs/own";
  report.precision = "fp32";
  report.max_length = 512;
  report.results = {result};
  report.suites = {{.suite = "commonsense",
                    .tasks = {"arc_challenge"},
                    .metric = Metric::kAccRaw,
                    .value = 0.5,
                    .bpb = 0.25,
                    .max_loops = 3,
                    .mean_loops = 1.5,
                    .flops_per_token = 75.9e6,
                    .expected_flops_per_token = 62.1e6,
                    .cost = result.cost}};
  return report;
}

TEST(ResultFiles, ResultsHoldTheKeysThatScriptsRead) {
  const auto json = to_json(small_report());
  const auto& row = json.at("results").at(0);
  EXPECT_EQ(row.at("task"), "arc_challenge");
  EXPECT_EQ(row.at("metric"), "acc_uncond");
  EXPECT_EQ(row.at("value"), 0.5);
  EXPECT_EQ(row.at("stderr"), 0.5);
  EXPECT_EQ(row.at("instances"), 2);
  EXPECT_EQ(row.at("bpb"), 0.25);
  EXPECT_EQ(row.at("max_loops"), 3);
  EXPECT_EQ(row.at("mean_loops"), 1.5);
  EXPECT_EQ(row.at("contexts_cut"), 2);
  EXPECT_EQ(row.at("metrics").at("bits_per_byte_corr"), 0.25);
  EXPECT_EQ(row.at("flops_per_token"), 75.9e6);
  EXPECT_EQ(row.at("expected_flops_per_token"), 62.1e6);
  EXPECT_EQ(row.at("seconds"), 2.0);
  EXPECT_EQ(row.at("tokens"), 3000);
  EXPECT_EQ(row.at("computed_tokens"), 600);
  EXPECT_EQ(row.at("tokens_per_second"), 1500.0);
  EXPECT_EQ(row.at("computed_tokens_per_second"), 300.0);
  EXPECT_EQ(json.at("suites").at(0).at("suite"), "commonsense");
}

std::vector<Json> rows_of(const std::filesystem::path& path) {
  std::istringstream lines(content_of(path));
  std::vector<Json> rows;
  for (std::string line; std::getline(lines, line);) {
    rows.push_back(Json::parse(line));
  }
  return rows;
}

/// The task behind small_report().
Task small_task() {
  const auto choices = [](const std::string& query) {
    return std::vector<Choice>{{"shots\n\n" + query, " a cat"}, {"shots\n\n" + query, " dogs"}};
  };
  return {.name = "arc_challenge",
          .metric = Metric::kAccUncond,
          .bare_context = "Answer:",
          .shots = 5,
          .instances = {{.id = "q1", .choices = choices("One?"), .label = 0, .query = "One?"},
                        {.id = "q2", .choices = choices("Two?"), .label = 1, .query = "Two?"}}};
}

std::vector<std::string> keys_of(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) {
    keys.push_back(key);
  }
  return keys;  // sorted
}

TEST(ResultFiles, EveryInstanceHasItsRow) {
  const TestDirectory directory;
  write_results(small_report(), directory.path() / "out");
  const auto folder = directory.path() / "out";
  const auto metrics = Json::parse(content_of(folder / "metrics.json"));
  const std::string name = metrics.at("results").at(0).at("predictions");
  EXPECT_EQ(name, "task-000-arc_challenge-predictions.jsonl");
  const auto rows = rows_of(folder / name);
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(keys_of(rows[0]),
            (std::vector<std::string>{"doc_id", "label", "metrics", "model_output", "native_id",
                                      "prediction", "task_hash"}));
  EXPECT_EQ(rows[1].at("doc_id"), 1);
  EXPECT_EQ(rows[1].at("native_id"), "q2");
  EXPECT_EQ(rows[1].at("label"), 1);
  EXPECT_EQ(rows[1].at("prediction"), 0);
  EXPECT_EQ(rows[1].at("metrics").at("acc_uncond"), 0);
  EXPECT_EQ(rows[1].at("metrics").at("predicted_index_uncond"), 0);
  EXPECT_EQ(rows[1].at("metrics").at("correct_choice"), 1);
  EXPECT_EQ(rows[0].at("metrics").at("acc_uncond"), 1);
  EXPECT_NEAR(rows[0].at("metrics").at("bits_per_byte_corr").get<double>(), 0.5, 1e-12);
  EXPECT_EQ(rows[1].at("metrics").at("sum_logits_corr"), -9.0);
  EXPECT_EQ(rows[1].at("metrics").at("logits_per_token_corr"), -4.5);
  EXPECT_EQ(rows[1].at("metrics").at("logits_per_char_corr"), -3.0);
  const auto& choice = rows[0].at("model_output").at(1);
  EXPECT_EQ(keys_of(choice),
            (std::vector<std::string>{"bits_per_byte", "context_cut", "is_greedy",
                                      "logits_per_char", "logits_per_token", "mean_loops",
                                      "num_bytes", "num_chars", "num_tokens", "num_tokens_all",
                                      "sum_logits", "sum_logits_uncond"}));
  EXPECT_EQ(choice.at("sum_logits"), -9.0);
  EXPECT_EQ(choice.at("sum_logits_uncond"), -1.0);
  EXPECT_EQ(choice.at("num_tokens"), 2);
  EXPECT_EQ(choice.at("num_tokens_all"), 9);
  EXPECT_EQ(choice.at("num_chars"), 3);
  EXPECT_EQ(choice.at("context_cut"), true);
  // Nothing half-written stays behind: the predictions, the task's metrics and both summaries.
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder), {}), 4);
}

TEST(ResultFiles, KnownBitsOfAQuestionComeBackWhereItsPriorIsKnown) {
  const TestDirectory directory;
  auto report = small_report();
  report.results[0].known_bits = {.mean = 4.0, .standard_error = 0.5};
  report.results[0].instances[0].prior_bits = 6.0;
  write_results(report, directory.path());
  const auto documents = read_results(directory.path()).tasks.at(0).documents;
  ASSERT_TRUE(documents[0].known_bits);
  EXPECT_NEAR(*documents[0].known_bits, 6.0 - 2.0, 1e-12);
  EXPECT_FALSE(documents[1].known_bits);
  EXPECT_EQ(to_json(report).at("results").at(0).at("known_bits"), 4.0);
  EXPECT_FALSE(to_json(small_report()).at("results").at(0).contains("known_bits"));
}

TEST(ResultFiles, SummariesHoldWhatOlmesWrites) {
  const TestDirectory directory;
  write_results(small_report(), directory.path());
  const auto metrics = Json::parse(content_of(directory.path() / "metrics.json"));
  EXPECT_EQ(metrics.at("all_primary_scores"),
            (Json{"commonsense: 0.5", "arc_challenge:rc:5shot: 0.5"}));
  ASSERT_EQ(metrics.at("tasks").size(), 2U);  // the suite first
  EXPECT_EQ(metrics.at("tasks").at(0).at("alias"), "commonsense");
  EXPECT_EQ(metrics.at("tasks").at(0).at("num_instances"), 2);
  EXPECT_EQ(metrics.at("tasks").at(0).at("task_config").at("metadata").at("tasks"),
            (Json{"arc_challenge:rc:5shot"}));
  const auto& task = metrics.at("tasks").at(1);
  EXPECT_EQ(task.at("alias"), "arc_challenge:rc:5shot");
  EXPECT_EQ(task.at("num_instances"), 2);
  EXPECT_EQ(task.at("processing_time"), 2.0);
  EXPECT_EQ(task.at("metrics").at("primary_score"), 0.5);
  EXPECT_EQ(task.at("metrics").at("acc_uncond"), 0.5);
  EXPECT_NEAR(task.at("metrics").at("sum_logits_corr").get<double>(),
              (-2.0 * std::log(2.0) - 9.0) / 2, 1e-12);
  EXPECT_EQ(task.at("task_config").at("primary_metric"), "acc_uncond");
  EXPECT_EQ(task.at("task_config").at("num_shots"), 5);
  EXPECT_EQ(metrics.at("model_config").at("model"), "runs/own");
  EXPECT_EQ(metrics.at("model_config").at("max_length"), 512);
  const auto alone =
      Json::parse(content_of(directory.path() / "task-000-arc_challenge-metrics.json"));
  EXPECT_EQ(alone.at("metrics"), task.at("metrics"));
  EXPECT_EQ(alone.at("task_config"), task.at("task_config"));
  EXPECT_EQ(alone.at("task_name"), "arc_challenge");
  EXPECT_EQ(alone.at("task_idx"), 0);
  EXPECT_EQ(alone.at("num_instances"), 2);
}

TEST(ResultFiles, NamesTellVariantAndBudget) {
  auto report = small_report();
  EXPECT_EQ(olmes_alias(report, report.results[0]), "arc_challenge:rc:5shot");
  report.results.push_back(report.results[0]);
  report.results[1].max_loops = 1;
  report.results[1].task = "arc_challenge:rc::olmes";
  EXPECT_EQ(olmes_alias(report, report.results[0]), "arc_challenge:rc:5shot:max_loops=3");
  EXPECT_EQ(olmes_alias(report, report.results[1]), "arc_challenge:rc::olmes:max_loops=1");
  const TestDirectory directory;
  write_results(report, directory.path());
  EXPECT_TRUE(
      std::filesystem::exists(directory.path() / "task-001-arc_challenge-predictions.jsonl"));
}

TEST(ResultFiles, RequestsStandAsOlmesRecordsThem) {
  const TestDirectory directory;
  const std::vector<Task> tasks = {small_task()};
  write_results(small_report(), directory.path(), tasks);
  const auto metrics = Json::parse(content_of(directory.path() / "metrics.json"));
  EXPECT_EQ(metrics.at("results").at(0).at("requests"), "task-000-arc_challenge-requests.jsonl");
  const auto rows = rows_of(directory.path() / "task-000-arc_challenge-requests.jsonl");
  ASSERT_EQ(rows.size(), 8U);  // 2 instances of 2 choices, then their twins
  EXPECT_EQ(rows[3], Json::parse(R"({"request_type": "loglikelihood",
      "doc": {"id": "q2", "query": "Two?", "choices": ["a cat", "dogs"], "gold": 1},
      "request": {"context": "shots\n\nTwo?", "continuation": " dogs"},
      "idx": 1, "task_name": "arc_challenge", "doc_id": 1, "native_id": "q2", "label": 1})"));
  EXPECT_EQ(rows[7].at("request"),
            Json::parse(R"({"context": "Answer:", "continuation": " dogs"})"));
  EXPECT_EQ(rows[7].at("doc_id"), 1000001);
}

Document document_of(const std::string& id, const std::string& text,
                     std::vector<std::string> choices, int64_t label) {
  Document document;
  document.id = id;
  document.context = document.question = text;  // each form takes its own
  document.choices = std::move(choices);
  document.label = label;
  return document;
}

TEST(ResultFiles, RequestsOfEveryFormAreMadeAgainFromTheirDocuments) {
  const TestDirectory directory;
  const std::vector<std::pair<std::string, Document>> documents = {
      {"csqa", document_of("q", "Wet?", {"sand", "rain"}, 1)},
      {"winogrande", document_of("w", "Ann met Eve since _ was late.", {"Ann", "Eve"}, 0)},
      {"hellaswag", document_of("h", "She", {" sits", "stands"}, 1)},
      {"minerva_math_algebra", document_of("m", "1 + 1", {"$2$"}, 0)},
      {"gsm8k", document_of("g", "One and one?", {"Two."}, 0)}};
  std::string shots;
  for (const auto& [name, document] : documents) {
    const auto form = task_form(name);
    Task task;
    task.name = name;
    task.bare_context = form.metric == Metric::kAccUncond ? std::string(kBareContext) : "";
    task.instances.push_back(make_instance(form.prompt, document, "shots\n\n"));
    directory.write(name + ".jsonl", olmes_requests(task));
    shots += Json{{"task", name}, {"num_shots", 1}, {"prefix", "shots\n\n"}}.dump() + "\n";
  }
  const TestDirectory other;
  const auto checks =
      check_requests(directory.path(),
                     {.data = {}, .few_shot_file = other.write("shots.jsonl", shots), .shots = 1});
  ASSERT_EQ(checks.size(), documents.size());
  int64_t equal = 0;
  for (const auto& check : checks) {
    EXPECT_EQ(check.recorded.equal, check.recorded.requests) << describe(checks);
    equal += check.recorded.equal;
  }
  EXPECT_EQ(equal, 4 + 2 + 2 + 1 + 1);  // csqa's with their twins
}

TEST(ResultFiles, AllMetricsStandInOneFileSuitesFirst) {
  const TestDirectory directory;
  auto report = small_report();
  report.results.push_back(report.results[0]);
  report.results[1].max_loops = 1;
  write_results(report, directory.path());
  const auto rows = rows_of(directory.path() / "metrics-all.jsonl");
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].at("task_name"), "commonsense");
  EXPECT_EQ(rows[0].at("task_config").at("primary_metric"), "macro");
  EXPECT_EQ(rows[0].at("task_config").at("metadata").at("alias"), "commonsense:max_loops=3");
  EXPECT_EQ(rows[0].at("metrics").at("primary_score"), 0.5);
  for (size_t i = 0; i < 2; ++i) {
    auto alone = Json::parse(content_of(
        directory.path() / ("task-00" + std::to_string(i) + "-arc_challenge-metrics.json")));
    auto row = rows[i + 1];
    for (auto* json : {&alone, &row}) {
      json->erase("current_date");
    }
    EXPECT_EQ(row, alone);
    EXPECT_EQ(row.at("task_hash"), "0123456789abcdef");
    EXPECT_EQ(row.at("model_config").at("model"), "runs/own");
  }
  // What was asked is the same, and who answered is not: another budget, another model.
  const auto hash = rows[1].at("model_hash").get<std::string>();
  EXPECT_EQ(hash.size(), 5U + 16U);
  EXPECT_TRUE(hash.starts_with("xxh3:"));
  EXPECT_NE(rows[2].at("model_hash"), hash);
  report.model = "runs/other";
  write_results(report, directory.path());
  EXPECT_NE(rows_of(directory.path() / "metrics-all.jsonl")[1].at("model_hash"), hash);
  report.model = "runs/own";
  write_results(report, directory.path());
  EXPECT_EQ(rows_of(directory.path() / "metrics-all.jsonl")[1].at("model_hash"), hash);
}

TEST(ResultFiles, FilesOfAnEarlierReportGo) {
  const TestDirectory directory;
  auto report = small_report();
  report.results.push_back(report.results[0]);
  write_results(report, directory.path());
  directory.write("task-list.txt", "not ours");
  write_results(small_report(), directory.path());
  EXPECT_FALSE(
      std::filesystem::exists(directory.path() / "task-001-arc_challenge-predictions.jsonl"));
  EXPECT_TRUE(
      std::filesystem::exists(directory.path() / "task-000-arc_challenge-predictions.jsonl"));
  EXPECT_TRUE(std::filesystem::exists(directory.path() / "task-list.txt"));
}

TEST(ResultFiles, TheTableShowsTheFiguresAndWhatWasCut) {
  const auto text = describe(small_report());
  expect_contains(text, "arc_challenge");
  expect_contains(text, "0.5000");
  expect_contains(text, "commonsense (mean)");
  expect_contains(text, "75.9 M");
  expect_contains(text, "62.1 M");
  expect_contains(text, "1.5 k");
  expect_contains(text, "3.0 k tokens scored in 2.0 s, of which 600 (20 %) were computed");
  expect_contains(text, "2 contexts did not fit the model and were cut from the left");
}

}  // namespace
}  // namespace loopbank

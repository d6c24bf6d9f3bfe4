#include "loopbank/eval/compare.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "loopbank/eval/result_files.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

/// An instance of one choice of one byte, worth `bits`, or of two where it is right or wrong.
InstanceResult scored_instance(const std::string& id, bool right, double bits) {
  ContinuationScore gold{
      .log_probability = -bits * 0.6931471805599453, .tokens = 1, .characters = 1, .bytes = 1};
  auto other = gold;
  other.log_probability += right ? -1.0 : 1.0;
  return {.id = id, .label = 0, .choices = {gold, other}};
}

TaskResult scored_task(const std::string& name, const std::vector<InstanceResult>& instances,
                       int64_t max_loops = 1) {
  TaskResult result;
  result.task = name;
  result.metric = Metric::kAccRaw;
  result.metrics = {{Metric::kAccRaw, {}}, {Metric::kBitsPerByte, {}}};
  result.max_loops = max_loops;
  result.instances = instances;
  result.requests_hash = "asked";
  return result;
}

EvalReport report(const std::vector<TaskResult>& results) {
  EvalReport made;
  made.results = results;
  return made;
}

TEST(Compare, DocumentsArePairedByIdAndTheDifferenceIsOfBoth) {
  const TestDirectory a;
  const TestDirectory b;
  write_results(
      report({scored_task("own", {scored_instance("x", true, 2.0), scored_instance("y", false, 3.0),
                                  scored_instance("z", false, 4.0)})}),
      a.path());
  // Another order; one document more is right, each half a bit better.
  write_results(
      report({scored_task("own", {scored_instance("z", true, 3.5), scored_instance("x", true, 1.5),
                                  scored_instance("y", false, 2.5)})}),
      b.path());
  const auto comparison = compare_results(a.path(), b.path());
  ASSERT_EQ(comparison.tasks.size(), 1U);
  const auto& item = comparison.tasks[0];
  EXPECT_EQ(item.metric, "acc_raw");
  EXPECT_EQ(item.instances, 3);
  EXPECT_NEAR(item.value.a, 1.0 / 3.0, 1e-12);
  EXPECT_NEAR(item.value.difference, 1.0 / 3.0, 1e-12);
  EXPECT_EQ(item.value.low, 0.0);
  EXPECT_EQ(item.value.high, 1.0);
  EXPECT_NEAR(item.bpb.difference, -0.5, 1e-9);
  EXPECT_NEAR(item.bpb.low, -0.5, 1e-9);  // every document moves alike
  EXPECT_NEAR(item.bpb.high, -0.5, 1e-9);
  EXPECT_EQ(item.bpb.p, 1.0 / 10001.0);
  EXPECT_TRUE(item.same_requests);
  const auto json = to_json(comparison);
  EXPECT_EQ(json.at("results").at(0).at("value").at("difference"), item.value.difference);
  EXPECT_EQ(json.at("resamples"), 10000);
  expect_contains(describe(comparison), "+0.3333  [+0.0000, +1.0000]");
}

TEST(Compare, AFolderDoesNotDifferFromItself) {
  const TestDirectory a;
  write_results(report({scored_task(
                    "own", {scored_instance("x", true, 2.0), scored_instance("y", false, 3.0)})}),
                a.path());
  const auto item = compare_results(a.path(), a.path(), {.seed = 3, .resamples = 100}).tasks.at(0);
  EXPECT_EQ(item.value.difference, 0.0);
  EXPECT_EQ(item.value.p, 1.0);
  EXPECT_EQ(item.bpb.p, 1.0);
}

TEST(Compare, OtherDocumentsAreRefusedByName) {
  const TestDirectory a;
  const TestDirectory b;
  write_results(report({scored_task(
                    "own", {scored_instance("x", true, 2.0), scored_instance("y", false, 3.0)})}),
                a.path());
  write_results(report({scored_task("own", {scored_instance("x", true, 2.0)})}), b.path());
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)compare_results(a.path(), b.path()); }),
      "compare: own: expected the same documents in both folders, got 2 and 1; 1 of them missing "
      "in " +
          b.path().string() + ": y.");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)compare_results(b.path(), a.path()); }),
                  "got 1 and 2; 1 of them missing in " + b.path().string() + ": y.");
}

TEST(Compare, RepeatedIdsAreToldApartByTheirPlace) {
  const TestDirectory a;
  const TestDirectory b;
  write_results(report({scored_task(
                    "own", {scored_instance("x", true, 2.0), scored_instance("x", false, 3.0)})}),
                a.path());
  write_results(report({scored_task(
                    "own", {scored_instance("x", true, 1.0), scored_instance("x", true, 3.0)})}),
                b.path());
  const auto item = compare_results(a.path(), b.path()).tasks.at(0);
  EXPECT_EQ(item.instances, 2);
  EXPECT_NEAR(item.value.difference, 0.5, 1e-12);
  EXPECT_NEAR(item.bpb.difference, -0.5, 1e-9);
}

TEST(Compare, BudgetsPairWhereThereAreSeveral) {
  const TestDirectory a;
  const TestDirectory b;
  const auto at = [](int64_t loops, double bits) {
    return scored_task("own", {scored_instance("x", true, bits)}, loops);
  };
  write_results(report({at(1, 4.0), at(2, 3.0)}), a.path());
  write_results(report({at(2, 2.0), at(3, 1.0)}), b.path());
  const auto both = compare_results(a.path(), b.path());
  ASSERT_EQ(both.tasks.size(), 1U);
  EXPECT_EQ(both.tasks[0].max_loops_a, 2);
  EXPECT_NEAR(both.tasks[0].bpb.difference, -1.0, 1e-9);
  // One of each: two budgets of one model may be what is compared.
  write_results(report({at(1, 4.0)}), a.path());
  write_results(report({at(3, 1.0)}), b.path());
  const auto one = compare_results(a.path(), b.path());
  EXPECT_EQ(one.tasks.at(0).max_loops_b, 3);
  EXPECT_NEAR(one.tasks.at(0).bpb.difference, -3.0, 1e-9);
  expect_contains(describe(one), "own N=1/3");
}

TEST(Compare, ASuiteIsComparedByTheMeanOfItsTasks) {
  const TestDirectory a;
  const TestDirectory b;
  const auto made = [](double bits) {
    auto result = report(
        {scored_task("one", {scored_instance("x", true, bits), scored_instance("y", true, bits)}),
         scored_task("two", {scored_instance("x", true, bits + 1.0)})});
    result.suites = {{.suite = "both", .tasks = {"one", "two"}}};
    return result;
  };
  write_results(made(2.0), a.path());
  write_results(made(1.0), b.path());
  const auto comparison = compare_results(a.path(), b.path());
  ASSERT_EQ(comparison.suites.size(), 1U);
  EXPECT_EQ(comparison.suites[0].suite, "both");
  EXPECT_NEAR(comparison.suites[0].bpb.a, 2.5, 1e-9);  // (2 + 3) / 2, whatever the sizes
  EXPECT_NEAR(comparison.suites[0].bpb.difference, -1.0, 1e-9);
  expect_contains(describe(comparison), "both (mean)");
  EXPECT_EQ(to_json(comparison).at("suites").at(0).at("suite"), "both");
}

TEST(Compare, OtherPromptsAreTold) {
  const TestDirectory a;
  const TestDirectory b;
  auto other = scored_task("own", {scored_instance("x", true, 2.0)});
  write_results(report({other}), a.path());
  other.requests_hash = "asked otherwise";
  write_results(report({other}), b.path());
  const auto comparison = compare_results(a.path(), b.path());
  EXPECT_FALSE(comparison.tasks.at(0).same_requests);
  expect_contains(describe(comparison), "own: the folders asked other prompts.");
}

TEST(Compare, FingerprintsOfDifferentKindsSayNothing) {
  const auto same = [](const char* first, const char* second) {
    const TestDirectory a;
    const TestDirectory b;
    auto task = scored_task("own", {scored_instance("x", true, 2.0)});
    task.requests_hash = first;
    write_results(report({task}), a.path());
    task.requests_hash = second;
    write_results(report({task}), b.path());
    return compare_results(a.path(), b.path()).tasks.at(0).same_requests;
  };
  EXPECT_TRUE(same("0123456789abcdef", "xxh3:fedcba9876543210"));
  EXPECT_TRUE(same("xxh3:0123456789abcdef", "xxh3:0123456789abcdef"));
  EXPECT_FALSE(same("xxh3:0123456789abcdef", "xxh3:fedcba9876543210"));
  EXPECT_FALSE(same("0123456789abcdef", "fedcba9876543210"));
}

TEST(Compare, ReadsWhatOlmesWrites) {
  const TestDirectory a;
  const auto write = [](const TestDirectory& folder, const char* bits) {
    folder.write("metrics.json", R"({"all_primary_scores": [], "tasks": []})");
    folder.write("task-000-own-metrics.json",
                 R"({"task_name": "own", "task_config": {"primary_metric": "acc_per_char",
                     "metadata": {"alias": "own:rc::olmes"}}})");
    folder.write("task-000-own-predictions.jsonl",
                 std::string(R"({"doc_id": 0, "native_id": 7, "label": 1, "task_hash": "1a",
                     "metrics": {"acc_per_char": 1, "bits_per_byte_corr": )") +
                     bits + "}}\n");
  };
  const TestDirectory b;
  for (const auto* folder : {&a, &b}) {
    write(*folder, folder == &a ? "1.5" : "1.25");
  }
  // A row is one line: the texts above are broken over two for the eye.
  for (const auto* folder : {&a, &b}) {
    auto rows = testing::content_of(folder->path() / "task-000-own-predictions.jsonl");
    rows.erase(rows.find('\n'), 1);
    folder->write("task-000-own-predictions.jsonl", rows);
  }
  const auto item = compare_results(a.path(), b.path()).tasks.at(0);
  EXPECT_EQ(item.task, "own:rc::olmes");
  EXPECT_EQ(item.metric, "acc_per_char");
  EXPECT_EQ(item.bpb.difference, -0.25);
}

TEST(Compare, MistakesAreNamed) {
  const TestDirectory a;
  const TestDirectory empty;
  write_results(report({scored_task("own", {scored_instance("x", true, 2.0)})}), a.path());
  const auto refusal = [&](const std::filesystem::path& left, const std::filesystem::path& right) {
    return error_of(ErrorCode::kData, [&] { (void)compare_results(left, right); });
  };
  expect_contains(refusal(a.path(), empty.path()),
                  empty.path().string() + ": expected a folder with metrics.json, got none in it");
  expect_contains(refusal(a.path() / "none", a.path()), "got no such folder");
  const TestDirectory b;
  write_results(report({scored_task("another", {scored_instance("x", true, 2.0)})}), b.path());
  expect_contains(refusal(a.path(), b.path()), "expected a task that both folders hold");
  auto other = scored_task("own", {scored_instance("x", true, 2.0)});
  other.metric = Metric::kBitsPerByte;
  write_results(report({other}), b.path());
  expect_contains(refusal(a.path(), b.path()),
                  "own: expected the same metric in both folders, got acc_raw and "
                  "bits_per_byte_corr");
  b.write("task-000-own-predictions.jsonl", "{\"doc_id\": 0}\n");
  expect_contains(refusal(a.path(), b.path()),
                  "task-000-own-predictions.jsonl:1: expected the key \"metrics\", got none");
  b.write("metrics.json", "[]");
  expect_contains(refusal(a.path(), b.path()), "metrics.json: expected a JSON object");
  expect_contains(error_of(ErrorCode::kConfig,
                           [&] { (void)compare_results(a.path(), a.path(), {.resamples = 0}); }),
                  "expected 1 resample or more, got 0");
}

}  // namespace
}  // namespace loopbank

#include "loopbank/train/metrics.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

using testing::TestDirectory;

std::string row(int64_t step) {
  return fmt::format("{{\"step\":{},\"loss\":1.5}}\n", step);
}

TEST(MetricsLog, AResumeKeepsTheRowsUpToTheCheckpointAlone) {
  const TestDirectory directory;
  const std::string validation = "{\"step\":2,\"validation_loss\":3.0}\n";
  const auto path = directory.write("metrics.jsonl", row(1) + row(2) + validation + row(3));
  {
    MetricsLog log(path, /*last_step=*/2);
    log.write(nlohmann::ordered_json{{"step", 3}});
    log.sync();
  }
  EXPECT_EQ(read_file(path), row(1) + row(2) + validation + "{\"step\":3}\n");
  EXPECT_EQ(directory.names(), std::vector<std::string>{"metrics.jsonl"});
}

TEST(MetricsLog, ATornLastLineIsDropped) {
  const TestDirectory directory;
  for (const std::string& torn :
       {std::string("{\"step\":3,\"lo"), std::string("{\"step\":3,\"loss\":1.5}"),
        std::string("{\"step\":"), std::string(100'000, '[') + "\n"}) {
    const auto path = directory.write("metrics.jsonl", row(1) + row(2) + torn);
    const MetricsLog log(path, /*last_step=*/5);
    EXPECT_EQ(read_file(path), row(1) + row(2)) << torn;
  }
}

TEST(MetricsLog, ANewRunStartsAnEmptyFile) {
  const TestDirectory directory;
  const auto path = directory.write("metrics.jsonl", row(1));
  MetricsLog log(path, /*last_step=*/0);
  EXPECT_EQ(read_file(path), "");
  const MetricsLog other(directory.path() / "other.jsonl", 0);
  EXPECT_EQ(read_file(directory.path() / "other.jsonl"), "");
}

TEST(StepMetrics, CarryTheDocumentedKeys) {
  const auto json = to_json(StepMetrics{.step = 3,
                                        .loss = 2.5,
                                        .tokens = 96,
                                        .tokens_per_second = 10.0,
                                        .mean_loops = 1.25,
                                        .loops_by_layer = {1.5, 1.0}});
  for (const char* key : {"step", "loss", "tokens", "tokens_per_second", "mean_loops",
                          "learning_rate", "gradient_norm", "ponder", "loops_by_layer"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["loss"], 2.5);
  EXPECT_FALSE(json.contains("skipped"));
  EXPECT_FALSE(json.contains("ponder_weight"));
  EXPECT_EQ(to_json(StepMetrics{.step = 3, .ponder_weight = 0.25})["ponder_weight"], 0.25);
}

TEST(StepMetrics, ALossThatIsNotFiniteIsNull) {
  const auto json = to_json(StepMetrics{.step = 1, .loss = std::nan(""), .skipped = true});
  EXPECT_TRUE(json["loss"].is_null());
  EXPECT_EQ(json["skipped"], true);
  EXPECT_EQ(nlohmann::ordered_json::parse(json.dump()), json);
}

TEST(ValidationMetrics, ListEveryBudgetByItsNumber) {
  const auto json = to_json(
      ValidationMetrics{.step = 4, .loss = 1.0, .bpb = 1.4, .loss_by_loops = {{1, 1.5}, {2, 1.0}}});
  EXPECT_EQ(json["validation_loss"], 1.0);
  EXPECT_EQ(json["validation_bpb"], 1.4);
  EXPECT_EQ(json["validation_loss_by_loops"].dump(), R"({"1":1.5,"2":1.0})");
}

TEST(EvaluationMetrics, TellTaskAndSuiteApart) {
  const EvaluationMetrics task{.step = 4, .task = "piqa", .metric = "acc_per_char", .value = 0.5};
  const auto json = to_json(task);
  for (const char* key :
       {"step", "metric", "value", "bpb", "instances", "max_loops", "mean_loops", "seconds"}) {
    EXPECT_TRUE(json.contains(key)) << key;
  }
  EXPECT_EQ(json["task"], "piqa");
  EXPECT_EQ(json["value"], 0.5);
  EXPECT_FALSE(json.contains("loss"));
  EXPECT_EQ(to_json(EvaluationMetrics{.task = "math", .is_suite = true})["suite"], "math");
}

}  // namespace
}  // namespace loopbank

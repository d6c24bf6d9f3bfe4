/// The program's outputs that scripts outside the project read: file names, JSON keys, shapes. They
/// stay as they are.

#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "fixtures.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/support/files.h"
#include "program.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;
using Shape = std::vector<int64_t>;

/// A folder with the fixture and a model in `model`.
class Contract : public ::testing::Test {
 protected:
  void SetUp() override {
    write_fixture(directory_.path());
    write_model(directory_.path() / "model");
  }

  /// stdout of a command that has to succeed.
  std::string output_of(const std::vector<std::string>& arguments, const std::string& input = "") {
    const auto result = run_program(arguments, input, directory_.path());
    EXPECT_EQ(result.status, 0) << result.err;
    return result.out;
  }
  Json json_of(const std::vector<std::string>& arguments) {
    return Json::parse(output_of(arguments));  // stdout holds JSON alone
  }
  [[nodiscard]] std::string file(const std::string& name) const {
    return read_file(directory_.path() / name);
  }

  TestDirectory directory_;
};

void expect_keys(const Json& json, const std::vector<std::string>& keys) {
  for (const auto& key : keys) {
    EXPECT_TRUE(json.contains(key)) << key << " in " << json.dump();
  }
}

TEST_F(Contract, PlanTellsParametersAndFlops) {
  const auto plan = json_of({"plan", "run.toml", "--json"});
  EXPECT_GT(plan.at("parameters").at("total").get<double>(), 1000);
  const double forward = plan.at("flops_per_token").at("forward").get<double>();
  EXPECT_DOUBLE_EQ(plan.at("flops_per_token").at("training").get<double>(), 3 * forward);
}

TEST_F(Contract, DataGoesFromTextToTokensAndBack) {
  const auto report = json_of({"data", "tokenize", "corpus.jsonl", "corpus.txt", "--tokenizer",
                               "tokenizer.json", "--out", "new.tokens", "--json"});
  expect_keys(report, {"documents", "tokens", "text_bytes", "bad_lines", "megabytes_per_second"});
  const auto inspected = json_of({"data", "inspect", "new.tokens", "--tokenizer", "tokenizer.json",
                                  "--documents", "2", "--json"});
  EXPECT_EQ(inspected.at("tokens"), report.at("tokens"));
  EXPECT_EQ(inspected.at("documents"), report.at("documents"));
  EXPECT_EQ(inspected.at("vocab_size"), 257);
  // Bytes and an end of text each; every document here is a sentence or all of them.
  EXPECT_EQ(report.at("tokens"),
            report.at("text_bytes").get<int64_t>() + report.at("documents").get<int64_t>());
  const auto first = inspected.at("first_documents").at(0).get<std::string>();
  EXPECT_NE(file("corpus.txt").find(first.substr(0, 20)), std::string::npos) << first;

  const auto ids =
      output_of({"data", "encode", "--tokenizer", "tokenizer.json"}, "{\"text\": \"h\\u00e9\"}\n");
  EXPECT_EQ(ids, "{\"ids\":[104,195,169]}\n");
  EXPECT_EQ(
      Json::parse(output_of({"data", "decode", "--tokenizer", "tokenizer.json"}, ids)).at("text"),
      "h\xC3\xA9");
}

TEST_F(Contract, TrainWritesMetricsAndAModelDirectory) {
  (void)output_of({"train", "run.toml", "--out", "run"});
  bool step_row = false;
  bool validation_row = false;
  std::istringstream lines(file("run/metrics.jsonl"));
  for (std::string line; std::getline(lines, line);) {
    const auto row = Json::parse(line);
    EXPECT_TRUE(row.contains("step"));
    if (row.contains("validation_loss")) {
      validation_row = true;
      expect_keys(row, {"validation_bpb", "validation_loss_by_loops"});
    } else {
      step_row = true;
      expect_keys(row, {"loss", "tokens", "tokens_per_second", "mean_loops"});
    }
  }
  EXPECT_TRUE(step_row);
  EXPECT_TRUE(validation_row);
  EXPECT_EQ(Json::parse(file("run/config.json")).at("model_type"), "loopbank");
  EXPECT_FALSE(file("run/tokenizer.json").empty());
  EXPECT_EQ(output_of({"generate", "run", "--prompt", "Ada", "--max-tokens", "3", "--seed", "4"}),
            output_of({"generate", "run", "--prompt", "Ada", "--max-tokens", "3", "--seed", "4",
                       "--max-loops", "0"}));
}

TEST_F(Contract, GenerateTellsTextTokensProbabilitiesAndLoops) {
  const auto json =
      json_of({"generate", "model", "--prompt", "Ada", "--max-tokens", "3", "--temperature", "0",
               "--logit-bias", "65:100", "--logprobs", "2", "--json"});
  expect_keys(
      json, {"prompt", "text", "tokens", "token_logprobs", "top_logprobs", "loops", "text_offsets",
             "mean_loops", "prompt_tokens", "stop_reason", "tokens_per_second"});
  EXPECT_EQ(json.at("text"), "AAA");
  EXPECT_EQ(json.at("tokens"), Json({65, 65, 65}));
  EXPECT_EQ(json.at("loops").size(), 3U);
  EXPECT_EQ(json.at("stop_reason"), "max_tokens");
  // A prompt from stdin, shown when it is whole, ended by the third A.
  EXPECT_EQ(output_of({"generate", "model", "--prompt-file", "-", "--temperature", "0",
                       "--logit-bias", "65:100", "--stop", "zz", "--stop", "AAA", "--no-stream"},
                      "Ada"),
            "\n");
}

TEST_F(Contract, GenerateGoesOnWithAFileOfPrompts) {
  write_text(directory_.path() / "prompts.jsonl",
             "{\"prompt\": \"Ada\", \"n\": 2}\n{\"prompt\": [65], \"id\": \"b\"}\n");
  const std::vector<std::string> command = {"generate",     "model", "--prompts", "prompts.jsonl",
                                            "--max-tokens", "3",     "--out",     "out.jsonl"};
  output_of(command);
  const auto whole = file("out.jsonl");
  EXPECT_EQ(std::count(whole.begin(), whole.end(), '\n'), 3);
  expect_keys(Json::parse(whole.substr(0, whole.find('\n'))),
              {"index", "completion", "request", "text", "tokens", "token_logprobs", "loops",
               "mean_loops", "stop_reason"});
  write_text(directory_.path() / "out.jsonl", whole.substr(0, whole.find('\n') + 9));
  output_of(command);
  EXPECT_EQ(file("out.jsonl"), whole);
}

TEST_F(Contract, EvalTellsARowATaskAndBudget) {
  write_text(
      directory_.path() / "tasks/quiz.jsonl",
      R"({"task": "quiz", "id": "1", "context": "Answer:", "choices": ["a", "bb"], "label": 1})"
      "\n");
  const auto json = json_of({"eval", "model", "--tasks", "quiz", "--data", "tasks", "--max-loops",
                             "1,2", "--out", "scores", "--json"});
  ASSERT_EQ(json.at("results").size(), 2U);
  for (const auto& row : json.at("results")) {
    expect_keys(
        row, {"task", "metric", "value", "stderr", "instances", "bpb", "max_loops", "mean_loops"});
    EXPECT_EQ(row.at("task"), "quiz");
    EXPECT_EQ(row.at("instances"), 1);
    expect_keys(row, {"flops_per_token", "expected_flops_per_token", "seconds", "tokens",
                      "computed_tokens", "tokens_per_second"});
  }
  const auto written = Json::parse(file("scores/metrics.json"));
  EXPECT_EQ(written.at("tasks").size(), 2U);
  EXPECT_EQ(written.at("all_primary_scores").size(), 2U);
  for (const auto& row : written.at("results")) {
    EXPECT_FALSE(file("scores/" + row.at("predictions").get<std::string>()).empty());
    EXPECT_FALSE(file("scores/" + row.at("requests").get<std::string>()).empty());
  }
  EXPECT_EQ(json.at("results")[0].at("max_loops"), 1);
  EXPECT_EQ(json.at("results")[0].at("mean_loops"), 1.0);
  EXPECT_EQ(json.at("results")[1].at("max_loops"), 2);
}

TEST_F(Contract, RequestsAreCheckedWithoutAModel) {
  const auto record = [&](const std::string& continuation) {
    write_text(
        directory_.path() / "requests/csqa.jsonl",
        R"({"task_name": "csqa", "doc_id": 0, "idx": 0, "doc": {"query": "Up?", )"
        R"("choices": ["sky"], "gold": 0}, "request": {"context": "Up?", "continuation": ")" +
            continuation + "\"}}\n");
  };
  const std::vector<std::string> check = {"eval", "--check-requests", "requests", "--shots", "0"};
  record(" sky");
  EXPECT_EQ(output_of(check), "csqa.jsonl: 1 of 1 equal\nall: 1 of 1 equal\n");
  record(" sea");
  const auto result = run_program(check, "", directory_.path());
  EXPECT_EQ(result.status, 4);
  EXPECT_NE(result.out.find("the continuation differs at byte 2"), std::string::npos) << result.out;
  EXPECT_NE(result.err.find("got 1 that differ"), std::string::npos) << result.err;
}

TEST_F(Contract, EvalComparesTwoFolders) {
  write_text(
      directory_.path() / "tasks/quiz.jsonl",
      R"({"task": "quiz", "id": "1", "context": "Answer:", "choices": ["a", "bb"], "label": 1})"
      "\n");
  for (const auto* loops : {"1", "2"}) {
    (void)output_of({"eval", "model", "--tasks", "quiz", "--data", "tasks", "--max-loops", loops,
                     "--out", std::string("scores-") + loops});
  }
  const auto json = json_of(
      {"eval", "compare", "scores-1", "scores-2", "--resamples", "50", "--seed", "3", "--json"});
  EXPECT_EQ(json.at("resamples"), 50);
  EXPECT_EQ(json.at("seed"), 3);
  ASSERT_EQ(json.at("results").size(), 1U);
  const auto& row = json.at("results")[0];
  expect_keys(row, {"task", "metric", "instances", "max_loops_a", "max_loops_b"});
  for (const auto* part : {"value", "bpb"}) {
    expect_keys(row.at(part), {"a", "b", "difference", "low", "high", "p"});
  }
  EXPECT_EQ(row.at("max_loops_b"), 2);
  // One document: every resample is the same.
  EXPECT_EQ(row.at("bpb").at("low"), row.at("bpb").at("high"));
}

TEST_F(Contract, ProbeWritesEveryInnerValueByName) {
  write_text(directory_.path() / "tokens.json", R"({"tokens": [[65, 66, 67], [68, 69, 70]]})");
  (void)output_of(
      {"probe", "model", "--tokens", "tokens.json", "--out", "probe.safetensors", "--gradients"});
  std::map<std::string, Shape> shapes;
  size_t gradients = 0;
  for (const auto& [name, tensor] :
       read_safetensors(directory_.path() / "probe.safetensors").tensors) {
    shapes[name] = tensor.sizes().vec();
    gradients += name.starts_with("grad.") ? 1U : 0U;
  }
  EXPECT_EQ(shapes["logits"], (Shape{2, 3, 257}));
  EXPECT_EQ(shapes["loss"], (Shape{}));
  EXPECT_EQ(shapes["expected_loops"], (Shape{2, 2, 3}));
  EXPECT_EQ(shapes["halting"], (Shape{2, 2, 2, 3}));
  EXPECT_EQ(shapes["local_gate"], (Shape{2, 2, 2, 3}));
  EXPECT_EQ(shapes["global_gate"], (Shape{2, 2, 2, 3}));
  EXPECT_EQ(gradients,
            read_safetensors(directory_.path() / "model/model.safetensors").tensors.size());
}

TEST_F(Contract, BenchTrainTellsItsSpeed) {
  const auto json = json_of(
      {"bench", "train", "--config", "run.toml", "--dtype", "fp32", "--steps", "2", "--json"});
  for (const auto* key : {"tokens_per_second", "flops_per_token", "gemm_peak_flops", "utilization",
                          "peak_memory_bytes"}) {
    EXPECT_GT(json.at(key).get<double>(), 0) << key;
  }
  double shares = 0;
  for (const auto& op : json.at("ops")) {
    shares += op.at("share").get<double>();
  }
  EXPECT_GT(shares, 0.4);
  EXPECT_LE(shares, 1.0 + 1e-9);
}

TEST_F(Contract, MatchPrintsAConfigThatTrains) {
  const auto config = output_of({"match", "run.toml", "--by", "flops", "--step", "1"});
  write_text(directory_.path() / "baseline.toml", config);
  (void)output_of({"train", "baseline.toml", "--out", "baseline", "--dry-run"});
}

}  // namespace
}  // namespace loopbank::testing

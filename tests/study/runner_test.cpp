#include "loopbank/study/runner.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/support/files.h"
#include "small_study.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using testing::error_of;
using testing::expect_contains;
using testing::json_of_file;
using testing::run_folder;
using testing::small_study;
using testing::TestDirectory;

/// results.json without what a clock measured.
nlohmann::json timeless_results(const fs::path& out) {
  auto json = json_of_file(out / "results.json");
  const auto forget = [](nlohmann::json& systems) {
    for (auto& system : systems) {
      for (const char* key : {"tokens_per_second", "seconds", "evaluation_seconds"}) {
        system.erase(key);
      }
      if (system.contains("matches")) {
        system["matches"].erase("seconds");
      }
    }
  };
  for (auto& exits : json["parts"][0]["exits"]) {
    for (const char* list : {"results", "chosen"}) {
      for (auto& one : exits[list]) {
        one.erase("time_saved_share");
        one.erase("time_saved_share_by_seed");
      }
    }
  }
  forget(json["systems"]);
  forget(json["parts"][0]["systems"]);
  return json;
}

TEST(RunStudy, EverySystemIsTrainedScoredAndWritten) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  auto options = small_study(out, {}, {"training.steps=2"});
  std::vector<std::string> told;
  options.on_run = [&](const RunDone& done) {
    told.push_back(done.result.system);
    EXPECT_EQ(done.number, static_cast<int64_t>(told.size()));
    EXPECT_EQ(done.total, 10);
    EXPECT_FALSE(done.was_done);
  };
  const auto outcome = run_study(options);
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(told.size(), 10U);

  const auto json = json_of_file(out / "results.json");
  EXPECT_EQ(json["scale"], "demo");
  EXPECT_EQ(json["finished"], true);
  const auto& part = json["parts"][0];
  EXPECT_EQ(part["seeds"], nlohmann::json({3}));
  EXPECT_EQ(part["data"]["recipe"]["benchmark"]["facts"]["people"], 8);
  ASSERT_EQ(json["systems"].size(), 10U);
  for (size_t i = 0; i < 10; ++i) {
    const auto& row = json["systems"][i];
    SCOPED_TRACE(row["name"].get<std::string>());
    EXPECT_EQ(row["name"], told[i]);
    EXPECT_EQ(row["steps"], 2);
    EXPECT_EQ(row["tokens"], 2 * 2 * 16);
    // Two steps teach nothing yet: near a uniform guess over 280 tokens, which all bytes take.
    EXPECT_GT(row["facts_bpb"], 1.0);
    EXPECT_LT(row["facts_bpb"], 16.0);
    EXPECT_GT(row["scores"]["facts_bpb"]["standard_error"], 0.0);
    EXPECT_GT(row["tokens_per_second"], 0.0);
    const bool adaptive = told[i].starts_with("loop") || told[i].starts_with("mem");
    EXPECT_EQ(row["mean_loops"] > 1.0, adaptive);
    EXPECT_EQ(row["expected_flops_per_token"] < row["flops_per_token"], adaptive);
    const auto folder = run_folder(out, told[i]);
    for (const char* name : {"model.safetensors", "metrics.jsonl", "scores/metrics.json"}) {
      EXPECT_TRUE(fs::exists(folder / name)) << name;
    }
    // What the table says is what the score files say.
    const auto scores = json_of_file(folder / "scores" / "metrics.json")["results"];
    EXPECT_EQ(scores[0]["task"], "facts");
    EXPECT_EQ(scores[0]["value"], row["facts_accuracy"]);
    EXPECT_EQ(scores[0]["bpb"], row["facts_bpb"]);
    EXPECT_EQ(scores[1]["task"], "reasoning");
    EXPECT_EQ(scores[1]["value"], row["reasoning_accuracy"]);
    EXPECT_EQ(scores[1]["bpb"], row["reasoning_bpb"]);
  }
  EXPECT_EQ(part["curves"]["loop3"][0]["step"], nlohmann::json({2}));
  EXPECT_EQ(part["inside"]["loop7"]["halting"][0].size(), 7U);
  EXPECT_EQ(part["inside"]["isopar"]["expected_loops"], nlohmann::json({1.0}));
  const auto page = read_file(out / "report.html");
  EXPECT_TRUE(page.starts_with("<!DOCTYPE html>"));
  expect_contains(page, "Mem (g0=3)");
  expect_contains(read_file(out / "csv/benchmark-table.csv"), "Mem (g0=3)");
}

TEST(RunStudy, SeedsAreWorldsOfTheirOwnAndASystemMayHaveFewer) {
  const TestDirectory directory;
  const auto file = directory.write(
      "mine.toml", fmt::format("base = \"{}/configs/study/demo.toml\"\n"
                               "[study]\nsystems = [\"isopar\", \"loop3\"]\n"
                               "[system.shy]\nlike = \"loop3\"\ngroup = \"ponder\"\nseeds = [2]\n"
                               "set = [\"model.ponder_weight=0.5\"]\n",
                               LOOPBANK_SOURCE_DIR));
  auto options = small_study(directory.path() / "study", {});
  auto settings = testing::small_settings();
  settings.front() = "study.seeds=[1, 2]";
  options.parts = {load_study_config(file, settings)};
  const auto outcome = run_study(options);
  const auto& part = outcome.result.parts.at(0);
  ASSERT_EQ(part.systems.size(), 3U);
  EXPECT_EQ(part.systems[0].seeds.size(), 2U);
  ASSERT_EQ(part.systems[2].seeds.size(), 1U);
  EXPECT_EQ(part.systems[2].seeds[0], 2);
  EXPECT_EQ(part.systems[2].ponder_weight, 0.5);
  const auto out = directory.path() / "study";
  EXPECT_NE(read_file(out / "benchmark/seed-1/data/train.jsonl"),
            read_file(out / "benchmark/seed-2/data/train.jsonl"));
  EXPECT_NE(read_file(run_folder(out, "isopar", 1) / "model.safetensors"),
            read_file(run_folder(out, "isopar", 2) / "model.safetensors"));
  // Paired over two seeds where both systems have both.
  EXPECT_TRUE(part.comparisons.at({"loop3", "isopar", "facts_bpb"}).seeds.has_value());
  EXPECT_FALSE(part.comparisons.at({"shy", "isopar", "facts_bpb"}).seeds.has_value());
}

TEST(RunStudy, ABaselineInEqualTimeTakesTheStepsThatWereMeasured) {
  const TestDirectory directory;
  const auto file = directory.write(
      "mine.toml", fmt::format("base = \"{}/configs/study/demo.toml\"\n"
                               "[study]\nsystems = [\"loop7\"]\n"
                               "[system.isotime]\nmatch = \"loop7\"\nby = \"time\"\n",
                               LOOPBANK_SOURCE_DIR));
  const auto out = directory.path() / "study";
  auto options = small_study(out, {});
  options.parts = {load_study_config(file, testing::small_settings())};
  const auto outcome = run_study(options);
  const auto measured = json_of_file(out / "benchmark/iso-time/isotime.json");
  const auto& rows = outcome.result.parts.at(0).systems;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[1].steps, measured["steps"]);
  EXPECT_GT(rows[1].steps, 6);  // one loop is faster than seven
  EXPECT_TRUE(run_study(options).finished) << "the same steps again";
}

TEST(RunStudy, WhatIsDoneIsNotDoneAgainAndOtherSystemsJoin) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  EXPECT_EQ(run_study(small_study(out, {"loop3"})).result.parts[0].systems.size(), 1U);
  const auto loop3 = run_folder(out, "loop3");
  const auto trained = fs::last_write_time(loop3 / "model.safetensors");
  const auto tokens = fs::last_write_time(out / "benchmark/seed-3/data/train.tokens");
  const auto before = json_of_file(loop3 / "result.json");

  auto options = small_study(out, {"loop3", "isopar"});
  std::vector<bool> was_done;
  options.on_run = [&](const RunDone& done) { was_done.push_back(done.was_done); };
  const auto rows = run_study(options).result.parts[0].systems;
  EXPECT_EQ(was_done, (std::vector<bool>{false, true}));  // in the table's order: IsoPar is new
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].name, "isopar");
  EXPECT_EQ(fs::last_write_time(loop3 / "model.safetensors"), trained);
  EXPECT_EQ(fs::last_write_time(out / "benchmark/seed-3/data/train.tokens"), tokens);
  EXPECT_EQ(json_of_file(loop3 / "result.json"), before);
}

TEST(RunStudy, StoppedAnywhereAndContinuedItEndsWithTheSameBits) {
  const TestDirectory directory;
  const auto whole = directory.path() / "whole";
  ASSERT_TRUE(run_study(small_study(whole)).finished);
  const auto parts = directory.path() / "parts";
  int calls = 0;
  for (bool finished = false; !finished; ++calls) {
    ASSERT_LT(calls, 20);
    auto options = small_study(parts);
    // Asked before a run and after each of its steps.
    options.should_stop = [left = 5]() mutable { return --left <= 0; };
    const auto outcome = run_study(options);
    finished = outcome.finished;
    EXPECT_EQ(json_of_file(parts / "results.json")["systems"].size(),
              outcome.result.parts[0].systems.size());
  }
  EXPECT_GE(calls, 3);
  for (const char* name : {"isopar", "loop3"}) {
    EXPECT_EQ(read_file(run_folder(whole, name) / "model.safetensors"),
              read_file(run_folder(parts, name) / "model.safetensors"))
        << name;
  }
  EXPECT_EQ(timeless_results(whole), timeless_results(parts));
}

TEST(RunStudy, ATrainedSystemWithoutItsResultIsScoredAlone) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  const auto before = timeless_results(out);
  const auto trained = read_file(run_folder(out, "isopar") / "metrics.jsonl");
  fs::remove(run_folder(out, "isopar") / "result.json");
  const auto outcome = run_study(small_study(out, {"isopar"}));
  EXPECT_EQ(timeless_results(out), before);
  EXPECT_EQ(read_file(run_folder(out, "isopar") / "metrics.jsonl"), trained);
  EXPECT_GT(outcome.result.parts[0].systems.at(0).tokens_per_second, 0.0);
}

TEST(RunStudy, WhatAnEarlierProcessDidNotLookIntoIsLookedIntoNow) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"loop3"})).finished);
  const auto before = read_file(run_folder(out, "loop3") / "inside.json");
  fs::remove(run_folder(out, "loop3") / "inside.json");
  ASSERT_TRUE(run_study(small_study(out, {"loop3"})).finished);
  EXPECT_EQ(read_file(run_folder(out, "loop3") / "inside.json"), before);
  write_file_atomically(run_folder(out, "loop3") / "inside.json", "{");
  expect_contains(error_of(ErrorCode::kData, [&] { (void)run_study(small_study(out, {"loop3"})); }),
                  "inside.json:1:1: expected what a model does within");
}

TEST(RunStudy, ExitsOfLoopsAreMeasuredOnceAndKept) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out)).finished);
  const auto path = run_folder(out, "loop3") / "exits.json";
  EXPECT_FALSE(fs::exists(run_folder(out, "isopar") / "exits.json"));
  const auto before = read_file(path);
  const auto exits = json_of_file(out / "results.json")["parts"][0]["exits"];
  ASSERT_EQ(exits.size(), 1U);
  const auto& results = exits["loop3"]["results"];
  EXPECT_EQ(results[0]["name"], "all");
  EXPECT_EQ(results[0]["flops_saved_share_by_seed"], nlohmann::json({0.0}));
  EXPECT_EQ(results[0]["bpb_difference"]["difference"], 0.0);
  EXPECT_EQ(results[1]["name"], "budget 2");
  EXPECT_EQ(results[2]["name"], "budget 1");
  EXPECT_EQ(results[2]["mean_loops"], 1.0);
  EXPECT_GT(results[2]["flops_saved_share_by_seed"][0], 0.3);
  std::set<std::string> measured;
  for (const auto& result : results) {
    measured.insert(result["where"].get<std::string>() + " " + result["kv"].get<std::string>());
  }
  EXPECT_EQ(measured,
            (std::set<std::string>{"decode copy", "decode first", "decode full", "everywhere copy",
                                   "everywhere first", "everywhere full", "scoring copy",
                                   "scoring first", "scoring full"}));
  expect_contains(read_file(out / "csv/benchmark-exits.csv"),
                  "loop3,scoring,full,budget 1,budget:1,1,");
  ASSERT_TRUE(run_study(small_study(out)).finished);
  EXPECT_EQ(read_file(path), before);
  // A folder of before, whose runs are done: what is missing is measured.
  fs::remove(path);
  ASSERT_TRUE(run_study(small_study(out)).finished);
  EXPECT_TRUE(fs::exists(path));
}

TEST(RunStudy, WithoutExitsTheyAreToldAsNotMeasured) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  const auto options = small_study(out, {"loop3"}, {"study.exits=false"});
  const auto outcome = run_study(options);
  EXPECT_FALSE(fs::exists(run_folder(out, "loop3") / "exits.json"));
  EXPECT_FALSE(outcome.result.parts[0].systems.at(0).exits.has_value());
  EXPECT_FALSE(json_of_file(out / "results.json")["parts"][0].contains("exits"));
  expect_contains(read_file(out / "report.html"),
                  "It takes a trained system with loops whose exits were measured.");
  EXPECT_TRUE(run_study(small_study(out, {"loop3"})).finished) << "no other settings of a run";
  EXPECT_TRUE(fs::exists(run_folder(out, "loop3") / "exits.json"));
}

TEST(RunStudy, ABrokenExitsFileIsNamed) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"loop3"})).finished);
  write_file_atomically(run_folder(out, "loop3") / "exits.json", "{\"seed\": 3}");
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)run_study(small_study(out, {"loop3"})); }),
      "exits.json: expected what stopping early costs a run, got no \"rows\". Remove the "
      "file to measure it anew.");
}

TEST(RunStudy, AMovedStudyStillShowsWhatIsDone) {
  const TestDirectory directory;
  ASSERT_TRUE(run_study(small_study(directory.path() / "here", {"isopar"})).finished);
  fs::rename(directory.path() / "here", directory.path() / "there");
  const auto outcome = run_study(small_study(directory.path() / "there", {"isopar"}));
  EXPECT_TRUE(outcome.finished);
  EXPECT_EQ(outcome.result.parts[0].systems.size(), 1U);
}

TEST(RunStudy, AFolderOfOtherOptionsIsRefusedAndKept) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  const auto before = read_file(out / "results.json");

  const auto other_settings = small_study(out, {"isopar"}, {"training.steps=7"});
  const auto settings = error_of(ErrorCode::kConfig, [&] { (void)run_study(other_settings); });
  expect_contains(settings, "expected training.steps = 6");
  expect_contains(settings, "got 7");

  const auto other_world = small_study(out, {"loop3"}, {"benchmark.people=9"});
  const auto world = error_of(ErrorCode::kConfig, [&] { (void)run_study(other_world); });
  expect_contains(world, "data.json: expected benchmark.facts.people = 8, got 9");
  EXPECT_EQ(read_file(out / "results.json"), before);
}

TEST(RunStudy, ABrokenResultIsNamed) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  ASSERT_TRUE(run_study(small_study(out, {"isopar"})).finished);
  write_file_atomically(run_folder(out, "isopar") / "result.json", "{\"system\": ");
  const auto error =
      error_of(ErrorCode::kData, [&] { (void)run_study(small_study(out, {"isopar"})); });
  expect_contains(error, "systems/isopar/result.json:1:11: expected the result of a run");
  expect_contains(error, "Remove the file");
}

}  // namespace
}  // namespace loopbank

#include "loopbank/study/score_points.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "loopbank/eval/evaluate.h"
#include "loopbank/eval/task_files.h"
#include "loopbank/train/checkpoint.h"
#include "loopbank/train/run_directory.h"
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
using Steps = std::vector<int64_t>;

TaskScore scored(const std::string& task, double accuracy, double bpb) {
  return {.task = task,
          .accuracy = {.mean = accuracy, .standard_error = 0.1},
          .bpb = {.mean = bpb, .standard_error = 0.2},
          .instances = 8,
          .mean_loops = 1.5};
}

Column column(const std::string& key, bool is_bpb, const std::vector<std::string>& tasks) {
  Column column;
  column.key = key;
  column.measure = is_bpb ? Measure::kBpb : Measure::kAccuracy;
  column.tasks = tasks;
  return column;
}

const ScoreCurve& only_curve(const StudyOutcome& outcome, const std::string& system) {
  const auto& curves = outcome.result.parts.at(0).find(system)->score_curves;
  EXPECT_EQ(curves.size(), 1U) << system;
  return curves.at(0);
}

TEST(ScoreSteps, EvenlySpacedOnALogAxisToTheLast) {
  EXPECT_EQ(score_steps(960, 6), (Steps{30, 60, 120, 240, 480, 960}));
  EXPECT_EQ(score_steps(1600, 3), (Steps{50, 283, 1600}));
  EXPECT_EQ(score_steps(960, 10).size(), 10U);
}

TEST(ScoreSteps, FewStepsMakeFewerPointsAndNoneTwice) {
  EXPECT_EQ(score_steps(6, 10), (Steps{1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(score_steps(1, 10), (Steps{1}));
  EXPECT_EQ(score_steps(33, 2), (Steps{1, 33}));
}

TEST(ScoreSteps, NoPointsOrTheEndAlone) {
  EXPECT_TRUE(score_steps(960, 0).empty());
  EXPECT_EQ(score_steps(960, 1), (Steps{960}));
}

TEST(QuestionsOnTheWay, TheSameForEveryOneAndInTheirOrder) {
  Task task{.name = "facts", .bare_context = "", .instances = {}};
  for (int i = 0; i < 100; ++i) {
    task.instances.push_back({.id = fmt::format("{:02}", i), .choices = {}});
  }
  auto few = task;
  few.name = "few";
  few.instances.resize(9);
  const auto some = questions_on_the_way({task, few}, 10);
  std::vector<std::string> ids;
  for (const auto& instance : some[0].instances) {
    ids.push_back(instance.id);
  }
  EXPECT_EQ(std::set<std::string>(ids.begin(), ids.end()).size(), 10U);
  EXPECT_TRUE(std::is_sorted(ids.begin(), ids.end()));
  EXPECT_GT(ids.back(), "50") << "of the whole task, not of its beginning";
  EXPECT_EQ(some[1].instances.size(), 9U);
  const auto again = questions_on_the_way({task}, 10);
  for (size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(again[0].instances[i].id, ids[i]);
  }
}

constexpr ScorePointSettings kSettings = {.score_points = 5, .score_point_instances = 8};

TEST(ScorePoints, APointReplacesThoseBehindIt) {
  const TestDirectory directory;
  EXPECT_TRUE(read_score_points(directory.path()).empty());
  for (const int64_t step : {1, 2, 4, 2}) {
    add_score_point(directory.path(), kSettings,
                    {.step = step,
                     .tokens = 32.0 * static_cast<double>(step),
                     .tasks = {scored("facts", 0.25, 2.0)}});
  }
  const auto points = read_score_points(directory.path());
  ASSERT_EQ(points.size(), 2U);
  EXPECT_EQ(points[0].step, 1);
  EXPECT_EQ(points[1].step, 2);
  EXPECT_EQ(points[1].tokens, 64.0);
  EXPECT_EQ(points[1].tasks.at(0).bpb.mean, 2.0);
  directory.write("score_points.json", "{\"points\": [{\"step\": 1}]}");
  expect_contains(
      error_of(ErrorCode::kData, [&] { (void)read_score_points(directory.path()); }),
      "score_points.json.points.0: expected the scores of a run along its training, got no "
      "\"tokens\". Remove the file to go on without them.");
}

TEST(ScorePoints, OtherQuestionsBeginACurveAnew) {
  const TestDirectory directory;
  const auto steps_after = [&](const ScorePointSettings& settings, int64_t step) {
    add_score_point(directory.path(), settings, {.step = step, .tokens = 1.0, .tasks = {}});
    Steps steps;
    for (const auto& point : read_score_points(directory.path())) {
      steps.push_back(point.step);
    }
    return steps;
  };
  EXPECT_EQ(steps_after(kSettings, 1), (Steps{1}));
  EXPECT_EQ(steps_after(kSettings, 2), (Steps{1, 2}));
  const ScorePointSettings fewer = {.score_points = 5, .score_point_instances = 7};
  EXPECT_EQ(steps_after(fewer, 3), (Steps{3}));
  EXPECT_EQ(steps_after({.score_points = 6, .score_point_instances = 7}, 4), (Steps{4}));
  const auto json = json_of_file(directory.path() / "score_points.json");
  EXPECT_EQ(json["score_points"], 6);
  EXPECT_EQ(json["score_point_instances"], 7);
  // A file of before does not tell what it has asked.
  directory.write("score_points.json",
                  "{\"points\": [{\"step\": 1, \"tokens\": 1, \"tasks\": []}]}");
  EXPECT_EQ(read_score_points(directory.path()).size(), 1U);
  EXPECT_EQ(steps_after(kSettings, 2), (Steps{2}));
}

TEST(ScoreCurve, TheEndIsThatOfThePointsQuestions) {
  const std::vector<Column> columns = {column("a_bpb", true, {"a"})};
  const RunResult end{
      .system = "loop3", .tasks = {scored("a", 0.5, 1.0)}, .difficulty = {}, .steps = 8};
  auto some = scored("a", 0.25, 4.0);
  some.instances = 5;
  auto some_at_end = some;
  some_at_end.bpb.mean = 1.25;
  const ScorePoint early{.step = 2, .tokens = 1.0, .tasks = {some}};
  const ScorePoint last{.step = 8, .tokens = 4.0, .tasks = {some_at_end}};
  EXPECT_EQ(make_score_curve({early, last}, end, columns).scores.at("a_bpb"),
            (std::vector<double>{4.0, 1.25}));
  // Of a file without the end, whose points ask fewer questions than the end, the end is left out.
  EXPECT_EQ(make_score_curve({early}, end, columns).step, (Steps{2}));
}

TEST(ScoreCurve, AColumnIsTheMeanOfItsTasksAndLeftOutWhereAPointLacksOne) {
  const std::vector<Column> columns = {column("both_bpb", true, {"a", "b"}),
                                       column("a_accuracy", false, {"a"}),
                                       column("new_accuracy", false, {"c"})};
  const RunResult end{
      .system = "loop3",
      .seed = 7,
      .tasks = {scored("a", 0.5, 1.0), scored("b", 0.75, 2.0), scored("c", 1.0, 1.0)},
      .difficulty = {},
      .steps = 8,
      .tokens = 256.0};
  const auto curve = make_score_curve(
      {{.step = 2, .tokens = 64.0, .tasks = {scored("a", 0.25, 4.0), scored("b", 0.3, 3.0)}}}, end,
      columns);
  EXPECT_EQ(curve.seed, 7);
  EXPECT_EQ(curve.step, (Steps{2, 8}));
  EXPECT_EQ(curve.tokens, (std::vector<double>{64.0, 256.0}));
  EXPECT_EQ(curve.scores.at("both_bpb"), (std::vector<double>{3.5, 1.5}));
  EXPECT_EQ(curve.scores.at("a_accuracy"), (std::vector<double>{0.25, 0.5}));
  EXPECT_FALSE(curve.scores.contains("new_accuracy"));
}

TEST(StudyScoreCurves, EveryRunIsScoredOnItsWayAndTheEndIsItsResult) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  const auto options = small_study(out, {"isopar", "loop3"}, {"study.score_points=3"});
  const auto outcome = run_study(options);
  for (const char* system : {"isopar", "loop3"}) {
    SCOPED_TRACE(system);
    const auto& curve = only_curve(outcome, system);
    EXPECT_EQ(curve.seed, 3);
    EXPECT_EQ(curve.step, (Steps{1, 2, 6}));
    EXPECT_EQ(curve.tokens, (std::vector<double>{32.0, 64.0, 192.0}));
    const auto* row = outcome.result.parts[0].find(system);
    EXPECT_EQ(curve.scores.size(), row->scores.size());
    for (const auto& [column, score] : row->scores) {
      EXPECT_EQ(curve.scores.at(column).size(), 3U);
      EXPECT_EQ(curve.scores.at(column).back(), score.by_seed.at(0)) << column;
    }
    EXPECT_EQ(read_score_points(run_folder(out, system)).size(), 3U);
  }
  const auto json = json_of_file(out / "results.json")["parts"][0]["score_curves"];
  EXPECT_EQ(json["loop3"][0]["step"], nlohmann::json({1, 2, 6}));
  EXPECT_EQ(json["loop3"][0]["scores"]["facts_bpb"].size(), 3U);
}

TEST(StudyScoreCurves, APointIsTheScoreOfThatStepsModel) {
  const TestDirectory directory;
  const auto out = directory.path() / "study";
  const auto options = small_study(
      out, {"loop3"},
      {"study.score_points=3", "study.score_point_instances=5", "training.keep_checkpoints=9"});
  ASSERT_TRUE(run_study(options).finished);
  const auto folder = run_folder(out, "loop3");
  const auto points = read_score_points(folder);
  ASSERT_EQ(points.size(), 3U);
  EXPECT_EQ(points[2].step, 6);
  EXPECT_EQ(points[2].tasks.at(0).instances, 5) << "as at the points before";
  LanguageModel model(load_stored_run(folder / "run.toml").model);
  (void)load_checkpoint(folder / "checkpoints/step-000002", model);
  const auto tasks = questions_on_the_way(
      load_tasks({"facts", "reasoning"}, {.directories = {out / "benchmark/seed-3/data"}}), 5);
  const auto report = evaluate(model, Tokenizer::load(folder), tasks);
  ASSERT_EQ(report.results.size(), 2U);
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(points[1].tasks.at(i).instances, 5);
    EXPECT_EQ(points[1].tasks.at(i).accuracy.mean, report.results[i].value.mean);
    EXPECT_EQ(points[1].tasks.at(i).bpb.mean, report.results[i].bpb.mean);
  }
}

TEST(StudyScoreCurves, ScoringOnTheWayChangesNothingOfTheRun) {
  const TestDirectory directory;
  const auto with = directory.path() / "with";
  const auto without = directory.path() / "without";
  ASSERT_TRUE(run_study(small_study(with, {"loop3"})).finished);
  const auto outcome = run_study(small_study(without, {"loop3"}, {"study.score_points=0"}));
  EXPECT_EQ(read_file(run_folder(with, "loop3") / "model.safetensors"),
            read_file(run_folder(without, "loop3") / "model.safetensors"));
  EXPECT_TRUE(outcome.result.parts[0].find("loop3")->score_curves.empty());
  EXPECT_FALSE(fs::exists(run_folder(without, "loop3") / "score_points.json"));
  EXPECT_FALSE(json_of_file(without / "results.json")["parts"][0].contains("score_curves"));
  // How a run is scored on its way is no setting of the run.
  EXPECT_TRUE(run_study(small_study(with, {"loop3"}, {"study.score_points=4"})).finished);
}

TEST(StudyScoreCurves, StoppedAnywhereAndContinuedEachPointIsThereOnce) {
  const TestDirectory directory;
  const auto whole = directory.path() / "whole";
  ASSERT_TRUE(run_study(small_study(whole, {"loop3"})).finished);
  const auto expected = read_file(run_folder(whole, "loop3") / "score_points.json");
  EXPECT_EQ(read_score_points(run_folder(whole, "loop3")).size(), 6U);
  const auto parts = directory.path() / "parts";
  const auto folder = run_folder(parts, "loop3");
  int calls = 0;
  for (bool finished = false; !finished; ++calls) {
    ASSERT_LT(calls, 20);
    auto options = small_study(parts, {"loop3"});
    options.should_stop = [left = 4]() mutable { return --left <= 0; };
    finished = run_study(options).finished;
    // As if it had been killed two steps later: points lie behind the newest checkpoint.
    if (!finished && calls == 0) {
      const auto points = read_score_points(folder);
      add_score_point(folder, {.score_points = 10, .score_point_instances = 128},
                      {.step = points.back().step + 2, .tokens = 1.0, .tasks = {}});
    }
  }
  EXPECT_GE(calls, 2);
  EXPECT_EQ(read_file(folder / "score_points.json"), expected);
}

}  // namespace
}  // namespace loopbank

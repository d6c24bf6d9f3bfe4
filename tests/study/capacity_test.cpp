#include "loopbank/study/capacity.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "../support/test_directory.h"
#include "loopbank/benchmark/biographies.h"
#include "loopbank/study/comparison.h"
#include "loopbank/study/results_json.h"
#include "small_study.h"
#include "stored_scores.h"

namespace loopbank {
namespace {

using testing::expect_contains;
using testing::TestDirectory;

StudyConfig capacity_config(const std::string& people) {
  auto settings = testing::small_settings();
  settings.insert(settings.end(), {"synthetic.task=biographies", "synthetic.people=" + people,
                                   "synthetic.tellings=2", "synthetic.instances=20",
                                   "synthetic.validation_bytes=2000", "study.exits=false"});
  return study_preset(Scale::kDemo, settings);
}

/// What a scorer knows of the questions of a world: `of(prior)` is -ln p of each right answer.
template <typename Loss>
Estimate known_by(const SyntheticOptions& options, const Loss& of) {
  std::vector<double> bits;
  const auto generated = make_biographies(options);
  for (const auto& question : generated.tasks.at(0).instances) {
    ContinuationScore score;
    score.log_probability = -of(question.prior_bits);
    bits.push_back(known_bits(score, question.prior_bits));
  }
  return estimate_mean(bits);
}

RunResult run_that_knows(const Estimate& bits, double parameters, int64_t seed = 3) {
  RunResult run;
  run.system = "isopar";
  run.seed = seed;
  run.parameters = parameters;
  run.embedding_parameters = parameters / 4;
  run.tasks = {{.task = "biographies", .accuracy = {}, .bpb = {}, .known_bits = bits}};
  return run;
}

StudyResult study_of(const StudyConfig& config, const std::vector<RunResult>& runs) {
  PartResult part{.name = config.part_name(), .title = "", .columns = columns_of(config)};
  part.systems.push_back(
      summarize({.system = study_systems(config).front(), .runs = runs}, part.columns));
  StudyResult result;
  result.parts = {part};
  return result;
}

TEST(Capacity, WhoKnowsEverythingHoldsTheBitsOfAllFactsAndWhoKnowsNothingNone) {
  const auto config = one_part_each(capacity_config("40")).front();
  const auto options = config.synthetic_of(3);
  const auto bits_of = [&](const Estimate& known) {
    return capacity_points(study_of(config, {run_that_knows(known, 1000.0)})).at(0);
  };
  const auto all = bits_of(known_by(options, [](double) { return 0.0; }));
  EXPECT_NEAR(all.bits, 40 * bits_of_person(), 1e-9);
  EXPECT_NEAR(all.bits, all.facts_bits, 1e-9);
  EXPECT_NEAR(all.bits_a_parameter, 40 * bits_of_person() / 1000, 1e-12);
  EXPECT_NEAR(all.bits_a_layer_parameter, 40 * bits_of_person() / 750, 1e-12);
  EXPECT_EQ(all.people, 40);
  const auto none = bits_of(known_by(options, [](double prior) { return prior * std::log(2.0); }));
  EXPECT_NEAR(none.bits, 0.0, 1e-9);
  // Sure of what is wrong: the bound says nothing, not less than nothing.
  const auto wrong = known_by(options, [](double) { return 100.0; });
  EXPECT_EQ(bits_of(wrong).bits, 0.0);
  EXPECT_EQ(bits_of(wrong).low, 0.0);
  EXPECT_EQ(bits_of(wrong).high, 0.0);
  EXPECT_EQ(bits_of(wrong).bits_a_parameter, 0.0);
  // Systems are compared by what was measured.
  const auto column = columns_of(config).at(0);
  EXPECT_DOUBLE_EQ(run_that_knows(wrong, 1000.0).score(column).mean,
                   wrong.mean * column.scale(1000.0));
  const auto half =
      bits_of(known_by(options, [](double prior) { return prior / 2 * std::log(2.0); }));
  EXPECT_NEAR(half.bits, 20 * bits_of_person(), 1e-9);
}

TEST(Capacity, TheIntervalIsOverSeedsFromTwoOn) {
  const auto config = one_part_each(capacity_config("40")).front();
  const auto point = capacity_points(study_of(
      config, {run_that_knows({2.0, 0.1}, 1000.0, 1), run_that_knows({4.0, 0.1}, 1000.0, 2)}))[0];
  EXPECT_NEAR(point.bits, 200 * 3.0, 1e-9);
  EXPECT_NEAR(point.high - point.bits, 200 * 12.706, 1.0);  // t of one degree of freedom
  const auto one = capacity_points(study_of(config, {run_that_knows({2.0, 0.1}, 1000.0)}))[0];
  EXPECT_NEAR(one.high - one.bits, 200 * 0.196, 0.01);
  EXPECT_NEAR(one.low, 200 * (2.0 - 0.196), 0.01);
}

TEST(Capacity, ARangeOfPeopleIsAPartEachWithStepsInProportion) {
  const auto parts = one_part_each(capacity_config("[16, 40, 160]"));
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].part_name(), "biographies-16");
  EXPECT_EQ(parts[2].part_name(), "biographies-160");
  EXPECT_EQ(parts[2].synthetic_of(1).people.values, (std::vector<int64_t>{160}));
  EXPECT_EQ(parts[0].run.training.steps, 6);
  EXPECT_EQ(parts[1].run.training.steps, 15);
  EXPECT_EQ(parts[2].run.training.steps, 60);
  EXPECT_EQ(parts[2].run.training.validate_every, 30);
  EXPECT_EQ(parts[2].run.training.checkpoint_every, 20);
  EXPECT_EQ(columns_of(parts[2]).at(0).facts, 800);
  // Other studies are one part as they are.
  const auto other = one_part_each(study_preset(Scale::kDemo));
  ASSERT_EQ(other.size(), 1U);
  EXPECT_EQ(other[0].part_name(), "benchmark");
}

TEST(Capacity, BitsAParameterAreHigherForTheBetterOfEqualSizeAndForTheSmallerOfEqualKnowledge) {
  const TestDirectory directory;
  auto column = columns_of(one_part_each(capacity_config("40")).front()).at(0);
  ASSERT_EQ(column.key, "biographies_bits_a_parameter");
  EXPECT_EQ(column.direction(), "higher is better");
  testing::write_scores(directory.path() / "a", {{"x", 0, 1, 2.0}, {"y", 0, 1, 3.0}},
                        {"biographies"});
  testing::write_scores(directory.path() / "b", {{"y", 0, 1, 4.0}, {"x", 0, 1, 3.0}},
                        {"biographies"});
  testing::write_scores(directory.path() / "b-2", {{"y", 0, 1, 4.1}, {"x", 0, 1, 3.1}},
                        {"biographies"});
  ScoreFolders folders;
  const auto compared = [&](double here, double there) {
    return compare_runs({directory.path() / "b", directory.path() / "b-2"},
                        {directory.path() / "a", directory.path() / "a"}, column, folders,
                        {.here = column.scale(here), .there = column.scale(there)});
  };
  const auto equal = compared(1000, 1000);
  EXPECT_NEAR(equal.here, 200 * 3.55 / 1000, 1e-12);
  EXPECT_NEAR(equal.decisive.difference, 200 * 1.05 / 1000, 1e-12);
  EXPECT_EQ(equal.verdict, Verdict::kBetter);
  const auto larger = compared(4000, 1000);
  EXPECT_NEAR(larger.decisive.difference, 200 * (3.55 / 4000 - 2.5 / 1000), 1e-12);
  EXPECT_EQ(larger.verdict, Verdict::kWorse);
}

TEST(Capacity, AStudyOfTwoWorldsComesBackFromItsResults) {
  const TestDirectory directory;
  auto options = testing::small_study(directory.path(), {"isopar", "loop3"});
  options.parts = one_part_each(capacity_config("[16, 32]"));
  const auto result = run_study(options).result;
  const auto points = capacity_points(result);
  ASSERT_EQ(points.size(), 4U);
  EXPECT_EQ(points[0].people, 16);
  EXPECT_EQ(points[3].people, 32);
  EXPECT_EQ(points[3].system, "loop3");
  for (const auto& point : points) {
    EXPECT_GE(point.bits, 0.0);
    EXPECT_LT(point.bits, point.facts_bits);
  }
  const auto& part = result.parts[0];
  const auto* system = part.find("isopar");
  EXPECT_EQ(system->embedding_parameters, 2.0 * 280 * 16);
  EXPECT_EQ(system->steps, 6);
  EXPECT_EQ(result.parts[1].find("isopar")->steps, 12);
  // The same questions, read from the files, agree with the table.
  const auto* compared = part.compared({"loop3", "isopar", "biographies_bits_a_parameter"});
  ASSERT_NE(compared, nullptr);
  const auto again = study_result_from_json(to_json(result), "results.json");
  const auto read = capacity_points(again);
  ASSERT_EQ(read.size(), 4U);
  EXPECT_DOUBLE_EQ(read[2].bits, points[2].bits);
  EXPECT_DOUBLE_EQ(read[2].bits_a_layer_parameter, points[2].bits_a_layer_parameter);
  EXPECT_EQ(read[2].people, 32);
  const auto& column = again.parts[0].columns.at(0);
  EXPECT_EQ(column.measure, Measure::kBitsAParameter);
  EXPECT_EQ(column.facts, 80);
  const auto json = to_json(result);
  EXPECT_EQ(json.at("parts").at(0).at("columns").at(0).at("metric"), "bits_a_parameter");
  EXPECT_EQ(json.at("parts").at(0).at("columns").at(0).at("lower_is_better"), false);
  expect_contains(format_capacity(points), "bits/param");
  EXPECT_EQ(format_capacity({}), "");
}

}  // namespace
}  // namespace loopbank

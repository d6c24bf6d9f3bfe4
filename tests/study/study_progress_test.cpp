#include "loopbank/study/study_progress.h"

#include <gtest/gtest.h>

namespace loopbank {
namespace {

using State = RunTime::State;

RunTime waiting(const std::string& system, double flops = 1.0) {
  return {.system = system, .flops = flops};
}

RunTime done(const std::string& system, double seconds, double flops = 1.0) {
  return {
      .system = system, .flops = flops, .state = State::kDone, .seconds = seconds, .share = 1.0};
}

RunTime in_work(const std::string& system, double seconds, double share, double share_here) {
  return {.system = system,
          .flops = 1.0,
          .state = State::kInWork,
          .seconds = seconds,
          .share = share,
          .share_here = share_here};
}

TEST(SecondsLeft, ARunTakesWhatTheSystemsOthersTook) {
  EXPECT_EQ(seconds_left({done("a", 8.0), done("a", 12.0), waiting("a", 99.0)}, 1), 10.0);
}

TEST(SecondsLeft, AnUnknownSystemTakesItsFlopsAtThePaceOfAllThatAreDone) {
  // 30 s for 3 units.
  EXPECT_EQ(seconds_left({done("a", 10.0, 1.0), done("b", 20.0, 2.0), waiting("c", 4.0)}, 1), 40.0);
}

TEST(SecondsLeft, BeforeAnyIsDoneTheRunsInWorkTell) {
  // 5 s for a quarter; three quarters of it and one more are left.
  EXPECT_EQ(seconds_left({in_work("a", 5.0, 0.25, 0.25), waiting("b")}, 1), 35.0);
  // Half was done by an earlier call.
  EXPECT_EQ(seconds_left({in_work("a", 5.0, 0.75, 0.25)}, 1), 5.0);
}

TEST(SecondsLeft, NothingWhereNoneTellsAndWhereNoneIsLeft) {
  EXPECT_FALSE(seconds_left({waiting("a")}, 1));
  EXPECT_FALSE(seconds_left({in_work("a", 5.0, 0.01, 0.01)}, 1)) << "too early";
  EXPECT_FALSE(seconds_left({done("a", 5.0)}, 1));
  auto left_out = waiting("b");
  left_out.state = State::kLeftOut;
  EXPECT_FALSE(seconds_left({done("a", 5.0), left_out}, 1));
  EXPECT_FALSE(seconds_left({done("a", 0.0), waiting("a")}, 1)) << "done, but its time not known";
}

TEST(SecondsLeft, WorkersTakeTheNextRunWhenTheyAreDone) {
  // 10 s each: one in work at its half beside one that begins, then two more.
  EXPECT_EQ(seconds_left({done("a", 10.0), in_work("a", 5.0, 0.5, 0.5), waiting("a"), waiting("a"),
                          waiting("a")},
                         2),
            20.0);
}

TEST(StudyProgressLines, ARunInWork) {
  ShownRun run{.label = "Loop-3, seed 2", .steps = 960, .time = {.system = "loop3", .share = 0.25}};
  EXPECT_EQ(line_of(run, {}, 0.0), "Loop-3, seed 2           ######..................  starting");
  StepMetrics last;
  last.step = 240;
  last.loss = 2.1134;
  EXPECT_EQ(line_of(run, last, 8210.0),
            "Loop-3, seed 2           ######..................  25 %  step 240/960  loss 2.113  "
            "8.2 k tokens/s");
  last.step = 960;
  run.time.share = 1.0;
  EXPECT_EQ(line_of(run, last, 8210.0),
            "Loop-3, seed 2           ########################  scoring  loss 2.113");
}

TEST(StudyProgressLines, TheStudyWithoutWhatIsLeftOut) {
  std::vector<ShownRun> runs(5);
  runs[0].time = done("a", 1.0);
  runs[1].time = in_work("a", 1.0, 0.5, 0.5);
  runs[4].time.state = State::kLeftOut;
  EXPECT_EQ(line_of_study(runs, 72 * 60.0),
            "1 of 4 runs              #########...............  time left 1 h 12 min");
  EXPECT_EQ(line_of_study(runs, std::nullopt), "1 of 4 runs              #########...............");
}

TEST(StudyProgress, TimeLeftFollowsTheRuns) {
  StudyProgress progress(/*shows=*/false);
  progress.start({{.label = "", .steps = 10, .time = waiting("a")},
                  {.label = "", .steps = 10, .time = waiting("a")},
                  {.label = "", .steps = 10, .time = waiting("b", 3.0)}},
                 1);
  EXPECT_FALSE(progress.time_left());
  progress.end(0, 20.0);  // done before
  EXPECT_EQ(progress.time_left(), 80.0);
  progress.begin(1);
  StepMetrics step;
  step.step = 5;
  progress.step(1, step, 10);
  EXPECT_EQ(progress.time_left(), 70.0);
  progress.leave_out(2);
  EXPECT_EQ(progress.time_left(), 10.0);
  progress.end(1, 20.0);
  EXPECT_FALSE(progress.time_left());
}

}  // namespace
}  // namespace loopbank

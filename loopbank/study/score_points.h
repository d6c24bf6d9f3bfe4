#pragma once
/// The scores of a run along its training: at which steps, on which questions, and the file
/// score_points.json of its folder, which holds them.
///
///     score_points = 6, 960 steps         30, 60, 120, 240, 480, 960
///
/// The file is written whole at each point and before the checkpoint of its step, so a run that
/// resumes finds the points until there; those behind are measured anew and replaced. All points, the
/// end's included, ask the same questions; the scores of the end on all questions stand in
/// result.json. Points of other settings are dropped.

#include <cstdint>
#include <filesystem>
#include <vector>

#include "loopbank/eval/task.h"
#include "loopbank/study/columns.h"
#include "loopbank/study/run_result.h"
#include "loopbank/study/score_curve.h"

namespace loopbank {

/// Steps from 1/32 of all (at least 1) to the last, evenly spaced on a log axis and distinct, so
/// that few steps may make fewer points; rising.
/// @param points  0: none; 1: the last
[[nodiscard]] std::vector<int64_t> score_steps(int64_t steps, int64_t points);

/// The tasks with at most so many questions each, drawn by the task's name: the same at every point
/// and for every system.
[[nodiscard]] std::vector<Task> questions_on_the_way(const std::vector<Task>& tasks, int64_t most);

/// The scores after a step.
struct ScorePoint {
  int64_t step = 0;
  double tokens = 0.0;  ///< trained on until then
  std::vector<TaskScore> tasks = {};
};

/// Which questions the points of a file ask, and how many points there are.
struct ScorePointSettings {
  int64_t score_points = 0;
  int64_t score_point_instances = 0;  ///< most questions of a task
};

/// Writes a point behind those of earlier steps; what the file has from this step on is dropped, and
/// all that it has of other settings.
/// @throws Error kData for a file of another form or one that cannot be written
void add_score_point(const std::filesystem::path& folder, const ScorePointSettings& settings,
                     const ScorePoint& point);

/// The points of a run's folder, rising; none without the file.
/// @throws Error kData for a file of another form
[[nodiscard]] std::vector<ScorePoint> read_score_points(const std::filesystem::path& folder);

/// The points, in every column of which all of them know the tasks. Files of before do not have the
/// end: its scores stand behind the points where these ask all questions.
/// @param points  at least one
[[nodiscard]] ScoreCurve make_score_curve(const std::vector<ScorePoint>& points,
                                          const RunResult& end, const std::vector<Column>& columns);

}  // namespace loopbank

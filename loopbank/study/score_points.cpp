#include "loopbank/study/score_points.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "loopbank/study/run_result_members.h"
#include "loopbank/support/files.h"
#include "loopbank/support/random.h"

namespace loopbank {
namespace {

constexpr int64_t kFirstShare = 32;  // of the steps, one lies before the first point
constexpr const char* kScorePointsFile = "score_points.json";
const MembersForm kPointsForm = {.expected = "the scores of a run along its training",
                                 .remedy = "Remove the file to go on without them.",
                                 .all = true};

struct ScorePoints {
  std::optional<int64_t> score_points;  // files of before do not tell
  std::optional<int64_t> score_point_instances;
  std::vector<ScorePoint> points;
};

bool knows_tasks_of(const Column& column, const std::vector<TaskScore>& tasks) {
  return std::all_of(column.tasks.begin(), column.tasks.end(), [&](const std::string& name) {
    return std::any_of(tasks.begin(), tasks.end(),
                       [&](const TaskScore& task) { return task.task == name; });
  });
}

/// Whether the point has asked all questions of its tasks.
bool asks_all(const ScorePoint& point, const std::vector<TaskScore>& all) {
  return std::all_of(point.tasks.begin(), point.tasks.end(), [&](const TaskScore& task) {
    return std::any_of(all.begin(), all.end(), [&](const TaskScore& other) {
      return other.task == task.task && other.instances == task.instances;
    });
  });
}

}  // namespace

// Out of the unnamed namespace, where JsonWriter and JsonReader find them.

void members(auto& by, Either<ScorePoint> auto& point) {
  by("step", point.step);
  by("tokens", point.tokens);
  by.list("tasks", point.tasks);
}

void members(auto& by, Either<ScorePoints> auto& file) {
  by("score_points", file.score_points);
  by("score_point_instances", file.score_point_instances);
  by.list("points", file.points);
}

namespace {

ScorePoints read_points_file(const std::filesystem::path& folder) {
  auto file = read_members_file<ScorePoints>(folder / kScorePointsFile, kPointsForm);
  return file ? std::move(*file) : ScorePoints();
}

}  // namespace

std::vector<int64_t> score_steps(int64_t steps, int64_t points) {
  std::vector<int64_t> chosen;
  const auto last = static_cast<double>(steps);
  const double first = std::max(1.0, last / kFirstShare);
  for (int64_t i = 0; i < points; ++i) {
    const double share =
        points == 1 ? 1.0 : static_cast<double>(i) / static_cast<double>(points - 1);
    const auto step = static_cast<int64_t>(std::llround(first * std::pow(last / first, share)));
    if (chosen.empty() || step > chosen.back()) {
      chosen.push_back(step);
    }
  }
  return chosen;
}

std::vector<Task> questions_on_the_way(const std::vector<Task>& tasks, int64_t most) {
  auto some = tasks;
  for (auto& task : some) {
    const auto size = task.instances.size();
    const auto count = static_cast<size_t>(most);
    if (size <= count) {
      continue;
    }
    // Not the first ones, nor every n-th: a file may be sorted, or go round its difficulties.
    const Permutation order(size, derive_seed(0, "score points, " + task.name));
    std::vector<size_t> places;
    for (size_t i = 0; i < count; ++i) {
      places.push_back(order[i]);
    }
    std::sort(places.begin(), places.end());
    std::vector<Instance> drawn;
    for (const auto place : places) {
      drawn.push_back(std::move(task.instances[place]));
    }
    task.instances = std::move(drawn);
  }
  return some;
}

void add_score_point(const std::filesystem::path& folder, const ScorePointSettings& settings,
                     const ScorePoint& point) {
  auto file = read_points_file(folder);
  const bool same = file.score_points == settings.score_points &&
                    file.score_point_instances == settings.score_point_instances;
  file.score_points = settings.score_points;
  file.score_point_instances = settings.score_point_instances;
  std::erase_if(file.points,
                [&](const ScorePoint& other) { return !same || other.step >= point.step; });
  file.points.push_back(point);
  write_file_atomically(folder / kScorePointsFile, JsonWriter::write(file).dump(2) + "\n");
}

std::vector<ScorePoint> read_score_points(const std::filesystem::path& folder) {
  return read_points_file(folder).points;
}

ScoreCurve make_score_curve(const std::vector<ScorePoint>& points, const RunResult& end,
                            const std::vector<Column>& columns) {
  auto all = points;
  if (all.back().step < end.steps && asks_all(all.back(), end.tasks)) {
    all.push_back({.step = end.steps, .tokens = end.tokens, .tasks = end.tasks});
  }
  ScoreCurve curve{.seed = end.seed};
  for (const auto& point : all) {
    curve.step.push_back(point.step);
    curve.tokens.push_back(point.tokens);
  }
  for (const auto& column : columns) {
    if (!std::all_of(all.begin(), all.end(), [&](const ScorePoint& point) {
          return knows_tasks_of(column, point.tasks);
        })) {
      continue;
    }
    auto& scores = curve.scores[column.key];
    auto run = end;
    for (const auto& point : all) {
      run.tasks = point.tasks;
      scores.push_back(run.score(column).mean);
    }
  }
  return curve;
}

}  // namespace loopbank

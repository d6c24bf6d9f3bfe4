#include "loopbank/support/mixed_model.h"

#include <algorithm>
#include <array>
#include <boost/math/distributions/chi_squared.hpp>
#include <cmath>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// How rarely seeds without any effect agree as closely as those that are said to by accident.
constexpr double kAccident = 0.01;

/// Mean squares' shares of a variance.
struct Components {
  double sum = 0.0;
  double squares = 0.0;  ///< each V_i^2 / nu_i

  void add(const VariancePart& part) {
    sum += part.variance;
    squares += part.variance * part.variance / part.degrees_of_freedom;
  }
  /// Satterthwaite's (1946, Biometrics Bulletin 2): tasks have questions by the dozen.
  [[nodiscard]] double degrees_of_freedom() const { return squares > 0 ? sum * sum / squares : 1; }
};

void expect_layout(std::span<const TaskDifferences> tasks) {
  const auto& first = tasks.front().by_seed;
  for (const auto& task : tasks) {
    if (task.by_seed.size() != first.size() || first.empty()) {
      fail(ErrorCode::kShape, "mixed_difference: expected a task of {} seeds, got {}.",
           std::max<size_t>(first.size(), 1), task.by_seed.size());
    }
    for (const auto& seed : task.by_seed) {
      const auto wanted = task.same_questions ? task.by_seed.front().size() : seed.size();
      if (seed.empty() || seed.size() != wanted) {
        fail(ErrorCode::kShape, "mixed_difference: expected {} questions of a seed, got {}.",
             std::max<size_t>(wanted, 1), seed.size());
      }
    }
  }
}

/// The mean over tasks of each seed.
std::vector<double> means_by_seed(std::span<const TaskDifferences> tasks) {
  std::vector<double> means(tasks.front().by_seed.size(), 0.0);
  for (const auto& task : tasks) {
    for (size_t s = 0; s < means.size(); ++s) {
      means[s] += mean_of(task.by_seed[s]) / static_cast<double>(tasks.size());
    }
  }
  return means;
}

/// Over seeds, of each question that all share.
std::vector<double> means_by_question(const TaskDifferences& task) {
  std::vector<double> means(task.by_seed.front().size(), 0.0);
  for (const auto& seed : task.by_seed) {
    for (size_t q = 0; q < means.size(); ++q) {
      means[q] += seed[q] / static_cast<double>(task.by_seed.size());
    }
  }
  return means;
}

/// What neither the seed nor the question explains, as a mean square.
double residual_mean_square(const TaskDifferences& task, const std::vector<double>& by_question) {
  const double mean = mean_of(by_question);
  double squares = 0.0;
  for (const auto& seed : task.by_seed) {
    const double of_seed = mean_of(seed);
    for (size_t q = 0; q < seed.size(); ++q) {
      const double rest = seed[q] - of_seed - by_question[q] + mean;
      squares += rest * rest;
    }
  }
  const auto rows = static_cast<double>(task.by_seed.size());
  return squares / ((rows - 1) * (static_cast<double>(by_question.size()) - 1));
}

/// The variances of a mean over tasks that its questions bring.
struct QuestionNoise {
  Components all;            ///< over the questions, seeds as they are
  Components shared;         ///< likewise, of the questions that all seeds share
  double both = 0.0;         ///< V_both of these
  double least_seeds = 0.0;  ///< of V_seeds where seeds have no effect of their own
};

void add_shared(QuestionNoise& noise, const TaskDifferences& task, double weight) {
  const auto by_question = means_by_question(task);
  const auto count = static_cast<double>(by_question.size());
  const auto seeds = static_cast<double>(task.by_seed.size());
  if (by_question.size() < 2) {
    return;
  }
  const VariancePart questions{weight * variance_of(by_question) / count, count - 1};
  noise.all.add(questions);
  noise.shared.add(questions);
  if (task.by_seed.size() > 1) {
    const double rest = residual_mean_square(task, by_question);
    const double both = weight * rest / (seeds * count);
    noise.both += both;
    noise.least_seeds += both;
  }
}

void add_own(QuestionNoise& noise, const TaskDifferences& task, double weight) {
  const auto seeds = static_cast<double>(task.by_seed.size());
  for (const auto& seed : task.by_seed) {
    if (seed.size() > 1) {
      const auto count = static_cast<double>(seed.size());
      const double variance = weight * variance_of(seed) / (count * seeds * seeds);
      noise.all.add({variance, count - 1});
      noise.least_seeds += variance;
    }
  }
}

QuestionNoise question_noise(std::span<const TaskDifferences> tasks) {
  QuestionNoise noise;
  const double weight = 1.0 / static_cast<double>(tasks.size() * tasks.size());
  for (const auto& task : tasks) {
    if (task.same_questions) {
      add_shared(noise, task, weight);
    } else {
      add_own(noise, task, weight);
    }
  }
  return noise;
}

bool agree_by_accident(double of_seeds, double least, double degrees_of_freedom) {
  const boost::math::chi_squared chi(degrees_of_freedom);
  return of_seeds < least * boost::math::quantile(chi, kAccident) / degrees_of_freedom;
}

/// The parts of the mean's variance: of the seeds, and what their scatter does not show.
std::array<VariancePart, 2> parts_of(double of_seeds, size_t num_seeds,
                                     const QuestionNoise& noise) {
  const double variance =
      std::max({of_seeds + noise.shared.sum - noise.both, of_seeds, noise.shared.sum});
  return {{{of_seeds, static_cast<double>(num_seeds) - 1},
           {variance - of_seeds, noise.shared.degrees_of_freedom()}}};
}

SeedDifference over_seeds(const std::vector<double>& by_seed, const QuestionNoise& noise) {
  const auto count = static_cast<double>(by_seed.size());
  double of_seeds = variance_of(by_seed) / count;
  auto parts = parts_of(of_seeds, by_seed.size(), noise);
  if (agree_by_accident(of_seeds, noise.least_seeds, count - 1)) {
    parts = {{{noise.all.sum, noise.all.degrees_of_freedom()}, {0.0, count - 1}}};
    of_seeds = noise.least_seeds;
  }
  const double variance = parts[0].variance + parts[1].variance;
  SeedDifference result;
  static_cast<Difference&>(result) = combined_difference(mean_of(by_seed), parts);
  result.standard_error = std::sqrt(variance);
  result.degrees_of_freedom = combined_degrees_of_freedom(parts);
  result.deviation = std::sqrt(count * of_seeds);
  result.lasting_variance = std::max(0.0, variance - of_seeds);
  return result;
}

}  // namespace

MixedDifference mixed_difference(std::span<const TaskDifferences> tasks) {
  expect_layout(tasks);
  const auto noise = question_noise(tasks);
  MixedDifference result{.by_seed = means_by_seed(tasks), .questions = {}, .seeds = {}};
  result.questions = student_difference(mean_of(result.by_seed), std::sqrt(noise.all.sum),
                                        noise.all.degrees_of_freedom());
  if (result.by_seed.size() > 1) {
    result.seeds = over_seeds(result.by_seed, noise);
  }
  return result;
}

}  // namespace loopbank

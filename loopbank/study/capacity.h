#pragma once
/// Knowledge in bits over a range of facts: a part of the study for each number of people, and what
/// each system holds of them.
///
///     bits = facts x mean over the questions of (prior bits + log2 p(answer)), 0 at least
///
/// (Allen-Zhu and Li 2024, arXiv 2404.05405: a bound from below on what the weights must hold; the
/// names of the people themselves are left out.) Where the bits no longer grow with the people, a
/// model is at its capacity. Not here: the world (benchmark/biographies.h), the column (columns.h).

#include <cstdint>
#include <string>
#include <vector>

#include "loopbank/study/results.h"
#include "loopbank/study/study_config.h"

namespace loopbank {

/// A part for each number of people of a study of biographies; any other study as it is. Steps, and
/// what is done every so many steps, grow in proportion to the people from the first number on, so
/// that every part tells of each person as often.
[[nodiscard]] std::vector<StudyConfig> one_part_each(StudyConfig config);

/// What a system knows of a world.
struct CapacityPoint {
  int64_t people = 0;
  std::string system;
  std::string label;
  double parameters = 0.0;
  double facts_bits = 0.0;  ///< of all facts: what there is to know
  double bits = 0.0;        ///< known of these, mean over the seeds
  double low = 0.0;   ///< 95 % interval of `bits`: Student's t over seeds; of one seed normal,
  double high = 0.0;  ///< over its questions
  double bits_a_parameter = 0.0;
  double bits_a_layer_parameter = 0.0;  ///< without embedding and head; 0 where these are not known
  int64_t num_seeds = 0;
};

/// Of all parts with a column of bits a parameter: by the number of people, then in the table's
/// order.
[[nodiscard]] std::vector<CapacityPoint> capacity_points(const StudyResult& result);

/// A table of them for people; empty for none.
[[nodiscard]] std::string format_capacity(const std::vector<CapacityPoint>& points);

}  // namespace loopbank

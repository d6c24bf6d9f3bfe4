#pragma once
/// What may be concluded from a figure, in words. All of it rests on the verdicts of comparisons and
/// on intervals over seeds; of one seed nothing is concluded but that.

#include <fmt/format.h>

#include <optional>
#include <string>
#include <vector>

#include "loopbank/study/figures.h"

namespace loopbank {

inline constexpr const char* kSeedsInterval = "95 % interval over seeds (Student's t)";

/// `One seed: ...` for fewer than two; empty for more.
[[nodiscard]] std::string one_seed_words(size_t num_seeds);

/// How many seeds stand behind what is concluded.
class SeedCounts {
 public:
  void add(size_t num_seeds);
  [[nodiscard]] bool empty() const { return most_ == 0; }
  /// `3 seeds`, or `2 to 3 seeds` where they differ.
  [[nodiscard]] std::string words() const;

 private:
  size_t fewest_ = 0;  // 0: nothing was added
  size_t most_ = 0;
};

/// `a, b and c`.
[[nodiscard]] std::string listed(const std::vector<std::string>& words);

/// Adds to the caption that intervals are cut at the frame, where they are.
void note_cut_intervals(Figure& figure);

/// The mean of a number a seed with its interval; the interval is NaN for one seed.
void add_mean_over_seeds(FigureSeries& series, double at, const std::vector<double>& by_seed,
                         const std::string& note = "");

/// The loss of each seed's last validation, in the order of the system's seeds; NaN where there is none.
[[nodiscard]] std::vector<double> last_losses(const SystemResult& system);

/// One number of each of two systems for every seed that both have, in the first one's order.
/// @param a, b  in the order of the systems' seeds
[[nodiscard]] std::vector<double> paired_differences(const SystemResult& one,
                                                     const std::vector<double>& a,
                                                     const SystemResult& other,
                                                     const std::vector<double>& b);

/// Gives each figure that has none its conclusion: what the verdicts against IsoPar say of scores,
/// the questions' answers of what they answer, and of one model's look inside that it is one's.
void conclude(std::vector<Figure>& figures, const ShownPart& source);

}  // namespace loopbank

#pragma once
/// How many tokens of prompts a pass may read beside the texts that are being written, so that these
/// do not stall.
///
/// A pass over n rows of texts takes t(n) = fixed + n per_text, and p rows of prompts beside them add
/// p per_prompt. Both are learned from the passes themselves: t from those without prompts, by a line
/// through the last ones, per_prompt from the others. While prompts are read, every sixteenth pass is
/// one without, so that t stays known. A pass is given as many rows of prompts as make it take
/// `stretch` times t(n):
///
///     p = (stretch - 1) t(n) / per_prompt
///
/// Prompts thus get a share of 1 - 1 / stretch of the time, however small p is. Answers do not depend
/// on it: no row depends on the others of its pass (docs/inference.md).

#include <cstdint>

namespace loopbank {

class Pace {
 public:
  /// @param stretch  more than 1; infinite: no limit
  explicit Pace(double stretch) : stretch_(stretch) {}

  /// Rows of prompts for the next pass; 0 in a pass that tells what one without takes.
  /// @param texts  rows of texts that the pass has, 1 or more
  [[nodiscard]] int64_t room(int64_t texts);
  /// What a pass took.
  void add(int64_t texts, int64_t prompts, double seconds);

  /// t(n), in seconds; 0 while nothing is known.
  [[nodiscard]] double seconds_of(int64_t texts) const;

 private:
  /// Sums over passes, of which older ones count less.
  struct Sums {
    double weight = 0.0;
    double n = 0.0;
    double nn = 0.0;
    double t = 0.0;
    double nt = 0.0;
  };

  double stretch_;
  Sums plain_;                   // of passes without prompts
  double prompt_rows_ = 0.0;     // of passes with both
  double prompt_seconds_ = 0.0;  // what they took beyond t(n)
  int64_t since_plain_ = 0;      // passes with both since the last without
  int64_t last_room_ = 0;
};

}  // namespace loopbank

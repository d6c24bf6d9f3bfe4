#pragma once
/// Several lines on a terminal, rewritten in place: one each for jobs that run side by side.
///
/// Between two calls the cursor stands before the first line, and each message of log.h erases what
/// lies below the cursor before it is printed: so messages stand above the lines, which the next
/// `show` draws anew below them. Not for a pipe. Not for several threads at once.

#include <cstddef>
#include <cstdio>
#include <string>
#include <vector>

namespace loopbank {

class ProgressBoard {
 public:
  /// @param out  a terminal
  explicit ProgressBoard(std::FILE* out = stderr);
  ~ProgressBoard();
  ProgressBoard(const ProgressBoard&) = delete;
  ProgressBoard& operator=(const ProgressBoard&) = delete;

  /// Draws the lines in place of those before; longer ones are cut to the terminal's width. Where
  /// they are more than the terminal has, the last one stays, and of the others the first.
  void show(std::vector<std::string> lines);
  /// Erases the lines.
  void finish();

 private:
  std::FILE* out_;
  bool is_drawn_ = false;
};

/// `######..................`: the share, in [0, 1], of so many characters.
[[nodiscard]] std::string progress_bar(double share, size_t width);

}  // namespace loopbank

#include "loopbank/support/progress_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "loopbank/support/log.h"
#include "loopbank/support/terminal.h"

namespace loopbank {

ProgressBoard::ProgressBoard(std::FILE* out) : out_(out) {
  set_log_erases_below(true);
}

ProgressBoard::~ProgressBoard() {
  finish();
  set_log_erases_below(false);
}

void ProgressBoard::show(std::vector<std::string> lines) {
  if (lines.empty()) {
    finish();
    return;
  }
  const auto size = terminal_size(out_);
  const auto most = std::max<size_t>(size.rows, 2) - 1;
  if (lines.size() > most) {
    lines.erase(lines.begin() + static_cast<std::ptrdiff_t>(most) - 1, lines.end() - 1);
  }
  std::string text = "\r\033[J";
  for (auto& line : lines) {
    line.resize(std::min(line.size(), size.columns - 1));  // a line that wraps would be two
    text += line + "\n";
  }
  text += fmt::format("\033[{}A", lines.size());
  fmt::print(out_, "{}", text);
  std::fflush(out_);
  is_drawn_ = true;
}

void ProgressBoard::finish() {
  if (is_drawn_) {
    fmt::print(out_, "\r\033[J");
    std::fflush(out_);
    is_drawn_ = false;
  }
}

std::string progress_bar(double share, size_t width) {
  const auto exact = std::clamp(share, 0.0, 1.0) * static_cast<double>(width);
  const auto filled = static_cast<size_t>(std::floor(exact));
  return std::string(filled, '#') + std::string(width - filled, '.');
}

}  // namespace loopbank

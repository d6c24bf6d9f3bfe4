#include "loopbank/cli/print_table.h"

#include <fmt/format.h>

#include <algorithm>

namespace loopbank::cli {

std::string cell(const std::vector<double>& values, const char* form) {
  std::string text;
  for (const auto value : values) {
    text += (text.empty() ? "" : " ") + fmt::format(fmt::runtime(form), value);
  }
  return text.empty() ? "-" : text;
}

void print_table(const std::string& title, const std::vector<Cells>& rows) {
  std::vector<size_t> widths(rows.front().size());
  std::vector<bool> empty(widths.size(), true);
  for (const auto& row : rows) {
    for (size_t column = 0; column < row.size(); ++column) {
      widths[column] = std::max(widths[column], row[column].size());
      empty[column] = empty[column] && (&row == &rows.front() || row[column] == "-");
    }
  }
  fmt::print("\n{}\n", title);
  for (const auto& row : rows) {
    std::string line = fmt::format("  {:<{}}", row[0], widths[0]);
    for (size_t column = 1; column < row.size(); ++column) {
      line += empty[column] ? "" : fmt::format("  {:>{}}", row[column], widths[column]);
    }
    fmt::print("{}\n", line);
  }
}

}  // namespace loopbank::cli

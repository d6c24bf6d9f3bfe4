#pragma once
/// Tables of figures on stdout, as `inside` and `thinking` print them.

#include <string>
#include <vector>

namespace loopbank::cli {

using Cells = std::vector<std::string>;  ///< of a row; "-": no figure

/// Several figures in one cell, one after another.
/// @param form  of each, as fmt reads it
[[nodiscard]] std::string cell(const std::vector<double>& values, const char* form = "{:.3f}");

/// Columns as wide as their widest cell, the first one's left, all others' right edges in line.
/// Columns without a figure in any row are left out.
/// @param rows  the heads first
void print_table(const std::string& title, const std::vector<Cells>& rows);

}  // namespace loopbank::cli

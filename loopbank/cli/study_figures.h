#pragma once
/// loopbank study figures: the figures of finished studies as SVG and CSV.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

/// @param study  the command that it stands under
void add_study_figures(CLI::App& study);

}  // namespace loopbank::cli

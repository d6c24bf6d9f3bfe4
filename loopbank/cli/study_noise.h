#pragma once
/// `loopbank study noise DIR`: how much differences scatter from seed to seed, as configs/study/noise.toml
/// has it.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

/// Declares the subcommand on `study`.
void add_study_noise(CLI::App& study);

}  // namespace loopbank::cli

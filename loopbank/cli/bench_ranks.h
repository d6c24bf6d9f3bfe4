#pragma once
/// loopbank bench ranks: training over several ranks of this machine, and what plan predicts of it.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_bench_ranks(CLI::App& bench);

}  // namespace loopbank::cli

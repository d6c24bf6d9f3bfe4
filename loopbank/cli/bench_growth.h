#pragma once
/// loopbank bench growth: how the cost of a training step grows with tokens, loops, layers and T.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_bench_growth(CLI::App& bench);

}  // namespace loopbank::cli

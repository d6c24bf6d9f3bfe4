#pragma once
/// loopbank bench exit: what stopping early costs, and what it saves.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_bench_exit(CLI::App& bench);

}  // namespace loopbank::cli

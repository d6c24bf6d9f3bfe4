#pragma once
/// The parts of `loopbank data` that stand in files of their own.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

/// Each declares one subcommand on `data`.
void add_data_tokenize(CLI::App& data);
void add_data_inspect(CLI::App& data);
void add_data_make_benchmark(CLI::App& data);

}  // namespace loopbank::cli

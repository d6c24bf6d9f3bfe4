#pragma once
/// loopbank bench decode: how fast a model decodes, against how fast this machine reads memory.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_bench_decode(CLI::App& bench);

}  // namespace loopbank::cli

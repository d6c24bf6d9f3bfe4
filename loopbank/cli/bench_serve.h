#pragma once
/// loopbank bench serve: a server under the load of many clients.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_bench_serve(CLI::App& bench);

}  // namespace loopbank::cli

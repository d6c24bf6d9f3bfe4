#pragma once
/// `loopbank eval compare A B`: the part of `eval` that needs no model.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

/// Declares the subcommand on `eval`, whose own requirements do not apply to it.
void add_eval_compare(CLI::App& eval);

}  // namespace loopbank::cli

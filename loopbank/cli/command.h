#pragma once
/// One function per command: it declares the command's flags on the app and what to call when it is
/// chosen.

#include <CLI/CLI.hpp>

namespace loopbank::cli {

void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_generate(CLI::App& app);
void add_probe(CLI::App& app);
void add_inside(CLI::App& app);
void add_thinking(CLI::App& app);
void add_inspect(CLI::App& app);
void add_serve(CLI::App& app);
void add_plan(CLI::App& app);
void add_match(CLI::App& app);
void add_quantize(CLI::App& app);
void add_import(CLI::App& app);
void add_export(CLI::App& app);
void add_data(CLI::App& app);
void add_study(CLI::App& app);
void add_bench(CLI::App& app);
void add_settings(CLI::App& app);

}  // namespace loopbank::cli

#pragma once
/// The parts of `loopbank data` that are in files of their own.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

#include "loopbank/support/field.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank::cli {

/// What --tokenizer names: a tokenizer.json, a folder with one, or the word `bytes`.
[[nodiscard]] Tokenizer open_tokenizer(const std::string& name);

/// --skip-bad N of the commands that read documents.
[[nodiscard]] Field skip_bad_field(int64_t* skip_bad);

/// Each declares one subcommand on `data`.
void add_data_tokenize(CLI::App& data);
void add_data_inspect(CLI::App& data);
void add_data_make_benchmark(CLI::App& data);
void add_data_make_task(CLI::App& data);

}  // namespace loopbank::cli

/// The program: one command a file, errors shown in one line, exit status 0 only on success.

#include <fmt/format.h>
#include <sched.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/suggest.h"

namespace loopbank::cli {
namespace {

/// LibTorch's errors carry a C++ backtrace: people get the first line alone.
std::string first_line(const std::string& message) { return message.substr(0, message.find('\n')); }

std::vector<std::string> names_of_options(const CLI::App& app) {
  std::vector<std::string> names;
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) {
      names.push_back("--" + name);
    }
  }
  for (const auto* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
  }
  return names;
}

/// The command that the words chose, as deep as they were understood.
const CLI::App& chosen(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : chosen(*parsed.front());
}

int run(int argc, char** argv) {
  CLI::App app{"loopbank: transformers that decide how long to think and how much to look up"};
  app.name("loopbank");
  app.require_subcommand(1);
  app.set_version_flag("--version", "loopbank 0.1.0");
  // each command's line stands where its file exists
  try {
    app.parse(argc, argv);
  } catch (const CLI::ExtrasError& error) {
    const auto& command = chosen(app);
    const auto extras = command.remaining(true);
    const auto word = extras.empty() ? std::string(error.what()) : extras.front();
    fmt::print(stderr, "error: {}: unknown argument \"{}\".{}\n", command.get_name(), word,
               suggestion(word, names_of_options(command)));
    return exit_status(ErrorCode::kConfig);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return app.exit(error);  // --help and --version
    }
    fmt::print(stderr, "error: {}: {} See loopbank {} --help.\n", chosen(app).get_name(),
               first_line(error.what()), chosen(app).get_name() == "loopbank" ? "" : chosen(app).get_name());
    return exit_status(ErrorCode::kConfig);
  }
  return 0;
}

}  // namespace
}  // namespace loopbank::cli

int main(int argc, char** argv) {
  using loopbank::ErrorCode;
  try {
    return loopbank::cli::run(argc, argv);
  } catch (const loopbank::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return loopbank::exit_status(error.code());
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", loopbank::cli::first_line(error.what()));
    return 1;
  }
}

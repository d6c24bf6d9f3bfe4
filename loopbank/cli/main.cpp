/// The program: one command a file, errors shown in one line, exit status 0 only where all went well.

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/support/error.h"
#include "loopbank/support/setting_names.h"
#include "loopbank/support/suggest.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {
namespace {

/// LibTorch's errors carry a C++ backtrace: people get the first line alone.
std::string first_line(const std::string& message) {
  return message.substr(0, message.find('\n'));
}

/// The line for a GPU that has no memory left.
std::string out_of_memory(const c10::OutOfMemoryError& error) {
  try {
    fail_out_of_memory(error, "loopbank",
                       "Compute fewer rows or texts at a time, or in bf16, or take --device cpu");
  } catch (const Error& ours) {
    return ours.what();
  }
}

/// The command that the words chose, as deep as they were understood.
const CLI::App& chosen(const CLI::App& app) {
  const auto parsed = app.get_subcommands();
  return parsed.empty() ? app : chosen(*parsed.front());
}

/// `loopbank data tokenize`: a command with those above it.
std::string full_name(const CLI::App& command) {
  const auto* parent = command.get_parent();
  return parent == nullptr ? command.get_name() : full_name(*parent) + " " + command.get_name();
}

/// What a mistyped word may have meant: the flags of the command and of those above it for a word
/// that starts with a dash, else the commands below it.
std::vector<std::string> known_words(const CLI::App& command, bool is_flag) {
  std::vector<std::string> known;
  if (!is_flag) {
    for (const auto* below : command.get_subcommands([](const CLI::App*) { return true; })) {
      if (!below->get_name().empty()) {  // a group of flags has none
        known.push_back(below->get_name());
      }
    }
    return known;
  }
  for (const auto* level = &command; level != nullptr; level = level->get_parent()) {
    for (const auto* option : level->get_options()) {
      for (const auto& name : option->get_lnames()) {
        const auto flag = "--" + name;
        if (std::find(known.begin(), known.end(), flag) == known.end()) {
          known.push_back(flag);
        }
      }
    }
  }
  return known;
}

/// What a command that takes --set says of a flag which is the name of a setting, ours or another
/// program's.
std::string setting_instead(const CLI::App& command, const std::string& flag) {
  if (command.get_option_no_throw("--set") == nullptr || !flag.starts_with("--")) {
    return "";
  }
  RunConfig config;
  const auto meant = setting_meant(std::string_view(flag).substr(2), config.sections());
  return meant ? fmt::format(" Did you mean --set {}=VALUE?", *meant) : "";
}

/// What is missing, in our words where CLI11's say little.
std::string what_is_missing(const CLI::App& command, const std::string& what) {
  const auto commands = known_words(command, /*is_flag=*/false);
  if (!commands.empty() && what.starts_with("A subcommand")) {
    return fmt::format("expected a command ({}), got none.", fmt::join(commands, ", "));
  }
  // `--out: 1 required TEXT missing`
  const auto flag_end = what.find(": 1 required ");
  if (flag_end != std::string::npos && what.ends_with(" missing")) {
    return what.substr(0, flag_end) + ": expected a value, got none.";
  }
  return what;
}

/// One line for what the parser did not accept.
std::string describe(const CLI::App& app, const CLI::ParseError& error) {
  const auto& command = chosen(app);
  const auto extras = app.remaining(true);
  if (extras.empty()) {
    const auto what = what_is_missing(command, first_line(error.what()));
    const bool is_sentence = what.ends_with('.') || what.ends_with('?');
    return fmt::format("{}: {}{} See {} --help.", full_name(command), what, is_sentence ? "" : ".",
                       full_name(command));
  }
  // A word that nobody knows explains best why another one is missing, so it comes first.
  const bool is_flag = extras.front().starts_with('-');
  const auto word = is_flag ? extras.front().substr(0, extras.front().find('=')) : extras.front();
  const auto known = known_words(command, is_flag);
  if (known.empty()) {
    return fmt::format("{}: unexpected argument \"{}\". See {} --help.", full_name(command), word,
                       full_name(command));
  }
  const auto setting = setting_instead(command, word);
  return fmt::format("{}: unknown {} \"{}\".{}", full_name(command), is_flag ? "flag" : "command",
                     word, setting.empty() ? suggestion(word, known) : setting);
}

int run(int argc, char** argv) {
  CLI::App app{"loopbank: transformers that decide how long to think and how much to look up"};
  app.name("loopbank");
  app.require_subcommand(1);
  app.set_version_flag("--version", "loopbank " LOOPBANK_VERSION);
  add_runtime_flags(app);
  add_train(app);
  add_eval(app);
  add_generate(app);
  add_probe(app);
  add_inside(app);
  add_thinking(app);
  add_inspect(app);
  add_serve(app);
  add_plan(app);
  add_match(app);
  add_quantize(app);
  add_import(app);
  add_export(app);
  add_data(app);
  add_study(app);
  add_bench(app);
  add_settings(app);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == static_cast<int>(CLI::ExitCodes::Success)) {
      return app.exit(error);  // --help and --version
    }
    fmt::print(stderr, "error: {}\n", describe(app, error));
    return exit_status(ErrorCode::kConfig);
  }
  // A full disk behind stdout shows only here.
  if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
    fail(ErrorCode::kData,
         "stdout: expected room for the output, could not write all of it. "
         "Free the disk or close the pipe later.");
  }
  return end_status();
}

}  // namespace
}  // namespace loopbank::cli

int main(int argc, char** argv) {
  try {
    return loopbank::cli::run(argc, argv);
  } catch (const loopbank::Error& error) {
    fmt::print(stderr, "error: {}\n", error.what());
    return loopbank::exit_status(error.code());
  } catch (const c10::OutOfMemoryError& error) {
    fmt::print(stderr, "error: {}\n", loopbank::cli::out_of_memory(error));
    return loopbank::exit_status(loopbank::ErrorCode::kDevice);
  } catch (const std::exception& error) {
    fmt::print(stderr, "error: {}\n", loopbank::cli::first_line(error.what()));
    return 1;
  }
}

#pragma once
/// Runs the built program as a user would and keeps what it printed.

#include <sys/types.h>

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace loopbank::testing {

struct ProgramResult {
  int status = -1;  ///< exit status; 128 + the signal where one ended it
  std::string out;
  std::string err;
};

/// Runs `loopbank ARGUMENTS...` with `input` on stdin, from `directory`.
/// @param environment  variables set on top of the test's own
ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input = "",
                          const std::filesystem::path& directory = ".",
                          const std::map<std::string, std::string>& environment = {});

/// Runs any program, `words[0]` being its path, in the same way.
ProgramResult run_command(std::vector<std::string> words, const std::string& input = "",
                          const std::filesystem::path& directory = ".",
                          const std::map<std::string, std::string>& environment = {});

/// Starts `loopbank ARGUMENTS...` in `directory` and gives its process. What it prints lands there
/// in NAME.out and NAME.err.
pid_t start_program(std::vector<std::string> arguments, const std::filesystem::path& directory,
                    const std::string& name);

/// Writes a text file under a directory, making the folders above it, and gives its path.
std::filesystem::path write_text(const std::filesystem::path& path, const std::string& text);

}  // namespace loopbank::testing

#include "program.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <system_error>
#include <utility>

#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

[[noreturn]] void throw_system_error(const char* what) {
  throw std::system_error(errno, std::generic_category(), what);
}

std::string read_text(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

/// Opens `path` as descriptor `target`; in the child, so a failure can only end it.
void redirect(const std::filesystem::path& path, int flags, int target) {
  const int descriptor = ::open(path.c_str(), flags, 0600);
  if (descriptor < 0 || ::dup2(descriptor, target) < 0) {
    ::_exit(127);
  }
}

}  // namespace

ProgramResult run_program(const std::vector<std::string>& arguments, const std::string& input,
                          const std::filesystem::path& directory,
                          const std::map<std::string, std::string>& environment) {
  std::vector<std::string> words{LOOPBANK_PROGRAM};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return run_command(std::move(words), input, directory, environment);
}

ProgramResult run_command(std::vector<std::string> words, const std::string& input,
                          const std::filesystem::path& directory,
                          const std::map<std::string, std::string>& environment) {
  // Files instead of pipes: no reader has to keep up, whatever the program prints.
  const TestDirectory streams;
  const auto in = write_text(streams.path() / "in", input);
  const auto out = streams.path() / "out";
  const auto err = streams.path() / "err";
  std::vector<char*> argv;
  for (auto& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);

  const pid_t child = ::fork();
  if (child < 0) {
    throw_system_error("fork");
  }
  if (child == 0) {
    redirect(in, O_RDONLY, STDIN_FILENO);
    redirect(out, O_WRONLY | O_CREAT, STDOUT_FILENO);
    redirect(err, O_WRONLY | O_CREAT, STDERR_FILENO);
    for (const auto& [name, value] : environment) {
      ::setenv(name.c_str(), value.c_str(), 1);
    }
    if (::chdir(directory.c_str()) == 0) {
      ::execv(argv[0], argv.data());
    }
    ::_exit(127);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) < 0) {
    throw_system_error("waitpid");
  }
  ProgramResult result;
  result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.out = read_text(out);
  result.err = read_text(err);
  return result;
}

pid_t start_program(std::vector<std::string> arguments, const std::filesystem::path& directory,
                    const std::string& name) {
  std::string program = LOOPBANK_PROGRAM;
  std::vector<char*> argv = {program.data()};
  for (auto& word : arguments) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  std::fflush(nullptr);  // or the child prints what stands in the buffers again
  const pid_t child = ::fork();
  if (child == 0) {
    if (::chdir(directory.c_str()) == 0 &&
        std::freopen((name + ".out").c_str(), "w", stdout) != nullptr &&
        std::freopen((name + ".err").c_str(), "w", stderr) != nullptr) {
      ::execv(argv[0], argv.data());
    }
    ::_exit(127);
  }
  return child;
}

std::filesystem::path write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file << text;
  if (!file.flush()) {
    throw std::runtime_error("cannot write " + path.string());
  }
  return path;
}

}  // namespace loopbank::testing

#include "loopbank/cli/own_program.h"

#include <fcntl.h>
#include <fmt/ranges.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank::cli {
namespace {

constexpr size_t kPipeBytes = 4096;

/// NAME=value texts: this process's environment with some variables set.
std::vector<std::string> environment_with(const std::map<std::string, std::string>& changes) {
  std::vector<std::string> all;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!changes.contains(text.substr(0, text.find('=')))) {
      all.push_back(text);
    }
  }
  for (const auto& [name, value] : changes) {
    all.push_back(name + "=" + value);
  }
  return all;
}

/// Pointers as exec takes them.
std::vector<char*> pointers_to(std::vector<std::string>& texts) {
  std::vector<char*> pointers;
  for (auto& text : texts) {
    pointers.push_back(text.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

}  // namespace

OwnProgram::OwnProgram(const std::vector<std::string>& arguments,
                       const std::map<std::string, std::string>& environment, Pipe pipe)
    : command_(fmt::format("loopbank {}", fmt::join(arguments, " "))) {
  std::array<int, 2> ends{-1, -1};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    fail(ErrorCode::kConfig, "bench: expected a pipe, got: {}.", std::strerror(errno));
  }
  std::vector<std::string> words = {"loopbank"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  auto variables = environment_with(environment);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, ends[1],
                                     pipe == Pipe::kOut ? STDOUT_FILENO : STDERR_FILENO);
  const int status = ::posix_spawn(&process_, "/proc/self/exe", &actions, nullptr,
                                   pointers_to(words).data(), pointers_to(variables).data());
  ::posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  output_ = ends[0];
  if (status != 0) {
    process_ = -1;
    ::close(output_);
    fail(ErrorCode::kConfig, "bench: expected to start \"{}\", got: {}.", command_,
         std::strerror(status));
  }
}

OwnProgram::OwnProgram(OwnProgram&& other) noexcept
    : command_(std::move(other.command_)),
      process_(std::exchange(other.process_, -1)),
      status_(other.status_),
      output_(std::exchange(other.output_, -1)) {}

OwnProgram::~OwnProgram() {
  if (process_ > 0) {
    ::kill(process_, SIGKILL);
    ::waitpid(process_, nullptr, 0);
  }
  if (output_ >= 0) {
    ::close(output_);
  }
}

std::string OwnProgram::output() {
  std::string text;
  std::array<char, kPipeBytes> buffer{};
  for (ssize_t count = 0; (count = ::read(output_, buffer.data(), buffer.size())) > 0;) {
    text.append(buffer.data(), static_cast<size_t>(count));
  }
  int status = 0;
  ::waitpid(std::exchange(process_, -1), &status, 0);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    fail(ErrorCode::kConfig,
         "bench: expected \"{}\" to end well, got {} {} (its own message is above).", command_,
         WIFEXITED(status) ? "exit status" : "signal",
         WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
  }
  return text;
}

std::optional<int> OwnProgram::status() {
  int status = 0;
  if (process_ > 0 && ::waitpid(process_, &status, WNOHANG) == process_) {
    process_ = -1;
    status_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  return status_;
}

}  // namespace loopbank::cli

#include "loopbank/cli/bench_pytorch.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <nlohmann/json.hpp>
#include <system_error>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank::cli {
namespace {

/// Both ends of a pipe, closed in the child unless they become its stdin or stdout.
std::array<int, 2> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    fail(ErrorCode::kConfig, "bench: expected room for a pipe, got: {}.", std::strerror(errno));
  }
  return ends;
}

/// Starts a program with these two descriptors as stdin and stdout; its stderr stays ours.
int start(const std::vector<std::string>& words, int input, int output) {
  std::vector<char*> arguments;
  for (const auto& word : words) {
    arguments.push_back(const_cast<char*>(word.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_adddup2(&actions, input, STDIN_FILENO);
  ::posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
  pid_t process = -1;
  const int status =
      ::posix_spawnp(&process, arguments.front(), &actions, nullptr, arguments.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  if (status != 0) {
    fail(ErrorCode::kConfig,
         "bench: expected a Python with torch at \"{}\", got: {}. Name one "
         "with --python.",
         words.front(), std::strerror(status));
  }
  return process;
}

std::vector<std::string> command_line(const RunConfig& config, const PytorchOptions& options) {
  const auto& training = config.training;
  std::vector<std::string> words = {options.python,
                                    (options.reference / "bench.py").string(),
                                    "--serve",
                                    "--config",
                                    to_json(config.model).dump(),
                                    "--batch",
                                    std::to_string(training.batch),
                                    "--tokens",
                                    std::to_string(training.sequence_length),
                                    "--dtype",
                                    training.precision,
                                    "--device",
                                    options.device,
                                    "--threads",
                                    std::to_string(options.threads)};
  if (options.compile) {
    words.emplace_back("--compile");
  }
  return words;
}

}  // namespace

std::filesystem::path find_reference_folder() {
  std::error_code ignored;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", ignored);
  const auto beside = program.parent_path().parent_path().parent_path() / "reference";
  for (const auto& folder : {std::filesystem::path("reference"), beside}) {
    if (std::filesystem::exists(folder / "bench.py", ignored)) {
      return folder;
    }
  }
  fail(ErrorCode::kConfig,
       "bench: expected the PyTorch twin at reference/bench.py or {}/bench.py, got neither. Run in "
       "the project's folder or name the folder with --reference.",
       beside.string());
}

std::string find_python(const std::filesystem::path& reference) {
  const auto wheel = reference / ".." / "build/wheel-venv/bin/python";
  std::error_code ignored;
  return std::filesystem::exists(wheel, ignored) ? wheel.lexically_normal().string()
                                                 : "/usr/bin/python3";
}

PytorchTwin::PytorchTwin(const RunConfig& config, const PytorchOptions& options)
    : command_(fmt::format("{} {}", options.python, (options.reference / "bench.py").string())) {
  // A process that ended leaves a broken pipe, which is told as an error and not by a signal.
  ::signal(SIGPIPE, SIG_IGN);
  const auto to_child = make_pipe();
  const auto from_child = make_pipe();
  input_ = to_child[1];
  output_ = from_child[0];
  process_ = start(command_line(config, options), to_child[0], from_child[1]);
  ::close(to_child[0]);
  ::close(from_child[1]);
}

PytorchTwin::~PytorchTwin() {
  ::close(input_);  // the end of its input ends it
  ::close(output_);
  if (process_ > 0) {
    ::waitpid(process_, nullptr, 0);
  }
}

std::string PytorchTwin::read_line() {
  std::string line;
  char next = 0;
  while (::read(output_, &next, 1) == 1) {
    if (next == '\n') {
      return line;
    }
    line.push_back(next);
  }
  fail(ErrorCode::kConfig,
       "bench: expected timings from \"{}\", got the end of its output (its own message is above). "
       "It needs torch: Debian's python3-torch, or another interpreter with --python.",
       command_);
}

PytorchSteps PytorchTwin::run(int64_t steps) {
  const auto order = fmt::format("{}\n", steps);
  // A short write to a process that is gone shows at the read that follows.
  (void)!::write(input_, order.data(), order.size());
  const auto line = read_line();
  const auto where = fmt::format("bench: the answer of \"{}\"", command_);
  const JsonForm form{.code = ErrorCode::kConfig, .expected = "{\"seconds\": [...]}"};
  const auto json = parse_json_line(line, where, form);
  const JsonValues answer(json, where, form);
  const auto numbers = [&](const char* key) {
    std::vector<double> values;
    for (const auto& value : answer.list(key)) {
      if (!value.is_number()) {
        answer.refuse(key, "a list of numbers");
      }
      values.push_back(value.get<double>());
    }
    return values;
  };
  PytorchSteps result;
  result.torch = answer.has("torch") ? answer.text("torch") : "";
  if (answer.has("unavailable")) {
    result.unavailable = answer.text("unavailable");
    return result;
  }
  peak_memory_bytes_ = answer.has("peak_memory_bytes") ? answer.count("peak_memory_bytes") : 0;
  result.seconds = numbers("seconds");
  if (answer.has("processor_seconds")) {
    result.processor_seconds = numbers("processor_seconds");
  }
  return result;
}

}  // namespace loopbank::cli

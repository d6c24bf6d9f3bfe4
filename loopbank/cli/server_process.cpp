#include "loopbank/cli/server_process.h"

#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <fstream>
#include <string_view>

#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank::cli {
namespace {

constexpr double kStartSeconds = 60.0;
constexpr auto kLookTime = std::chrono::milliseconds(10);
constexpr size_t kLongestLine = size_t{1} << 16;

/// What stands behind " at " in the line `serving NAME at http://127.0.0.1:PORT`, or nothing.
std::string url_in(std::string_view line) {
  constexpr std::string_view kBefore = " at http://";
  const auto found =
      line.find("serving ") == std::string_view::npos ? std::string_view::npos : line.find(kBefore);
  if (found == std::string_view::npos) {
    return {};
  }
  const auto url = line.substr(found + std::string_view(" at ").size());
  return std::string(url.substr(0, url.find_first_of(" ,\t\r")));
}

}  // namespace

ServerProcess::ServerProcess(const std::vector<std::string>& arguments) {
  std::vector<std::string> words = {"serve"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--host", "127.0.0.1", "--port", "0"});
  program_ = std::make_unique<OwnProgram>(words, std::map<std::string, std::string>{},
                                          OwnProgram::Pipe::kErr);
  reader_ = std::thread([this] { read_lines(); });
  const Stopwatch watch;
  while (url_.empty() && watch.seconds() < kStartSeconds && !program_->status()) {
    std::this_thread::sleep_for(kLookTime);
    const std::lock_guard lock(lines_);
    url_ = served_at_;
  }
  if (url_.empty()) {
    const auto status = program_->status();
    if (!status) {
      ::kill(program_->process(), SIGKILL);
    }
    reader_.join();  // the pipe ends with the process
    fail(ErrorCode::kConfig,
         "bench serve: expected a server that serves within {} s, got {}; its last line: {}.",
         kStartSeconds, status ? "exit status " + std::to_string(*status) : "none", last_line());
  }
}

ServerProcess::~ServerProcess() {
  if (program_ && !program_->status()) {
    ::kill(program_->process(), SIGKILL);
  }
  if (reader_.joinable()) {
    reader_.join();  // the pipe ends with the process
  }
}

void ServerProcess::read_lines() {
  const int pipe = program_->pipe();
  std::array<char, 4096> buffer{};
  std::string bytes;
  for (ssize_t count = 0; (count = ::read(pipe, buffer.data(), buffer.size())) > 0;) {
    bytes.append(buffer.data(), static_cast<size_t>(count));
    size_t begin = 0;
    for (size_t end = 0; (end = bytes.find('\n', begin)) != std::string::npos; begin = end + 1) {
      const auto line = std::string_view(bytes).substr(begin, end - begin);
      const std::lock_guard lock(lines_);
      last_line_ = line;
      if (served_at_.empty()) {
        served_at_ = url_in(line);
      }
    }
    bytes.erase(0, bytes.size() > kLongestLine ? bytes.size() : begin);
  }
}

std::string ServerProcess::last_line() {
  const std::lock_guard lock(lines_);
  auto line = last_line_.empty() ? std::string("none") : last_line_;
  while (line.ends_with('.')) {
    line.pop_back();  // the error that it stands in ends with one
  }
  return line;
}

int64_t ServerProcess::resident_bytes() const {
  std::ifstream file("/proc/" + std::to_string(program_->process()) + "/statm");
  int64_t pages = 0;
  int64_t resident = 0;
  file >> pages >> resident;
  return resident * ::sysconf(_SC_PAGESIZE);
}

void ServerProcess::expect_running() {
  if (const auto status = program_->status()) {
    fail(ErrorCode::kConfig,
         "bench serve: expected a server that goes on, got exit status {}; its last line: {}.",
         *status, last_line());
  }
}

void ServerProcess::stop(double seconds) {
  expect_running();
  ::kill(program_->process(), SIGTERM);
  const Stopwatch watch;
  while (!program_->status() && watch.seconds() < seconds) {
    std::this_thread::sleep_for(kLookTime);
  }
  const auto status = program_->status();
  if (!status || *status != 0) {
    fail(ErrorCode::kConfig,
         "bench serve: expected a server that ends with exit status 0 within {} s after SIGTERM, "
         "got {}; its last line: {}.",
         seconds, status ? "exit status " + std::to_string(*status) : "none", last_line());
  }
}

}  // namespace loopbank::cli

#pragma once
/// `loopbank serve` as a process beside this one, on a free port of loopback.

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "loopbank/cli/own_program.h"

namespace loopbank::cli {

class ServerProcess {
 public:
  /// Starts it and returns once it serves.
  /// @param arguments  behind `loopbank serve`
  /// @throws Error kConfig with its last line where it ends before, or does not serve within a minute
  explicit ServerProcess(const std::vector<std::string>& arguments);
  /// Ends it by SIGKILL where it still runs.
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  /// `http://127.0.0.1:PORT`.
  [[nodiscard]] const std::string& url() const { return url_; }
  /// Its resident memory now.
  [[nodiscard]] int64_t resident_bytes() const;
  /// @throws Error kConfig with its last line where it has ended
  void expect_running();
  /// Asks it to end (SIGTERM) and waits.
  /// @throws Error kConfig where it does not end with exit status 0 within `seconds`
  void stop(double seconds);

 private:
  void read_lines();
  [[nodiscard]] std::string last_line();

  std::unique_ptr<OwnProgram> program_;
  std::string url_;
  std::mutex lines_;  // guards what the thread reads
  std::string served_at_;
  std::string last_line_;
  std::thread reader_;
};

}  // namespace loopbank::cli

#pragma once
/// This program as a process beside this one, for measurements that need one of their own.

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace loopbank::cli {

class OwnProgram {
 public:
  /// What of it comes through a pipe; the other one is this process's.
  enum class Pipe { kOut, kErr };

  /// Starts `loopbank ARGUMENTS...`.
  /// @param environment  variables set on top of this process's own
  /// @throws Error kConfig where no process can be started
  OwnProgram(const std::vector<std::string>& arguments,
             const std::map<std::string, std::string>& environment = {}, Pipe pipe = Pipe::kOut);
  /// Ends it by SIGKILL where it still runs.
  ~OwnProgram();
  OwnProgram(OwnProgram&& other) noexcept;
  OwnProgram(const OwnProgram&) = delete;
  OwnProgram& operator=(const OwnProgram&) = delete;
  OwnProgram& operator=(OwnProgram&&) = delete;

  /// What it prints on stdout, when it has ended.
  /// @throws Error kConfig where its exit status is not 0
  [[nodiscard]] std::string output();

  /// The end of its pipe that is read.
  [[nodiscard]] int pipe() const { return output_; }
  [[nodiscard]] pid_t process() const { return process_; }
  /// Its exit status, 128 + the signal where one ended it; nothing while it runs.
  [[nodiscard]] std::optional<int> status();

 private:
  std::string command_;
  pid_t process_ = -1;
  std::optional<int> status_;
  int output_ = -1;  // the end of the pipe
};

}  // namespace loopbank::cli

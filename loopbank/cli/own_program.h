#pragma once
/// This program as a process beside this one, for measurements that need one of their own.

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

namespace loopbank::cli {

class OwnProgram {
 public:
  /// Starts `loopbank ARGUMENTS...`; its stderr is this process's.
  /// @param environment  variables set on top of this process's own
  /// @throws Error kConfig where no process can be started
  OwnProgram(const std::vector<std::string>& arguments,
             const std::map<std::string, std::string>& environment = {});
  /// Ends it by SIGKILL where it still runs.
  ~OwnProgram();
  OwnProgram(OwnProgram&& other) noexcept;
  OwnProgram(const OwnProgram&) = delete;
  OwnProgram& operator=(const OwnProgram&) = delete;
  OwnProgram& operator=(OwnProgram&&) = delete;

  /// What it prints on stdout, when it has ended.
  /// @throws Error kConfig where its exit status is not 0
  [[nodiscard]] std::string output();

 private:
  std::string command_;
  pid_t process_ = -1;
  int output_ = -1;  // the end of a pipe
};

}  // namespace loopbank::cli

#pragma once
/// Several ranks of the program on this machine, each a process with the variables of a launcher.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace loopbank::testing {

/// What is particular about one rank.
struct RankStart {
  std::vector<std::string> words;                    ///< behind `loopbank`
  std::map<std::string, std::string> environment{};  ///< over that of torchrun
  std::string network{};                             ///< network namespace; empty: this one
  uint64_t file_bytes = 0;  ///< no file may grow beyond, as on a full disk; 0: no limit
};

struct RankEnd {
  bool ended = false;  ///< within the time
  int status = -1;     ///< exit status; 128 + the signal where one ended it
  double seconds = 0;  ///< from the call of `wait` to its end
  std::string err;
};

class RankProcesses {
 public:
  /// Starts rank 0 to n - 1 in `directory`; what they print lands there in rank-R.out and rank-R.err.
  /// @param address  where they meet
  RankProcesses(const std::filesystem::path& directory, const std::vector<RankStart>& ranks,
                const std::string& address = "127.0.0.1");
  /// Kills what still runs.
  ~RankProcesses();
  RankProcesses(const RankProcesses&) = delete;
  RankProcesses& operator=(const RankProcesses&) = delete;

  void signal(size_t rank, int number);
  /// Waits until all have ended or the time is over. A rank that was stopped is not waited for.
  std::vector<RankEnd> wait(std::chrono::seconds limit);
  [[nodiscard]] pid_t process(size_t rank) const { return processes_[rank]; }

 private:
  std::filesystem::path directory_;
  std::vector<pid_t> processes_;
  std::vector<bool> is_stopped_;
};

/// Returns once a text file has `lines` lines. @return whether it did within the time
[[nodiscard]] bool wait_for_lines(const std::filesystem::path& path, int64_t lines,
                                  std::chrono::seconds limit = std::chrono::seconds(60));

/// Two network namespaces with a cable between them: one machine as two.
class TwoNetworks {
 public:
  TwoNetworks();
  ~TwoNetworks();
  TwoNetworks(const TwoNetworks&) = delete;
  TwoNetworks& operator=(const TwoNetworks&) = delete;

  /// Why they could not be made (needs root and the programs ip and tc); empty: they are there.
  [[nodiscard]] const std::string& missing() const { return missing_; }
  [[nodiscard]] const std::string& first() const { return first_; }
  [[nodiscard]] const std::string& second() const { return second_; }
  [[nodiscard]] std::string first_address() const { return "10.177.0.1"; }
  /// Pulls the cable: packets get lost in silence, connections stay open on both sides.
  void cut();
  /// Slows the cable down: by netem (20 ms and 1 % lost) where the kernel has it, else by a rate of
  /// `bytes_per_second` alone (tbf).
  /// @return what was done
  std::string slow_down(int64_t bytes_per_second);

 private:
  std::string first_;
  std::string second_;
  std::string missing_;
};

}  // namespace loopbank::testing

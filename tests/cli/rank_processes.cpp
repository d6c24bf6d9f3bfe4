#include "rank_processes.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <thread>

#include "loopbank/ranks/free_port.h"
#include "loopbank/support/files.h"

namespace loopbank::testing {
namespace {

/// In the child: becomes the rank. What fails here can only end it.
[[noreturn]] void become_rank(const std::filesystem::path& directory, const RankStart& start,
                              const std::string& name) {
  if (!start.network.empty()) {
    const int network = ::open(("/run/netns/" + start.network).c_str(), O_RDONLY | O_CLOEXEC);
    if (network < 0 || ::setns(network, CLONE_NEWNET) != 0) {
      ::_exit(126);
    }
  }
  if (start.file_bytes > 0) {
    const rlimit limit{.rlim_cur = start.file_bytes, .rlim_max = start.file_bytes};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    std::signal(SIGXFSZ, SIG_IGN);
  }
  for (const auto& [key, value] : start.environment) {
    ::setenv(key.c_str(), value.c_str(), 1);
  }
  auto words = start.words;
  std::string program = LOOPBANK_PROGRAM;
  std::vector<char*> argv = {program.data()};
  for (auto& word : words) {
    argv.push_back(word.data());
  }
  argv.push_back(nullptr);
  if (::chdir(directory.c_str()) == 0 &&
      std::freopen((name + ".out").c_str(), "w", stdout) != nullptr &&
      std::freopen((name + ".err").c_str(), "w", stderr) != nullptr) {
    ::execv(argv[0], argv.data());
  }
  ::_exit(127);
}

int status_of(int wait_status) {
  return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

bool runs(const std::string& command) {
  const auto whole = "PATH=/usr/sbin:/sbin:$PATH " + command + " >/dev/null 2>&1";
  return std::system(whole.c_str()) == 0;
}

}  // namespace

RankProcesses::RankProcesses(const std::filesystem::path& directory,
                             const std::vector<RankStart>& ranks, const std::string& address)
    : directory_(directory), is_stopped_(ranks.size(), false) {
  const auto port = std::to_string(free_port());
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    auto start = ranks[rank];
    start.environment.insert({{"RANK", std::to_string(rank)},
                              {"LOCAL_RANK", std::to_string(rank)},
                              {"WORLD_SIZE", std::to_string(ranks.size())},
                              {"MASTER_ADDR", address},
                              {"MASTER_PORT", port},
                              {"OMP_NUM_THREADS", "1"},
                              {"OMP_WAIT_POLICY", "passive"}});
    std::fflush(nullptr);  // or the child prints what stands in the buffers again
    const pid_t child = ::fork();
    if (child == 0) {
      become_rank(directory, start, fmt::format("rank-{}", rank));
    }
    processes_.push_back(child);
  }
}

RankProcesses::~RankProcesses() {
  for (const pid_t process : processes_) {
    if (process > 0) {
      ::kill(process, SIGKILL);
      ::waitpid(process, nullptr, 0);
    }
  }
}

void RankProcesses::signal(size_t rank, int number) {
  ::kill(processes_[rank], number);
  is_stopped_[rank] = number == SIGSTOP;
}

std::vector<RankEnd> RankProcesses::wait(std::chrono::seconds limit) {
  const auto start = std::chrono::steady_clock::now();
  std::vector<RankEnd> ends(processes_.size());
  bool some_run = true;
  while (some_run && std::chrono::steady_clock::now() - start < limit) {
    some_run = false;
    for (size_t rank = 0; rank < processes_.size(); ++rank) {
      int status = 0;
      if (processes_[rank] > 0 && ::waitpid(processes_[rank], &status, WNOHANG) > 0) {
        processes_[rank] = 0;
        ends[rank].ended = true;
        ends[rank].status = status_of(status);
        ends[rank].seconds =
            std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
      }
      some_run = some_run || (processes_[rank] > 0 && !is_stopped_[rank]);
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  for (size_t rank = 0; rank < processes_.size(); ++rank) {
    ends[rank].err = read_file(directory_ / fmt::format("rank-{}.err", rank));
  }
  return ends;
}

bool wait_for_lines(const std::filesystem::path& path, int64_t lines, std::chrono::seconds limit) {
  const auto start = std::chrono::steady_clock::now();
  while (std::chrono::steady_clock::now() - start < limit) {
    if (std::filesystem::exists(path)) {
      const auto text = read_file(path);
      if (std::count(text.begin(), text.end(), '\n') >= lines) {
        return true;
      }
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  return false;
}

TwoNetworks::TwoNetworks()
    : first_(fmt::format("loopbank-a{}", ::getpid())),
      second_(fmt::format("loopbank-b{}", ::getpid())) {
  const auto& a = first_;
  const auto& b = second_;
  for (const auto& command :
       {fmt::format("ip netns add {}", a), fmt::format("ip netns add {}", b),
        fmt::format("ip -n {} link add cable type veth peer name cable netns {}", a, b),
        fmt::format("ip -n {} address add 10.177.0.1/24 dev cable", a),
        fmt::format("ip -n {} address add 10.177.0.2/24 dev cable", b),
        fmt::format("ip -n {} link set lo up", a), fmt::format("ip -n {} link set lo up", b),
        fmt::format("ip -n {} link set cable up", a),
        fmt::format("ip -n {} link set cable up", b)}) {
    if (missing_.empty() && !runs(command)) {
      missing_ = fmt::format("no network namespaces here: \"{}\" failed", command);
    }
  }
}

TwoNetworks::~TwoNetworks() {
  (void)runs(fmt::format("ip netns delete {}", first_));
  (void)runs(fmt::format("ip netns delete {}", second_));
}

void TwoNetworks::cut() {
  if (!runs(fmt::format("ip -n {} link set cable down", second_))) {
    throw std::runtime_error("the cable stays");
  }
}

std::string TwoNetworks::slow_down(int64_t bytes_per_second) {
  const auto rate = fmt::format("rate {}kbit", bytes_per_second * 8 / 1000);
  for (const auto& way : {fmt::format("netem delay 20ms loss 1% {}", rate),
                          fmt::format("tbf {} burst 16kb latency 400ms", rate)}) {
    bool slowed = true;
    for (const auto& network : {first_, second_}) {
      slowed = slowed && runs(fmt::format("ip netns exec {} tc qdisc replace dev cable root {}",
                                          network, way));
    }
    if (slowed) {
      return way;
    }
  }
  throw std::runtime_error("tc has neither netem nor tbf");
}

}  // namespace loopbank::testing

#include "loopbank/cli/rank_session.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "loopbank/ranks/watch.h"
#include "loopbank/support/error.h"

namespace loopbank::cli {
namespace {

/// Programs start at different speeds, also where ranks that train are given up within seconds.
constexpr double kMeetingSeconds = 60.0;
/// A rank whose heart beats may be busy for a multiple of the time-out, writing a checkpoint.
constexpr double kExchangePatience = 4.0;

/// What torchrun shows of the rank that failed first.
void tell_torchrun(const std::string& line) {
  const char* path = std::getenv("TORCHELASTIC_ERROR_FILE");
  if (path == nullptr || *path == '\0') {
    return;
  }
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(now).count();
  const nlohmann::json json = {
      {"message",
       {{"message", line},
        {"extraInfo", {{"timestamp", std::to_string(seconds)}, {"py_callstack", ""}}}}}};
  std::ofstream(path) << json.dump();
}

/// One line, even where the watch and the rank itself end the process at the same time.
[[noreturn]] void end_rank(const std::string& line, int status) {
  static std::atomic_flag is_ending = ATOMIC_FLAG_INIT;
  while (is_ending.test_and_set()) {
    ::pause();
  }
  fmt::print(stderr, "error: {}\n", line);
  tell_torchrun(line);
  std::fflush(nullptr);
  ::_exit(status);
}

/// The watch's finding as an error line.
std::string line_of(const std::string& finding) {
  return fmt::format("{}{} Start the ranks again with --resume.", finding,
                     finding.ends_with('.') ? "" : ".");
}

}  // namespace

void with_ranks(at::Device device, double timeout_seconds,
                const std::function<void(const Ranks& ranks)>& work) {
  const auto place = rank_place();
  if (place.size == 1) {
    work(Ranks());
    return;
  }
  const double exchange_seconds = kExchangePatience * timeout_seconds;
  std::signal(SIGPIPE,
              SIG_IGN);  // a store or rank that is gone is an error of the call that needs it
  const auto ranks = Ranks::join(place, device,
                                 {.timeout_seconds = exchange_seconds,
                                  .meeting_seconds = std::max(kMeetingSeconds, timeout_seconds)});
  RankWatch watch(place, {.timeout_seconds = timeout_seconds,
                          .exchange_seconds = exchange_seconds,
                          .end =
                              [](const std::string& finding) {
                                end_rank(line_of(finding), exit_status(ErrorCode::kRanks));
                              },
                          .exchanges = [ranks] { return ranks.exchanges_begun(); }});
  ranks.explain_errors([&](const std::string& cause) { return line_of(watch.explain(cause)); });
  try {
    work(ranks);
    ranks.wait_for_all();
  } catch (const Error& error) {
    watch.leave(error.what());
    end_rank(error.what(), exit_status(error.code()));
  } catch (const std::exception& error) {
    const std::string text = error.what();
    const auto line = text.substr(0, text.find('\n'));
    watch.leave(line);
    end_rank(line, 1);
  }
  watch.leave();
  ranks.explain_errors({});
}

}  // namespace loopbank::cli

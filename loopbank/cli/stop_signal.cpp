#include "loopbank/cli/stop_signal.h"

#include <csignal>
#include <cstdio>
#include <cstdlib>

namespace loopbank::cli {
namespace {

/// A handler may do no more than set it.
volatile std::sig_atomic_t noted_signal = 0;

}  // namespace

void watch_signals() {
  struct sigaction action {};
  action.sa_handler = [](int signal) { noted_signal = signal; };
  action.sa_flags = static_cast<int>(SA_RESTART | SA_RESETHAND);
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
  std::signal(SIGXFSZ, SIG_IGN);
}

int stop_signal() {
  return noted_signal;
}

void end_by_signal() {
  // Where another rank was asked to stop there is no signal here.
  const int signal = stop_signal() == 0 ? SIGTERM : stop_signal();
  std::fflush(nullptr);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
  std::_Exit(128 + signal);
}

}  // namespace loopbank::cli

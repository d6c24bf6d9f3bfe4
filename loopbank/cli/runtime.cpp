#include "loopbank/cli/runtime.h"

#include <ATen/Parallel.h>
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <string>
#include <string_view>

#include "loopbank/cli/setting_flags.h"
#include "loopbank/ops/cpu/memory_pool.h"
#include "loopbank/ops/kernels.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"

namespace loopbank::cli {
namespace {

constexpr int kMaxThreads = 1024;

constexpr int kStatusOfSkipped = 8;

int64_t& skipped_lines() {
  static int64_t count = 0;
  return count;
}

RuntimeSettings& settings() {
  static RuntimeSettings instance;
  return instance;
}

/// Cores' worth of time that a container grants (cgroup v2), or a large number without a limit.
double cores_of_quota() {
  std::ifstream file("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0.0;
  if (!(file >> quota >> period) || quota == "max" || period <= 0.0) {
    return kMaxThreads;
  }
  return std::strtod(quota.c_str(), nullptr) / period;
}

/// The number of threads in an environment variable; 0 where it is not set.
int threads_from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') {
    return 0;
  }
  const std::string_view text(value);
  int threads = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), threads);
  if (error != std::errc() || end != text.data() + text.size() || threads < 1 ||
      threads > kMaxThreads) {
    fail(ErrorCode::kConfig,
         "{}: expected a number of threads from 1 to {}, got \"{}\". Correct or unset it.", name,
         kMaxThreads, text);
  }
  return threads;
}

int wanted_threads(int64_t flag) {
  if (flag > 0) {
    return static_cast<int>(flag);
  }
  for (const char* name : {"LOOPBANK_THREADS", "OMP_NUM_THREADS"}) {
    if (const int threads = threads_from_environment(name); threads > 0) {
      return threads;
    }
  }
  return available_cores();
}

void apply_runtime_settings() {
  // LibTorch may start with one thread on a machine of two cores, so it is always told.
  at::set_num_threads(wanted_threads(settings().threads));
  ops::install_memory_pool();
  ops::set_kernels(settings().kernels == "reference" ? ops::Kernels::kReference
                                                     : ops::Kernels::kFused);
  if (settings().quiet) {
    set_log_level(LogLevel::kWarning);
  }
}

}  // namespace

void add_runtime_flags(CLI::App& app) {
  app.fallthrough();  // inherited by every command added after this
  add_setting_flag(app, Field("threads", &settings().threads,
                              "threads that compute (LOOPBANK_THREADS, else all available cores)")
                            .range(1, kMaxThreads));
  add_setting_flag(app,
                   Field("kernels", &settings().kernels,
                         "which kernels: fused, or reference, the definitions in plain ATen (slow)")
                       .choices({"fused", "reference"}));
  app.add_flag("--quiet", settings().quiet, "Only warnings and errors on stderr, no progress");
  app.parse_complete_callback(apply_runtime_settings);
}

const RuntimeSettings& runtime_settings() {
  return settings();
}

void note_skipped_lines(int64_t num_lines) {
  skipped_lines() += num_lines;
}

int end_status() {
  return skipped_lines() > 0 ? kStatusOfSkipped : 0;
}

int available_cores() {
  cpu_set_t mask;
  CPU_ZERO(&mask);
  // Fails only on machines of more than 1024 cores: one thread is then a safe start.
  const int by_mask = ::sched_getaffinity(0, sizeof(mask), &mask) == 0 ? CPU_COUNT(&mask) : 1;
  const auto by_quota = static_cast<int>(std::ceil(cores_of_quota()));
  return std::max(1, std::min(by_mask, by_quota));
}

}  // namespace loopbank::cli

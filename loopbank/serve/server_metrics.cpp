#include "loopbank/serve/server_metrics.h"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <unistd.h>

#include <fstream>
#include <mutex>
#include <sstream>

namespace loopbank {
namespace {

using prometheus::Histogram;

/// From 0.1 ms to 100 s, each 1, 2 or 5 times a power of ten.
Histogram::BucketBoundaries seconds_buckets() {
  Histogram::BucketBoundaries bounds;
  for (const double power : {1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0}) {
    for (const double step : {1.0, 2.0, 5.0}) {
      bounds.push_back(power * step);
    }
  }
  return bounds;
}

double resident_bytes() {
  std::ifstream file("/proc/self/statm");
  double total = 0.0;
  double resident = 0.0;
  file >> total >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

/// A counter that another part keeps: raised to what that part says.
void raise(prometheus::Counter& counter, double value) {
  counter.Increment(value - counter.Value());
}

}  // namespace

struct ServerMetrics::Series {
  prometheus::Registry registry;
  std::mutex mutex;  // of `text`, which raises counters by differences

  prometheus::Counter& counter(const char* name, const char* help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry).Add({});
  }
  prometheus::Gauge& gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry).Add({});
  }
  Histogram& histogram(const char* name, const char* help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry).Add(
        {}, seconds_buckets());
  }

  prometheus::Family<prometheus::Counter>& requests = prometheus::BuildCounter()
                                                          .Name("loopbank_requests_total")
                                                          .Help("Requests by path and status.")
                                                          .Register(registry);
  prometheus::Counter& prompt_tokens =
      counter("loopbank_prompt_tokens_total", "Tokens of prompts that were read.");
  prometheus::Counter& generated_tokens =
      counter("loopbank_generated_tokens_total", "Tokens that were generated.");
  prometheus::Counter& loops =
      counter("loopbank_loops_total", "Loops of tokens as answers tell them, mean over layers.");
  prometheus::Counter& loop_tokens =
      counter("loopbank_loop_tokens_total", "Tokens that passed through the layers.");
  prometheus::Counter& refused =
      counter("loopbank_connections_refused_total", "Connections that found no place.");
  prometheus::Gauge& waiting =
      gauge("loopbank_requests_waiting", "Requests that wait for the engine.");
  prometheus::Gauge& running =
      gauge("loopbank_requests_running", "Requests that the engine works on.");
  prometheus::Gauge& cache =
      gauge("loopbank_cache_bytes", "Bytes of keys and values, those kept for sharing included.");
  prometheus::Gauge& cache_budget =
      gauge("loopbank_cache_budget_bytes", "Bytes that keys and values may take.");
  prometheus::Gauge& connections = gauge("loopbank_connections", "Open connections.");
  prometheus::Gauge& resident =
      gauge("process_resident_memory_bytes", "Resident memory of the process.");
  Histogram& first_token = histogram("loopbank_first_token_seconds",
                                     "From a request's arrival to its first generated token.");
  Histogram& gap =
      histogram("loopbank_between_tokens_seconds", "Between two tokens of a completion.");
  Histogram& request =
      histogram("loopbank_request_seconds", "From a completion request's arrival to its end.");
};

ServerMetrics::ServerMetrics() : series_(std::make_unique<Series>()) {}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::count_request(const std::string& path, int status, double seconds) {
  series_->requests.Add({{"path", path}, {"status", fmt::format("{}", status)}}).Increment();
  if (path.ends_with("completions")) {
    series_->request.Observe(seconds);
  }
}

void ServerMetrics::observe_first_token(double seconds) {
  series_->first_token.Observe(seconds);
}

void ServerMetrics::observe_gap(double seconds) {
  series_->gap.Observe(seconds);
}

std::string ServerMetrics::text(const SchedulerState& scheduler, const HttpCounts& http) {
  auto& series = *series_;
  const std::lock_guard lock(series.mutex);
  raise(series.prompt_tokens, static_cast<double>(scheduler.prompt_tokens));
  raise(series.generated_tokens, static_cast<double>(scheduler.generated_tokens));
  raise(series.loops, scheduler.engine.loops_told);
  raise(series.loop_tokens, static_cast<double>(scheduler.engine.tokens));
  raise(series.refused, static_cast<double>(http.refused));
  series.waiting.Set(static_cast<double>(scheduler.waiting));
  series.running.Set(static_cast<double>(scheduler.running));
  series.cache.Set(static_cast<double>(scheduler.cache_bytes));
  series.cache_budget.Set(static_cast<double>(scheduler.cache_budget_bytes));
  series.connections.Set(static_cast<double>(http.connections));
  series.resident.Set(resident_bytes());
  std::ostringstream out;
  prometheus::TextSerializer().Serialize(out, series.registry.Collect());
  return out.str();
}

}  // namespace loopbank

#include "loopbank/serve/server_metrics.h"

#include <gtest/gtest.h>

#include <sstream>
#include <string>

namespace loopbank {
namespace {

bool has_line(const std::string& text, const std::string& line) {
  return ("\n" + text).find("\n" + line + "\n") != std::string::npos;
}

/// As Prometheus writes it: 15 and 37.5.
std::string written(double number) {
  std::ostringstream out;
  out << number;
  return out.str();
}

SchedulerState state_of(int64_t tokens) {
  SchedulerState state{.waiting = 3, .generated_tokens = tokens};
  state.engine.tokens = tokens;
  state.engine.loops_told = 1.5 * static_cast<double>(tokens);
  return state;
}

TEST(ServerMetricsText, CountsRequestsByPathAndStatus) {
  ServerMetrics metrics;
  metrics.count_request("/v1/completions", 200, 0.3);
  metrics.count_request("/v1/completions", 200, 0.7);
  metrics.count_request("other", 404, 0.0);
  const auto text = metrics.text({}, {});
  EXPECT_TRUE(has_line(text, "loopbank_requests_total{path=\"/v1/completions\",status=\"200\"} 2"));
  EXPECT_TRUE(has_line(text, "loopbank_requests_total{path=\"other\",status=\"404\"} 1"));
  EXPECT_TRUE(has_line(text, "loopbank_request_seconds_count 2")) << text;
}

TEST(ServerMetricsText, CountersOfTheSchedulerAreToldAsTheyStand) {
  ServerMetrics metrics;
  for (const int64_t tokens : {10, 25, 25}) {
    const auto text = metrics.text(state_of(tokens), {.connections = 4});
    EXPECT_TRUE(has_line(text, "loopbank_generated_tokens_total " + std::to_string(tokens)));
    EXPECT_TRUE(
        has_line(text, "loopbank_loops_total " + written(1.5 * static_cast<double>(tokens))));
    EXPECT_TRUE(has_line(text, "loopbank_requests_waiting 3"));
    EXPECT_TRUE(has_line(text, "loopbank_connections 4"));
  }
}

}  // namespace
}  // namespace loopbank

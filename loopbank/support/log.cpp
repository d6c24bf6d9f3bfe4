#include "loopbank/support/log.h"

#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>

#include <memory>

namespace loopbank {
namespace {

constexpr const char* kPattern = "%^%v%$";
constexpr const char* kErasingPattern = "\r\033[J%^%v%$";

spdlog::logger& logger() {
  static const auto instance = [] {
    auto made = std::make_shared<spdlog::logger>(
        "loopbank", std::make_shared<spdlog::sinks::stderr_color_sink_mt>());
    made->set_pattern(kPattern);
    made->flush_on(spdlog::level::trace);
    return made;
  }();
  return *instance;
}

}  // namespace

void set_log_level(LogLevel level) {
  switch (level) {
    case LogLevel::kQuiet:
      logger().set_level(spdlog::level::err);
      break;
    case LogLevel::kWarning:
      logger().set_level(spdlog::level::warn);
      break;
    case LogLevel::kInfo:
      logger().set_level(spdlog::level::info);
      break;
  }
}

void set_log_erases_below(bool erases) {
  logger().set_pattern(erases ? kErasingPattern : kPattern);
}

void log_info_text(std::string_view message) {
  logger().info("{}", message);
}

void log_warning_text(std::string_view message) {
  logger().warn("warning: {}", message);
}

}  // namespace loopbank

#include "loopbank/serve/request_log.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <nlohmann/json.hpp>

namespace loopbank {
namespace {

constexpr double kMilliseconds = 1e3;

/// As in JSON, without its quotes.
std::string escaped(std::string_view text) {
  const auto quoted =
      nlohmann::json(std::string(text))
          .dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
  return quoted.substr(1, quoted.size() - 2);
}

std::string as_text(const RequestRecord& record) {
  auto line = fmt::format("{} {} {} {:.0f} ms", escaped(record.method), escaped(record.path),
                          record.status, record.seconds * kMilliseconds);
  if (record.first_token_seconds) {
    line += fmt::format(", first token {:.0f} ms", *record.first_token_seconds * kMilliseconds);
  }
  if (record.usage) {
    line += fmt::format(", {} + {} tokens, {:.2f} loops", record.usage->prompt_tokens,
                        record.usage->completion_tokens, record.usage->loops_mean);
  }
  if (!record.ended.empty()) {
    line += ", " + escaped(record.ended);
  }
  line += fmt::format(", from {}, id {}", record.peer, record.id);
  for (const auto& prompt : record.prompts) {
    line += fmt::format(", prompt \"{}\"", escaped(prompt));
  }
  return line;
}

std::string as_json(const RequestRecord& record) {
  const auto now =
      std::chrono::time_point_cast<std::chrono::milliseconds>(std::chrono::system_clock::now());
  const auto part = now.time_since_epoch().count() % 1000;
  nlohmann::ordered_json json = {
      {"time", fmt::format("{:%Y-%m-%dT%H:%M:%S}.{:03}Z",
                           fmt::gmtime(std::chrono::system_clock::to_time_t(now)), part)},
      {"id", record.id},
      {"method", record.method},
      {"path", record.path},
      {"peer", record.peer},
      {"status", record.status},
      {"milliseconds", record.seconds * kMilliseconds}};
  if (record.first_token_seconds) {
    json["first_token_milliseconds"] = *record.first_token_seconds * kMilliseconds;
  }
  if (record.usage) {
    json["prompt_tokens"] = record.usage->prompt_tokens;
    json["completion_tokens"] = record.usage->completion_tokens;
    json["loops_mean"] = record.usage->loops_mean;
  }
  if (!record.ended.empty()) {
    json["ended"] = record.ended;
  }
  if (!record.prompts.empty()) {
    json["prompts"] = record.prompts;
  }
  return json.dump(-1, ' ', /*ensure_ascii=*/true, nlohmann::json::error_handler_t::replace);
}

}  // namespace

std::string format_record(const RequestRecord& record, RequestLogForm form) {
  return form == RequestLogForm::kJson ? as_json(record) : as_text(record);
}

}  // namespace loopbank

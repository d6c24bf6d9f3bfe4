#pragma once
/// One line a request on stderr: text for people, or JSON for programs.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/api/completion_answer.h"

namespace loopbank {

struct RequestRecord {
  std::string id{};
  std::string method{};
  std::string path{};
  std::string peer{};
  int status = 0;
  double seconds = 0.0;  ///< from its arrival to the end of its answer
  std::optional<double> first_token_seconds{};
  std::optional<CompletionUsage> usage{};  ///< of completions
  std::string ended{};                     ///< where it did not end by itself: why
  std::vector<std::string> prompts{};      ///< where they are logged
};

enum class RequestLogForm { kText, kJson };

/// `POST /v1/completions 200 312 ms, first token 40 ms, 12 + 16 tokens, 2.31 loops, id 0123abcd`, or
/// one JSON object with `time` and the record's fields. What clients wrote is escaped: no control
/// character reaches a terminal, and one request stays one line.
[[nodiscard]] std::string format_record(const RequestRecord& record, RequestLogForm form);

}  // namespace loopbank

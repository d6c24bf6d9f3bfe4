#include "loopbank/infer/request.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "loopbank/model/config.h"
#include "loopbank/support/error.h"

namespace loopbank {

std::vector<Field> InferenceSettings::fields() {
  return {Field("exit", &exit,
                "when a token leaves a layer: all, cdf:Q, router:P, change:E, accel:E or budget:N, "
                "each with \",hard\" behind it for the state in place of the mixture"),
          Field("kv", &kv, "keys and values of loops that a token did not run")
              .choices({"full", "recompute", "copy", "last", "first", "mixture"}),
          Field("kv_prefill", &kv_prefill,
                "whether kv holds for the prompt too; else its tokens see what full would show"),
          Field("max_loops", &max_loops, "loop budget; 0, the default: each layer's own N")
              .range(0.0, kMaxLoops)};
}

InferenceOptions InferenceSettings::options(std::string_view where, ExitUse use) const {
  auto choice = ExitChoice::parse(exit, fmt::format("{}: \"exit\"", where));
  if (choice.reads_head() && use != ExitUse::kAnalysis) {
    fail(ErrorCode::kConfig,
         "{}: \"exit\": expected a rule that does without the head, got \"{}\": entropy, kl and "
         "argmax read it after every loop and serve analysis alone, in bench exit and inside.",
         where, exit);
  }
  return {.exit = std::move(choice),
          .policy = &key_value_policy(kv, fmt::format("{}: \"kv\"", where)),
          .policy_in_prompt = kv_prefill,
          .max_loops = max_loops};
}

InferenceOptions InferenceSettings::scoring_options(std::string_view where, ExitUse use) const {
  if (!kv_prefill && kv != full_policy().name()) {
    fail(ErrorCode::kConfig,
         "{}: \"kv\" {} holds for decoded tokens alone, and here a text is scored: give kv_prefill "
         "too, "
         "or leave kv out.",
         where, kv);
  }
  return options(where, use);
}

Request Request::scoring(std::vector<TokenId> text, int64_t from) {
  Request request;
  request.prompt = std::move(text);
  request.max_tokens = 0;
  request.score_from = from;
  return request;
}

void Request::keep_logits(float* to, int64_t first) {
  on_logits = [to, first](int64_t place, std::span<const float> logits) {
    std::copy(logits.begin(), logits.end(), to + (place - first) * std::ssize(logits));
  };
}

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kStopString:
      return "stop_string";
    case StopReason::kCancelled:
      break;
  }
  return "cancelled";
}

}  // namespace loopbank

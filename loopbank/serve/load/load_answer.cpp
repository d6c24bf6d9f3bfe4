#include "loopbank/serve/load/load_answer.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

constexpr const char* kLoadWhere = "load";
constexpr int kStatusOk = 200;
constexpr size_t kMostShown = 300;

const nlohmann::json* member_of(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

void add_log_probabilities(const nlohmann::json& choice, std::vector<double>& to) {
  const auto* logprobs = member_of(choice, "logprobs");
  const auto* values = logprobs == nullptr ? nullptr : member_of(*logprobs, "token_logprobs");
  if (values != nullptr && values->is_array()) {
    for (const auto& value : *values) {
      to.push_back(value.is_number() ? value.get<double>() : 0.0);
    }
  }
}

}  // namespace

void LoadAnswerReader::begin(int status, bool is_stream, double retry_after) {
  answer_.status = status;
  answer_.retry_after = retry_after;
  is_stream_ = is_stream;
}

void LoadAnswerReader::take(std::string_view bytes, double now) {
  bytes_ += bytes;
  if (!is_stream_) {
    return;
  }
  size_t begin = 0;
  for (size_t end = 0; (end = bytes_.find("\n\n", begin)) != std::string::npos; begin = end + 2) {
    take_event(std::string_view(bytes_).substr(begin, end - begin), now);
  }
  bytes_.erase(0, begin);
}

void LoadAnswerReader::take_event(std::string_view event, double now) {
  constexpr std::string_view kData = "data: ";
  if (event.substr(0, kData.size()) != kData) {
    fail(ErrorCode::kData, "{}: expected an event that begins with \"data: \", got \"{}\".",
         kLoadWhere, event.substr(0, 80));
  }
  event.remove_prefix(kData.size());
  if (is_done_) {
    fail(ErrorCode::kData, "{}: expected nothing behind [DONE], got \"{}\".", kLoadWhere,
         event.substr(0, 80));
  }
  if (event == "[DONE]") {
    is_done_ = true;
    return;
  }
  take_object(event, now);
}

void LoadAnswerReader::take_object(std::string_view text, double now) {
  const auto object = parse_json(text, kLoadWhere);
  if (!object.is_object() || object.contains("error")) {
    fail(ErrorCode::kData, "{}: expected a completion, got {}.", kLoadWhere,
         text.substr(0, kMostShown));
  }
  if (const auto* usage = member_of(object, "usage")) {
    answer_.completion_tokens = usage->value("completion_tokens", int64_t{0});
    answer_.loops_mean = usage->value("loops_mean", 0.0);
  }
  const auto* choices = member_of(object, "choices");
  if (choices == nullptr || !choices->is_array()) {
    fail(ErrorCode::kData, "{}: expected choices, got {}.", kLoadWhere, text.substr(0, kMostShown));
  }
  if (choices->empty()) {
    return;  // the usage alone
  }
  const auto& choice = choices->front();
  const auto piece = choice.value("text", std::string());
  answer_.text += piece;
  add_log_probabilities(choice, answer_.log_probabilities);
  const auto* reason = member_of(choice, "finish_reason");
  if (reason != nullptr) {
    answer_.finish_reason = reason->get<std::string>();
  }
  // The last event of a choice brings at most the text that was held back.
  if (is_stream_ && reason == nullptr) {
    answer_.token_times.push_back(now);
  }
}

void LoadAnswerReader::finish() {
  if (answer_.status != kStatusOk) {
    return;
  }
  if (!is_stream_) {
    take_object(bytes_, 0.0);
  } else if (!is_done_) {
    fail(ErrorCode::kData, "{}: expected a stream that ends with [DONE], got its end before.",
         kLoadWhere);
  }
  if (answer_.finish_reason.empty()) {
    fail(ErrorCode::kData, "{}: expected a finish_reason, got none.", kLoadWhere);
  }
}

LoadAnswer LoadAnswerReader::answer(LoadEnd end, double now, std::string failure) {
  answer_.end = end;
  answer_.ended = now;
  const bool is_refusal = answer_.status != kStatusOk && failure.empty();
  answer_.failure = is_refusal ? bytes_.substr(0, kMostShown) : std::move(failure);
  if (answer_.completion_tokens == 0) {
    answer_.completion_tokens = tokens();
  }
  return std::move(answer_);
}

}  // namespace loopbank

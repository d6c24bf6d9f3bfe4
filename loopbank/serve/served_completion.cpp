#include "loopbank/serve/served_completion.h"

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <optional>
#include <utility>

#include "loopbank/serve/api/completion_answer.h"
#include "loopbank/serve/http/api_error.h"

namespace loopbank {
namespace {

constexpr std::string_view kChatPath = "/v1/chat/completions";

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The prompts as they were asked, for the log.
std::vector<std::string> prompts_for_log(const CompletionBody& body, const Tokenizer& tokenizer) {
  std::vector<std::string> texts;
  for (const auto& prompt : body.prompts) {
    const auto* text = std::get_if<std::string>(&prompt);
    texts.push_back(text != nullptr ? *text : tokenizer.decode(std::get<1>(prompt)));
  }
  return texts;
}

/// Lives from the queue to the end of the answer. Everything but the constructor is called on the
/// engine's thread.
class RunningCompletion {
 public:
  RunningCompletion(const CompletionService& service, const HttpRequest& request,
                    std::shared_ptr<HttpAnswer> http, const CompletionBody& body, Stopwatch since)
      : service_(service),
        http_(std::move(http)),
        since_(since),
        streams_(body.stream),
        answer_(body, service.served, (body.chat ? "chatcmpl-" : "cmpl-") + request.id,
                unix_seconds()) {
    record_.id = request.id;
    record_.method = request.method;
    record_.path = request.path;
    record_.peer = request.peer;
    if (service.logs_prompts) {
      record_.prompts = prompts_for_log(body, service.served.tokenizer);
    }
  }

  void take_token(size_t prompt, const Generation& so_far, std::string_view piece) {
    observe(prompt, so_far);
    write(answer_.on_token(prompt, so_far, piece));
  }

  void finish_one(size_t prompt, Generation generation) {
    write(answer_.on_finished(prompt, std::move(generation)));
  }

  void end(WorkOutcome outcome, const std::optional<Error>& error) {
    switch (outcome) {
      case WorkOutcome::kDone:
        end_whole();
        break;
      case WorkOutcome::kCancelled:
        log(kClientClosed, "the client has gone");
        break;
      case WorkOutcome::kFailed:
        fail_with(error ? api_error_of(*error) : ApiError(500, "The engine failed."));
        break;
      case WorkOutcome::kShutDown:
        fail_with(ApiError(503, "The server shuts down.", "", "shutting_down"));
        break;
    }
  }

 private:
  static constexpr int kClientClosed = 499;  // as nginx logs it; nobody is there to read it

  void observe(size_t prompt, const Generation& so_far) {
    if (so_far.tokens.empty()) {
      return;
    }
    const double now = since_.seconds();
    if (!record_.first_token_seconds) {
      record_.first_token_seconds = now;
      service_.metrics.observe_first_token(now);
    }
    const auto [last, is_first] = last_tokens_.try_emplace({prompt, so_far.completion}, now);
    if (!is_first) {
      service_.metrics.observe_gap(now - last->second);
      last->second = now;
    }
  }

  void write(std::string events) {
    if (!streams_ || events.empty()) {
      return;
    }
    if (std::exchange(has_begun_, true)) {
      http_->write(std::move(events));
    } else {
      http_->begin_stream({.content_type = "text/event-stream",
                           .body = std::move(events),
                           .headers = service_.headers});
    }
  }

  void end_whole() {
    if (streams_) {
      write(answer_.end_of_stream());
      http_->end();
    } else {
      http_->send({.body = answer_.whole(), .headers = service_.headers});
    }
    log(200, "");
  }

  /// A stream that has begun has its status: what went wrong then is its last event.
  void fail_with(const ApiError& error) {
    if (has_begun_) {
      http_->write("data: " + error_body(error) + "\n\n");
      http_->end();
    } else {
      auto response = error_response(error);
      response.headers.insert(response.headers.end(), service_.headers.begin(),
                              service_.headers.end());
      http_->send(std::move(response));
    }
    log(has_begun_ ? 200 : error.status(), error.what());
  }

  void log(int status, std::string ended) {
    record_.status = status;
    record_.seconds = since_.seconds();
    record_.usage = answer_.usage();
    record_.ended = std::move(ended);
    service_.metrics.count_request(record_.path, status, record_.seconds);
    service_.log(std::move(record_));
  }

  const CompletionService& service_;
  std::shared_ptr<HttpAnswer> http_;
  Stopwatch since_;
  bool streams_;
  bool has_begun_ = false;
  CompletionAnswer answer_;
  RequestRecord record_;
  std::map<std::pair<size_t, int64_t>, double> last_tokens_;  // when, by prompt and completion
};

Work work_of(std::shared_ptr<RunningCompletion> running, const CompletionBody& body,
             std::vector<Request> requests, std::string client) {
  return {
      .client = std::move(client),
      .requests = std::move(requests),
      .stop = body.options.stop,
      .on_token = [running](size_t prompt, const Generation& so_far,
                            std::string_view piece) { running->take_token(prompt, so_far, piece); },
      .on_finished =
          [running](size_t prompt, Generation generation) {
            running->finish_one(prompt, std::move(generation));
          },
      .on_end = [running](WorkOutcome outcome,
                          const std::optional<Error>& error) { running->end(outcome, error); }};
}

ApiError api_error_of_busy(const SchedulerBusy& busy) {
  ApiError error(busy.is_shutting_down ? 503 : 429, busy.what(), "",
                 busy.is_shutting_down ? "shutting_down" : "queue_full");
  error.retry_after = busy.retry_after;
  return error;
}

}  // namespace

void serve_completion(const CompletionService& service, HttpRequest request,
                      std::shared_ptr<HttpAnswer> answer, std::string client, Stopwatch since) {
  const auto& served = service.served;
  const auto body = request.path == kChatPath ? parse_chat_body(request.body, served)
                                              : parse_completion_body(request.body, served);
  request.body = {};
  auto requests = requests_of(body, served);
  if (!body.user.empty()) {
    client += " " + body.user;
  }
  auto running = std::make_shared<RunningCompletion>(service, request, answer, body, since);
  try {
    const auto ticket = service.scheduler.submit(
        work_of(std::move(running), body, std::move(requests), std::move(client)));
    answer->on_gone([&service, ticket] { service.scheduler.cancel(ticket); });
  } catch (const SchedulerBusy& busy) {
    throw api_error_of_busy(busy);
  } catch (const Error& error) {
    throw ApiError(422, error.what());  // well-formed, and more than the engine will ever hold
  }
}

}  // namespace loopbank

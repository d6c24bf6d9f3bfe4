#include "loopbank/serve/http/http_answer_state.h"

#include <fmt/format.h>

#include <boost/asio/post.hpp>
#include <utility>

#include "loopbank/serve/http/api_error.h"
#include "loopbank/serve/http/http_connection.h"

namespace loopbank {
namespace {

class HeldHttpAnswer final : public HttpAnswer {
 public:
  explicit HeldHttpAnswer(std::shared_ptr<HttpAnswerState> state) : state_(std::move(state)) {}
  HeldHttpAnswer(const HeldHttpAnswer&) = delete;
  HeldHttpAnswer& operator=(const HeldHttpAnswer&) = delete;
  ~HeldHttpAnswer() override { state_->abandon(); }

  void send(HttpResponse response) override { state_->send(response); }
  void begin_stream(HttpResponse head) override { state_->begin_stream(head); }
  void write(std::string bytes) override { state_->write(bytes); }
  void end() override { state_->end(); }
  void on_gone(std::function<void()> gone) override { state_->on_gone(std::move(gone)); }

 private:
  std::shared_ptr<HttpAnswerState> state_;
};

}  // namespace

HttpAnswerState::HttpAnswerState(boost::asio::io_context& io, HttpConnection* connection,
                                 HttpAnswerForm form, bool is_head)
    : io_(io), connection_(connection), is_head_(is_head), form_(std::move(form)) {}

void HttpAnswerState::send(const HttpResponse& response) {
  const std::lock_guard lock(mutex_);
  if (has_begun_) {
    return;
  }
  has_begun_ = true;
  has_ended_ = true;
  if (connection_ != nullptr) {
    out_ = http_head(response, form_, HttpFraming::kLength);
    if (!is_head_) {
      out_.append(response.body);
    }
    post_flush();
  }
}

void HttpAnswerState::begin_stream(const HttpResponse& head) {
  const std::lock_guard lock(mutex_);
  if (has_begun_) {
    return;
  }
  has_begun_ = true;
  is_stream_ = true;
  if (form_.is_http_10) {
    form_.keep_alive = false;  // the end of the connection is the end of the body
  }
  if (connection_ != nullptr) {
    out_ =
        http_head(head, form_, form_.is_http_10 ? HttpFraming::kUntilClose : HttpFraming::kChunked);
    add(head.body);
    post_flush();
  }
}

void HttpAnswerState::write(std::string_view bytes) {
  const std::lock_guard lock(mutex_);
  if (is_stream_ && !has_ended_ && connection_ != nullptr) {
    add(bytes);
    post_flush();
  }
}

void HttpAnswerState::end() {
  const std::lock_guard lock(mutex_);
  if (!is_stream_ || has_ended_) {
    return;
  }
  has_ended_ = true;
  if (connection_ != nullptr) {
    if (!form_.is_http_10 && !is_head_) {
      out_.append("0\r\n\r\n");
    }
    post_flush();
  }
}

void HttpAnswerState::on_gone(std::function<void()> gone) {
  {
    const std::lock_guard lock(mutex_);
    if (!has_gone_) {
      if (connection_ != nullptr) {  // else nothing would ever let go of it
        gone_.swap(gone);
      }
      return;
    }
  }
  gone();
}

void HttpAnswerState::abandon() {
  std::unique_lock lock(mutex_);
  if (has_ended_ || connection_ == nullptr) {
    return;
  }
  if (has_begun_) {
    has_ended_ = true;
    is_broken_ = true;
    post_flush();
    return;
  }
  lock.unlock();
  send(error_response(ApiError(
      500, "http: expected an answer, got none from the server's own code.", "", "no_answer")));
}

HttpAnswerState::Flushed HttpAnswerState::flush() {
  const std::lock_guard lock(mutex_);
  is_posted_ = false;
  return {.bytes = std::exchange(out_, {}),
          .is_stream = is_stream_,
          .is_whole = has_ended_,
          .is_broken = is_broken_,
          .keep_alive = form_.keep_alive};
}

void HttpAnswerState::close_behind() {
  const std::lock_guard lock(mutex_);
  form_.keep_alive = false;
}

void HttpAnswerState::tell_gone() {
  std::function<void()> gone;
  {
    const std::lock_guard lock(mutex_);
    has_gone_ = true;
    gone = std::exchange(gone_, nullptr);
  }
  if (gone) {
    gone();
  }
}

void HttpAnswerState::detach() {
  std::function<void()>
      gone;  // may hold the answer, whose end takes the mutex: destroyed behind it
  const std::lock_guard lock(mutex_);
  connection_ = nullptr;
  out_ = {};
  gone.swap(gone_);
}

// An empty chunk would end the body.
void HttpAnswerState::add(std::string_view bytes) {
  if (bytes.empty() || is_head_) {
    return;
  }
  if (form_.is_http_10) {
    out_.append(bytes);
    return;
  }
  fmt::format_to(std::back_inserter(out_), "{:x}\r\n", bytes.size());
  out_.append(bytes).append("\r\n");
}

// Under mutex_, so that the connection, and with it io_, is there.
void HttpAnswerState::post_flush() {
  if (std::exchange(is_posted_, true)) {
    return;
  }
  boost::asio::post(io_, [state = shared_from_this()] {
    if (auto* const connection = state->connection()) {
      connection->flush_answer();
    }
  });
}

std::shared_ptr<HttpAnswer> answer_of(std::shared_ptr<HttpAnswerState> state) {
  return std::make_shared<HeldHttpAnswer>(std::move(state));
}

}  // namespace loopbank

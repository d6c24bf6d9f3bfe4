#include "loopbank/serve/http/http_connection.h"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>
#include <exception>
#include <utility>

#include "loopbank/serve/http/http_answer_state.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using AsioError = boost::system::error_code;

constexpr size_t kMostUnsentBytes = size_t{8} << 20;
constexpr size_t kMostPipelinedBytes = size_t{64} << 10;

bool would_block(const AsioError& error) {
  return error == asio::error::would_block || error == asio::error::try_again ||
         error == asio::error::interrupted;
}

ApiError busy(const std::string& message, const char* code) {
  ApiError error(503, message, "", code);
  error.retry_after = 1;
  return error;
}

std::string address_of(const tcp::socket& socket) {
  AsioError error;
  const auto address = socket.remote_endpoint(error).address();
  if (error) {
    return "";
  }
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
  }
  return address.to_string();
}

}  // namespace

void HttpShared::count_unanswered(int64_t change) {
  const std::lock_guard lock(mutex);
  num_unanswered += change;
  answered.notify_all();
}

HttpConnection::HttpConnection(HttpShared& shared, tcp::socket socket)
    : shared_(shared), socket_(std::move(socket)) {}

HttpConnection::~HttpConnection() = default;

void HttpConnection::start() {
  self_ = shared_from_this();
  ++shared_.num_connections;
  shared_.all.push_back(*this);
  AsioError ignored;
  socket_.non_blocking(true, ignored);
  socket_.set_option(tcp::no_delay(true), ignored);
  wait_for(HttpWait::kFirstByte);
  watch();
}

void HttpConnection::refuse(const ApiError& error) {
  const auto held = shared_from_this();
  HttpAnswerForm form{.keep_alive = false};
  bool is_head = false;
  if (reader_ != nullptr) {
    form.id = reader_->request().id;
    form.is_http_10 = reader_->is_http_10();
    is_head = reader_->request().method == "HEAD";
    reader_.reset();
  }
  if (form.id.empty()) {
    form.id = new_request_id();
  }
  expect_answer(std::move(form), is_head);
  answer_->send(error_response(error));
  watch();
}

void HttpConnection::stop_taking() {
  const auto held = shared_from_this();
  AsioError ignored;
  switch (waits_for_) {
    case HttpWait::kFirstByte:
      if (socket_.available(ignored) == 0) {
        close();
        return;
      }
      [[fallthrough]];
    case HttpWait::kHead:
    case HttpWait::kBody:
      refuse(
          busy("http: expected requests before the server was told to stop, got one behind it. "
               "Try again in a moment.",
               "shutting_down"));
      return;
    case HttpWait::kAnswer:
      answer_->close_behind();
      return;
    case HttpWait::kClose:
    case HttpWait::kClosed:
      return;
  }
}

void HttpConnection::time_out() {
  const auto held = shared_from_this();
  if (waits_for_ == HttpWait::kHead || waits_for_ == HttpWait::kBody) {
    const bool is_head = waits_for_ == HttpWait::kHead;
    refuse(ApiError(
        408,
        fmt::format("http: expected {} within {:g} s, got a part of it.",
                    is_head ? "a request's head" : "a request's body",
                    is_head ? shared_.options.header_seconds : shared_.options.body_seconds),
        "", "request_timeout"));
    return;
  }
  close();
}

void HttpConnection::close() {
  if (waits_for_ == HttpWait::kClosed) {
    return;
  }
  const auto last = std::move(self_);
  wait_for(HttpWait::kClosed);
  all.unlink();
  writing.unlink();
  AsioError ignored;
  socket_.close(ignored);
  reader_.reset();
  count_body(0);
  --shared_.num_connections;
  if (const auto answer = std::exchange(answer_, nullptr)) {
    answer->tell_gone();
    answer->detach();
    shared_.count_unanswered(-1);
  }
}

// ---- reading

/// Waits until there is something to read. In an answer too: so it is seen at once that a client has
/// gone, unless it has sent more behind its request than is kept.
void HttpConnection::watch() {
  if (is_watched_ || has_input_ended_ || waits_for_ == HttpWait::kClosed ||
      (waits_for_ == HttpWait::kAnswer && rest_.size() >= kMostPipelinedBytes)) {
    return;
  }
  is_watched_ = true;
  socket_.async_wait(tcp::socket::wait_read, [self = shared_from_this()](const AsioError& error) {
    self->is_watched_ = false;
    if (!error && self->waits_for_ != HttpWait::kClosed) {
      self->on_readable();
    }
  });
}

void HttpConnection::on_readable() {
  AsioError error;
  const size_t size = socket_.read_some(asio::buffer(shared_.scratch), error);
  if (error == asio::error::eof) {
    on_end_of_input();
    return;
  }
  if (error && !would_block(error)) {
    close();
    return;
  }
  take({shared_.scratch.data(), size});
  watch();
}

/// The client has closed, or says that it sends no more. Which of both is seen only once something is
/// sent, so an answer that is there is still written; who works on one hears that the client has gone.
void HttpConnection::on_end_of_input() {
  has_input_ended_ = true;
  if (waits_for_ == HttpWait::kAnswer) {
    answer_->tell_gone();
  } else {
    close();
  }
}

void HttpConnection::take(std::string_view bytes) {
  if (bytes.empty() || waits_for_ == HttpWait::kClose) {
    return;
  }
  if (waits_for_ == HttpWait::kAnswer) {
    rest_.append(bytes);
  } else {
    read_request(bytes);
  }
}

void HttpConnection::read_request(std::string_view bytes) {
  if (reader_ == nullptr) {
    reader_ = std::make_unique<HttpRequestReader>(shared_.options.largest_body);
    has_said_continue_ = false;
  }
  try {
    reader_->put(bytes);
    count_body(reader_->request().body.size());
    if (shared_.body_bytes > shared_.options.most_body_bytes) {
      throw busy(
          fmt::format(
              "http: expected bodies of {} bytes at most in all requests together, got more. "
              "Try again in a moment.",
              shared_.options.most_body_bytes),
          "bodies_too_large");
    }
  } catch (const ApiError& error) {
    refuse(error);
    return;
  }
  const auto stage = reader_->stage();
  if (stage == HttpRequestReader::Stage::kWhole) {
    hand_over();
    return;
  }
  const auto next = stage == HttpRequestReader::Stage::kHead ? HttpWait::kHead : HttpWait::kBody;
  if (waits_for_ != next) {
    wait_for(next);
  }
  if (reader_->expects_continue() && !std::exchange(has_said_continue_, true)) {
    send("HTTP/1.1 100 Continue\r\n\r\n");
  }
}

void HttpConnection::hand_over() {
  HttpAnswerForm form{.is_http_10 = reader_->is_http_10(), .keep_alive = reader_->keep_alive()};
  HttpRequest request = reader_->take_request();
  rest_ = reader_->take_rest();
  reader_.reset();
  request.peer = address_of(socket_);
  form.id = request.id;
  expect_answer(std::move(form), request.method == "HEAD");
  const auto state = answer_;
  if (has_input_ended_) {
    state->tell_gone();
  }
  const auto answer = answer_of(state);  // outlives what is thrown
  try {
    shared_.handler(std::move(request), answer);
  } catch (const ApiError& error) {
    state->send(error_response(error));
  } catch (const Error& error) {
    state->send(error_response(api_error_of(error)));
  } catch (const std::exception& error) {
    state->send(error_response(ApiError(500, error.what(), "", "internal_error")));
  }
}

/// @param is_head  whether the request is of the method HEAD
void HttpConnection::expect_answer(HttpAnswerForm form, bool is_head) {
  wait_for(HttpWait::kAnswer);
  is_answer_whole_ = false;
  answer_ = std::make_shared<HttpAnswerState>(shared_.io, this, std::move(form), is_head);
  shared_.count_unanswered(1);
}

// ---- writing

void HttpConnection::flush_answer() {
  const auto held = shared_from_this();
  auto flushed = answer_->flush();
  is_answer_whole_ = flushed.is_whole;
  keeps_alive_ = flushed.keep_alive;
  if (flushed.is_broken) {
    close();
    return;
  }
  send(std::move(flushed.bytes));
  if (flushed.is_stream && out_.size() - num_sent_ > kMostUnsentBytes) {
    close();
  }
}

void HttpConnection::send(std::string bytes) {
  if (out_.empty()) {
    out_ = std::move(bytes);
  } else {
    out_.erase(0, std::exchange(num_sent_, 0)).append(bytes);
  }
  if (!is_writing_) {
    write_on();
  }
}

void HttpConnection::write_on() {
  AsioError error;
  bool is_progress = false;
  while (num_sent_ < out_.size() && !error) {
    const size_t sent =
        socket_.write_some(asio::buffer(out_.data() + num_sent_, out_.size() - num_sent_), error);
    num_sent_ += sent;
    is_progress = is_progress || sent > 0;
  }
  if (error && !would_block(error)) {
    close();
    return;
  }
  if (num_sent_ == out_.size()) {
    out_ = {};
    num_sent_ = 0;
    writing.unlink();
    if (answer_ != nullptr && is_answer_whole_) {
      finish_answer();
    }
    return;
  }
  if (is_progress || !writing.is_linked()) {
    writing.unlink();
    writing_since = std::chrono::steady_clock::now();
    shared_.writing.push_back(*this);
  }
  is_writing_ = true;
  socket_.async_wait(tcp::socket::wait_write, [self = shared_from_this()](const AsioError& failed) {
    self->is_writing_ = false;
    if (!failed && self->waits_for_ != HttpWait::kClosed) {
      self->write_on();
    }
  });
}

void HttpConnection::finish_answer() {
  answer_->detach();
  answer_.reset();
  count_body(0);
  shared_.count_unanswered(-1);
  if (!keeps_alive_ || !shared_.takes_requests) {
    close_politely();
    return;
  }
  wait_for(HttpWait::kFirstByte);
  if (const auto rest = std::exchange(rest_, {}); !rest.empty()) {
    read_request(rest);
  }
  if (has_input_ended_ && answer_ == nullptr) {
    close();
  }
  watch();
}

/// Closed with bytes unread, the client's system would drop the answer before the client reads it.
void HttpConnection::close_politely() {
  AsioError error;
  socket_.shutdown(tcp::socket::shutdown_send, error);
  if (error || has_input_ended_) {
    close();
    return;
  }
  rest_ = {};
  wait_for(HttpWait::kClose);
  watch();
}

// ---- what is counted

void HttpConnection::wait_for(HttpWait what) {
  waits_for_ = what;
  reading.unlink();
  reading_since = std::chrono::steady_clock::now();
  switch (what) {
    case HttpWait::kFirstByte:
      shared_.idle.push_back(*this);
      return;
    case HttpWait::kHead:
      shared_.in_head.push_back(*this);
      return;
    case HttpWait::kBody:
      shared_.in_body.push_back(*this);
      return;
    case HttpWait::kClose:
      shared_.closing.push_back(*this);
      return;
    case HttpWait::kAnswer:
    case HttpWait::kClosed:
      return;
  }
}

void HttpConnection::count_body(size_t bytes) {
  shared_.body_bytes += bytes - std::exchange(body_bytes_, bytes);
}

}  // namespace loopbank

#include "loopbank/serve/load/load_client.h"

#include <fmt/format.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <charconv>
#include <chrono>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using boost::asio::ip::tcp;
using LoadError = boost::system::error_code;

constexpr auto kTickTime = std::chrono::milliseconds(100);
constexpr size_t kReadBytes = 16384;
constexpr uint64_t kLargestAnswer = uint64_t{1} << 32;

std::chrono::nanoseconds load_time(double seconds) {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
      std::chrono::duration<double>(seconds));
}

double number_of(std::string_view text) {
  double number = 0.0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

/// What all lanes of a load share.
struct LoadLanes {
  asio::io_context io{1};
  tcp::resolver::results_type addresses{};
  const LoadTarget& target;
  const LoadHandlers& handlers;
  Stopwatch watch{};
  int64_t running = 0;
  bool is_over = false;

  void stop() {
    is_over = true;
    io.stop();
  }
};

/// One connection, and the requests that go over it one by one.
class LoadLane : public std::enable_shared_from_this<LoadLane> {
 public:
  LoadLane(LoadLanes& lanes, int64_t number)
      : lanes_(lanes), number_(number), timer_(lanes.io), stream_(lanes.io) {}

  void next() {
    if (lanes_.is_over) {
      return;
    }
    auto request = lanes_.handlers.next(number_, now());
    if (!request) {
      close();
      if (--lanes_.running == 0) {
        lanes_.stop();
      }
      return;
    }
    request_ = std::move(*request);
    if (request_.not_before <= now()) {
      ask(/*again=*/false);
      return;
    }
    timer_.expires_after(load_time(request_.not_before - now()));
    timer_.async_wait([self = shared_from_this()](const LoadError& error) {
      if (!error && !self->lanes_.is_over) {
        self->ask(/*again=*/false);
      }
    });
  }

  /// Ends what runs.
  void cut_off() {
    timer_.cancel();
    if (reader_) {
      end(LoadEnd::kCutOff);
    }
    close();
  }

 private:
  [[nodiscard]] double now() const { return lanes_.watch.seconds(); }

  void close() {
    LoadError ignored;
    stream_.socket().close(ignored);
    is_open_ = false;
  }

  /// A handler that does nothing once the request that it belongs to has ended.
  template <typename Step>
  auto then(Step step) {
    return [self = shared_from_this(), step, of = reader_](const LoadError& error, auto&&...) {
      if (self->reader_ == of) {
        step(*self, error);
      }
    };
  }

  /// @param again  the connection was closed by the server while nothing was asked: a new one
  void ask(bool again) {
    if (!again) {
      reader_ = std::make_shared<LoadAnswerReader>(now());
    }
    has_reused_ = is_open_;
    buffer_.clear();
    if (is_open_) {
      write();
      return;
    }
    stream_.expires_after(load_time(lanes_.target.silence_seconds));
    stream_.async_connect(lanes_.addresses, then([](LoadLane& lane, const LoadError& error) {
                            if (error) {
                              lane.break_off(error, "a connection");
                              return;
                            }
                            LoadError ignored;
                            lane.stream_.socket().set_option(tcp::no_delay(true), ignored);
                            lane.is_open_ = true;
                            lane.write();
                          }));
  }

  void write() {
    head_ = {http::verb::post, "/v1/completions", 11, request_.body};
    head_.set(http::field::host, lanes_.target.host);
    head_.set(http::field::content_type, "application/json");
    if (!lanes_.target.api_key.empty()) {
      head_.set(http::field::authorization, "Bearer " + lanes_.target.api_key);
    }
    head_.prepare_payload();
    stream_.expires_after(load_time(lanes_.target.silence_seconds));
    http::async_write(stream_, head_, then([](LoadLane& lane, const LoadError& error) {
                        // A server may answer and close before it has read all: what it says counts.
                        if (error && lane.has_reused_) {
                          lane.ask_again();
                        } else {
                          lane.read_head();
                        }
                      }));
  }

  void ask_again() {
    close();
    ask(/*again=*/true);
  }

  void read_head() {
    parser_.emplace();
    parser_->body_limit(kLargestAnswer);
    parser_->eager(true);
    stream_.expires_after(load_time(lanes_.target.silence_seconds));
    http::async_read_header(stream_, buffer_, *parser_,
                            then([](LoadLane& lane, const LoadError& error) {
                              if (error && lane.has_reused_ && lane.buffer_.size() == 0 &&
                                  error != beast::error::timeout) {
                                lane.ask_again();
                              } else if (error) {
                                lane.break_off(error, "the head of an answer");
                              } else {
                                lane.begin_answer();
                              }
                            }));
  }

  void begin_answer() {
    const auto& head = parser_->get();
    const auto type = head[http::field::content_type];
    const auto retry = head[http::field::retry_after];
    reader_->begin(static_cast<int>(head.result_int()), type.find("text/event-stream") == 0,
                   number_of({retry.data(), retry.size()}));
    take_body();
  }

  void take_body() {
    auto& body = parser_->get().body();
    try {
      reader_->take(body, now());
      body.clear();
      if (parser_->is_done()) {
        const bool stays = parser_->keep_alive();
        reader_->finish();
        if (!stays) {
          close();
        }
        end(LoadEnd::kWhole);
        next();
        return;
      }
    } catch (const Error& error) {
      close();
      end(LoadEnd::kBroken, error.what());
      next();
      return;
    }
    if (request_.cancel_after > 0 && reader_->tokens() >= request_.cancel_after) {
      close();
      end(LoadEnd::kCancelled);
      next();
      return;
    }
    stream_.expires_after(load_time(lanes_.target.silence_seconds));
    http::async_read_some(stream_, buffer_, *parser_,
                          then([](LoadLane& lane, const LoadError& error) {
                            if (error && !lane.parser_->is_done()) {
                              lane.break_off(error, "the rest of an answer");
                            } else {
                              lane.take_body();
                            }
                          }));
  }

  void break_off(const LoadError& error, const char* expected) {
    close();
    end(LoadEnd::kBroken, error == beast::error::timeout
                              ? fmt::format("expected {}, got nothing for {} s", expected,
                                            lanes_.target.silence_seconds)
                              : fmt::format("expected {}, got: {}", expected, error.message()));
    next();
  }

  void end(LoadEnd how, std::string failure = "") {
    const auto reader = std::exchange(reader_, nullptr);
    lanes_.handlers.take(number_, reader->answer(how, now(), std::move(failure)));
  }

  LoadLanes& lanes_;
  int64_t number_;
  asio::steady_timer timer_;
  beast::tcp_stream stream_;
  bool is_open_ = false;
  bool has_reused_ = false;  // the connection was there before the request
  LoadRequest request_;
  http::request<http::string_body> head_;
  beast::flat_static_buffer<kReadBytes> buffer_;
  std::optional<http::response_parser<http::string_body>> parser_;
  std::shared_ptr<LoadAnswerReader> reader_;  // of the request that runs
};

void tick_load(LoadLanes& lanes, asio::steady_timer& timer, double seconds) {
  if (lanes.watch.seconds() >= seconds ||
      (lanes.handlers.tick && !lanes.handlers.tick(lanes.watch.seconds()))) {
    lanes.stop();
    return;
  }
  timer.expires_after(kTickTime);
  timer.async_wait([&lanes, &timer, seconds](const LoadError& error) {
    if (!error) {
      tick_load(lanes, timer, seconds);
    }
  });
}

}  // namespace

LoadTarget LoadTarget::of_url(const std::string& where, const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  LoadTarget target;
  auto rest = std::string_view(url);
  const bool has_scheme = rest.substr(0, kScheme.size()) == kScheme;
  rest.remove_prefix(has_scheme ? kScheme.size() : 0);
  while (!rest.empty() && rest.back() == '/') {
    rest.remove_suffix(1);
  }
  const auto colon = rest.rfind(':');
  const auto port = colon == std::string_view::npos ? std::string_view() : rest.substr(colon + 1);
  const auto parsed = std::from_chars(port.data(), port.data() + port.size(), target.port);
  if (!has_scheme || colon == 0 || port.empty() || parsed.ptr != port.data() + port.size() ||
      target.port < 1 || target.port > 65535) {
    fail(ErrorCode::kConfig, "{}: expected http://HOST:PORT, got \"{}\".", where, url);
  }
  target.host = rest.substr(0, colon);
  return target;
}

void run_load_lanes(const LoadTarget& target, int64_t lanes, double seconds,
                    const LoadHandlers& handlers) {
  LoadLanes shared{.target = target, .handlers = handlers, .running = lanes};
  LoadError error;
  shared.addresses =
      tcp::resolver(shared.io).resolve(target.host, std::to_string(target.port), error);
  if (error) {
    fail(ErrorCode::kConfig, "load: expected an address of \"{}\", got: {}.", target.host,
         error.message());
  }
  std::vector<std::shared_ptr<LoadLane>> all;
  for (int64_t lane = 0; lane < lanes; ++lane) {
    all.push_back(std::make_shared<LoadLane>(shared, lane));
    asio::post(shared.io, [lane = all.back()] { lane->next(); });
  }
  asio::steady_timer timer(shared.io);
  tick_load(shared, timer, seconds);
  shared.io.run();
  for (const auto& lane : all) {
    lane->cut_off();
  }
}

}  // namespace loopbank

#pragma once
/// One connection of the HTTP server, and what all of them share. Everything here runs on the server's
/// thread, but for the answers, which others give from any.

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/intrusive/list.hpp>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/http/http_message.h"
#include "loopbank/serve/http/http_server.h"

namespace loopbank {

class HttpConnection;
class HttpAnswerState;

using HttpListHook =
    boost::intrusive::list_member_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;

/// What a connection waits for on its reading side, each with a limit of time.
enum class HttpWait { kFirstByte, kHead, kBody, kAnswer, kClose, kClosed };

/// A connection's places in the lists below. Each list holds those that wait for the same thing, the
/// longest first, since all of them have the same time: limits cost no timer a connection, and the
/// one that has been idle longest is found at once.
struct HttpListed {
  HttpListHook all{};
  HttpListHook reading{};
  HttpListHook writing{};
  std::chrono::steady_clock::time_point reading_since{};
  std::chrono::steady_clock::time_point writing_since{};
};

template <HttpListHook HttpListed::*Hook>
using HttpList =
    boost::intrusive::list<HttpListed,
                           boost::intrusive::member_hook<HttpListed, HttpListHook, Hook>,
                           boost::intrusive::constant_time_size<false>>;

struct HttpShared {
  HttpShared(const HttpOptions& options_, HttpHandler handler_)
      : options(options_), handler(std::move(handler_)) {}

  HttpOptions options;
  HttpHandler handler;
  boost::asio::io_context io{1};
  std::vector<char> scratch = std::vector<char>(size_t{64} << 10);  ///< every read lands here first

  HttpList<&HttpListed::all> all{};
  HttpList<&HttpListed::reading> idle{};
  HttpList<&HttpListed::reading> in_head{};
  HttpList<&HttpListed::reading> in_body{};
  HttpList<&HttpListed::reading> closing{};
  HttpList<&HttpListed::writing> writing{};
  size_t body_bytes = 0;  ///< of requests that are read or answered
  bool takes_requests = true;

  std::atomic<int64_t> num_connections{0};
  std::atomic<int64_t> num_refused{0};

  std::mutex mutex{};
  std::condition_variable answered{};
  int64_t num_unanswered = 0;  ///< under `mutex`

  void count_unanswered(int64_t change);
};

class HttpConnection : public HttpListed, public std::enable_shared_from_this<HttpConnection> {
 public:
  HttpConnection(HttpShared& shared, boost::asio::ip::tcp::socket socket);
  ~HttpConnection();

  /// Waits for a request. The connection lives until it is closed.
  void start();
  /// Answers with an error whatever is asked, and closes.
  void refuse(const ApiError& error);
  /// Takes no further request: closes, at once or behind the answer that the client waits for.
  void stop_taking();
  /// What a limit of time brings.
  void time_out();
  void close();
  /// Sends what the answer has to send.
  void flush_answer();

 private:
  void watch();
  void on_readable();
  void on_end_of_input();
  void take(std::string_view bytes);
  void read_request(std::string_view bytes);
  void hand_over();
  void expect_answer(HttpAnswerForm form, bool is_head);
  void send(std::string bytes);
  void write_on();
  void finish_answer();
  void close_politely();
  void wait_for(HttpWait what);
  void count_body(size_t bytes);

  HttpShared& shared_;
  boost::asio::ip::tcp::socket socket_;
  std::shared_ptr<HttpConnection> self_{};  ///< until it is closed
  std::unique_ptr<HttpRequestReader> reader_{};
  std::shared_ptr<HttpAnswerState> answer_{};
  std::string rest_{};  ///< read behind the request that is being answered
  std::string out_{};
  size_t num_sent_ = 0;  ///< of out_
  size_t body_bytes_ = 0;
  HttpWait waits_for_ = HttpWait::kFirstByte;
  bool is_watched_ = false;
  bool is_writing_ = false;
  bool has_input_ended_ = false;
  bool has_said_continue_ = false;
  bool is_answer_whole_ = false;
  bool keeps_alive_ = false;  ///< behind the answer
};

}  // namespace loopbank

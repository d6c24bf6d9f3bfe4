#pragma once
/// An answer on its way from whoever gives it, on any thread, to its connection.

#include <boost/asio/io_context.hpp>
#include <functional>
#include <memory>
#include <mutex>
#include <string>

#include "loopbank/serve/http/http_message.h"

namespace loopbank {

class HttpConnection;

/// Shared by a connection and the HttpAnswer that its handler was given.
class HttpAnswerState : public std::enable_shared_from_this<HttpAnswerState> {
 public:
  HttpAnswerState(boost::asio::io_context& io, HttpConnection* connection, HttpAnswerForm form,
                  bool is_head);

  /// From any thread: as those of HttpAnswer.
  void send(const HttpResponse& response);
  void begin_stream(const HttpResponse& head);
  void write(std::string_view bytes);
  void end();
  void on_gone(std::function<void()> gone);
  /// Nobody is left who could answer: 500, or a stream that breaks off.
  void abandon();

  struct Flushed {
    std::string bytes{};
    bool is_stream = false;
    bool is_whole = false;    ///< nothing follows
    bool is_broken = false;   ///< the stream has no end: close
    bool keep_alive = false;  ///< the connection stays
  };
  /// On the connection's thread from here on. What is to be sent, once.
  [[nodiscard]] Flushed flush();
  [[nodiscard]] HttpConnection* connection() const { return connection_; }
  /// The answer's connection ends with it.
  void close_behind();
  /// The client has gone: tells who asked to know.
  void tell_gone();
  /// The connection needs nothing more.
  void detach();

 private:
  void add(std::string_view bytes);
  void post_flush();

  boost::asio::io_context& io_;  ///< used while connection_ is set: it outlives its connections
  HttpConnection* connection_;   ///< changes on the connection's thread, under mutex_
  const bool is_head_;
  std::mutex mutex_{};
  HttpAnswerForm form_;
  std::string out_{};
  std::function<void()> gone_{};
  bool is_stream_ = false;
  bool has_begun_ = false;
  bool has_ended_ = false;
  bool is_broken_ = false;
  bool is_posted_ = false;
  bool has_gone_ = false;
};

/// What a handler holds; lets go of the answer when the last holder does.
[[nodiscard]] std::shared_ptr<HttpAnswer> answer_of(std::shared_ptr<HttpAnswerState> state);

}  // namespace loopbank

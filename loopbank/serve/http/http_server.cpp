#include "loopbank/serve/http/http_server.h"

#include <pthread.h>
#include <signal.h>  // NOLINT(modernize-deprecated-headers): pthread_sigmask
#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <future>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "loopbank/serve/http/http_connection.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using AsioError = boost::system::error_code;
using Duration = std::chrono::steady_clock::duration;

constexpr int64_t kSpareFiles = 64;  // for the model, the log and connections that are turned away
constexpr int64_t kMostConnections = 16384;
constexpr int64_t kMostTurnedAway = 32;  // at a time, with an answer
constexpr double kCloseSeconds = 5.0;    // for a client to read an answer behind which all ends

Duration duration_of(double seconds) {
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

/// Raises the limit of open files as far as it goes.
int64_t most_open_files() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
    return 1024;
  }
  limit.rlim_cur = limit.rlim_max;
  if (setrlimit(RLIMIT_NOFILE, &limit) != 0) {
    getrlimit(RLIMIT_NOFILE, &limit);
  }
  return static_cast<int64_t>(std::min<rlim_t>(limit.rlim_cur, rlim_t{1} << 30U));
}

int64_t connection_limit(int64_t wanted) {
  const int64_t most = std::max<int64_t>(most_open_files() - kSpareFiles, 16);
  return std::min(most, wanted > 0 ? wanted : kMostConnections);
}

/// The addresses of a host, IPv4 first: what says "localhost" often means 127.0.0.1.
std::vector<tcp::endpoint> endpoints_of(asio::io_context& io, std::string host, int64_t port) {
  if (port < 0 || port > 65535) {
    fail(ErrorCode::kConfig, "--port: expected 0 to 65535, got {}.", port);
  }
  if (host.size() > 2 && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  AsioError error;
  const auto found =
      tcp::resolver(io).resolve(host, std::to_string(port), tcp::resolver::passive, error);
  if (error || found.empty()) {
    fail(ErrorCode::kConfig,
         "--host: expected an address of this machine, got \"{}\" ({}). Give 127.0.0.1, or 0.0.0.0 "
         "for all.",
         host, error.message());
  }
  std::vector<tcp::endpoint> endpoints;
  for (const auto& entry : found) {
    endpoints.push_back(entry.endpoint());
  }
  std::stable_partition(endpoints.begin(), endpoints.end(),
                        [](const tcp::endpoint& e) { return e.address().is_v4(); });
  return endpoints;
}

tcp::acceptor listen_on(asio::io_context& io, const std::string& host, int64_t port) {
  AsioError error;
  for (const auto& endpoint : endpoints_of(io, host, port)) {
    tcp::acceptor acceptor(io);
    acceptor.open(endpoint.protocol(), error);
    if (!error) {
      acceptor.set_option(tcp::acceptor::reuse_address(true), error);
      acceptor.bind(endpoint, error);
    }
    if (!error) {
      acceptor.listen(asio::socket_base::max_listen_connections, error);
    }
    if (!error) {
      return acceptor;
    }
  }
  if (error == asio::error::address_in_use) {
    fail(
        ErrorCode::kConfig,
        "--port: expected a port that is free on {}, got {}, which is in use. Give another --port.",
        host, port);
  }
  if (error == asio::error::access_denied) {
    fail(ErrorCode::kConfig,
         "--port: expected a port that this user may open, got {} ({}). Give one above 1023.", port,
         error.message());
  }
  fail(ErrorCode::kConfig, "--host: expected an address of this machine, got \"{}\" ({}).", host,
       error.message());
}

}  // namespace

struct HttpServer::Impl {
  Impl(const HttpOptions& options, HttpHandler handler)
      : shared(options, std::move(handler)),
        acceptor(listen_on(shared.io, options.host, options.port)),
        port(acceptor.local_endpoint().port()),
        most_connections(connection_limit(options.most_connections)) {}

  void run();
  void accept();
  void on_accepted(const AsioError& error, tcp::socket socket);
  bool close_an_idle_one();
  void look_at_clocks();
  void close_all();
  /// Runs `what` on the thread of all connections and waits for it.
  void on_loop(const std::function<void()>& what);

  HttpShared shared;
  tcp::acceptor acceptor;
  const int64_t port;
  const int64_t most_connections;
  asio::steady_timer clock{shared.io};
  asio::steady_timer pause{shared.io};
  std::optional<asio::executor_work_guard<asio::io_context::executor_type>> work{};
  std::thread thread{};
};

void HttpServer::Impl::run() {
  while (true) {
    try {
      shared.io.run();
      return;
    } catch (const std::exception&) {
      // Memory ran out for one connection: the others go on, its limits of time end it.
    }
  }
}

void HttpServer::Impl::accept() {
  acceptor.async_accept([this](const AsioError& error, tcp::socket socket) {
    on_accepted(error, std::move(socket));
  });
}

void HttpServer::Impl::on_accepted(const AsioError& error, tcp::socket socket) {
  if (!acceptor.is_open() || error == asio::error::operation_aborted) {
    return;
  }
  if (error) {
    // No more files or memory: the connection stays in the queue, so ask again later.
    if (error != asio::error::connection_aborted) {
      close_an_idle_one();
    }
    pause.expires_after(std::chrono::milliseconds(50));
    pause.async_wait([this](const AsioError& cancelled) {
      if (!cancelled && acceptor.is_open()) {
        accept();
      }
    });
    return;
  }
  const bool has_room = shared.num_connections < most_connections || close_an_idle_one();
  if (has_room || shared.num_connections < most_connections + kMostTurnedAway) {
    const auto connection = std::make_shared<HttpConnection>(shared, std::move(socket));
    connection->start();
    if (!has_room) {
      ApiError full(503,
                    "http: expected a connection to be free, got as many as the server takes, all "
                    "at work. Try again in a moment.",
                    "", "too_many_connections");
      full.retry_after = 1;
      connection->refuse(full);
    }
  }
  shared.num_refused += has_room ? 0 : 1;
  accept();
}

bool HttpServer::Impl::close_an_idle_one() {
  if (shared.idle.empty()) {
    return false;
  }
  static_cast<HttpConnection&>(shared.idle.front()).close();
  return true;
}

void HttpServer::Impl::look_at_clocks() {
  const auto now = std::chrono::steady_clock::now();
  const auto end_those = [&](auto& list, double seconds) {
    while (!list.empty() && now - list.front().reading_since >= duration_of(seconds)) {
      static_cast<HttpConnection&>(list.front()).time_out();
    }
  };
  const auto& options = shared.options;
  end_those(shared.idle, options.idle_seconds);
  end_those(shared.in_head, options.header_seconds);
  end_those(shared.in_body, options.body_seconds);
  end_those(shared.closing, kCloseSeconds);
  while (!shared.writing.empty() &&
         now - shared.writing.front().writing_since >= duration_of(options.write_seconds)) {
    static_cast<HttpConnection&>(shared.writing.front()).close();
  }
  const double shortest = std::min(
      {options.idle_seconds, options.header_seconds, options.body_seconds, options.write_seconds});
  clock.expires_after(duration_of(std::clamp(shortest / 8, 0.01, 1.0)));
  clock.async_wait([this](const AsioError& cancelled) {
    if (!cancelled) {
      look_at_clocks();
    }
  });
}

void HttpServer::Impl::close_all() {
  AsioError ignored;
  acceptor.close(ignored);
  while (!shared.all.empty()) {
    static_cast<HttpConnection&>(shared.all.front()).close();
  }
}

void HttpServer::Impl::on_loop(const std::function<void()>& what) {
  if (!thread.joinable()) {
    what();
    return;
  }
  std::promise<void> done;
  asio::post(shared.io, [&] {
    what();
    done.set_value();
  });
  done.get_future().wait();
}

HttpServer::HttpServer(const HttpOptions& options, HttpHandler handler)
    : impl_(std::make_unique<Impl>(options, std::move(handler))) {}

HttpServer::~HttpServer() {
  stop();
}

int64_t HttpServer::port() const {
  return impl_->port;
}

void HttpServer::start() {
  impl_->work.emplace(impl_->shared.io.get_executor());
  impl_->accept();
  impl_->look_at_clocks();
  // Signals are for the program's first thread.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  impl_->thread = std::thread([this] { impl_->run(); });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

void HttpServer::stop_accepting() {
  impl_->on_loop([this] {
    AsioError ignored;
    impl_->acceptor.close(ignored);
    impl_->shared.takes_requests = false;
    std::vector<std::shared_ptr<HttpConnection>> connections;
    for (auto& listed : impl_->shared.all) {
      connections.push_back(static_cast<HttpConnection&>(listed).shared_from_this());
    }
    for (const auto& connection : connections) {
      connection->stop_taking();
    }
  });
}

bool HttpServer::wait_answered(double seconds) {
  std::unique_lock lock(impl_->shared.mutex);
  return impl_->shared.answered.wait_for(lock, duration_of(seconds),
                                         [this] { return impl_->shared.num_unanswered == 0; });
}

void HttpServer::stop() {
  if (!impl_->thread.joinable()) {
    return;
  }
  impl_->on_loop([this] { impl_->close_all(); });
  impl_->work.reset();
  impl_->shared.io.stop();
  impl_->thread.join();
}

HttpCounts HttpServer::counts() const {
  return {.connections = impl_->shared.num_connections, .refused = impl_->shared.num_refused};
}

}  // namespace loopbank

#include "loopbank/serve/server.h"

#include <c10/core/thread_pool.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <utility>

#include "loopbank/serve/api/model_answers.h"
#include "loopbank/serve/api/openapi.h"
#include "loopbank/serve/api_keys.h"
#include "loopbank/serve/http/api_error.h"
#include "loopbank/serve/page_files.h"
#include "loopbank/serve/served_completion.h"
#include "loopbank/serve/server_metrics.h"
#include "loopbank/serve/slot_texts.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

constexpr std::string_view kModels = "/v1/models/";
constexpr std::string_view kPolicyOfPage =
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
constexpr double kDrainTurn = 0.05;  // seconds between two looks at whether to wait on
constexpr double kLastBytes = 2.0;   // seconds that clients have to take their last bytes

using Headers = std::vector<std::pair<std::string, std::string>>;

HttpResponse json_response(std::string body) {
  return {.body = std::move(body)};
}

HttpResponse page_file(std::string_view content_type, std::string_view text) {
  return {.content_type = std::string(content_type),
          .body = std::string(text),
          .headers = {{"Content-Security-Policy", std::string(kPolicyOfPage)}}};
}

/// The host of `127.0.0.1:8080` or `[::1]:8080`.
std::string_view host_of(std::string_view text) {
  const auto bracket = text.find(']');
  const auto colon = text.find(':', bracket == std::string_view::npos ? 0 : bracket);
  return text.substr(0, colon);
}

std::string_view without_scheme(std::string_view origin) {
  const auto scheme = origin.find("://");
  return scheme == std::string_view::npos ? origin : origin.substr(scheme + 3);
}

void check_access(const ServerOptions& options) {
  if (options.api_keys.empty() && !is_loopback(options.http.host)) {
    fail(ErrorCode::kConfig,
         "--host: expected an address of this machine alone, such as 127.0.0.1, or an API key, got "
         "{} without one. Give --api-key-file FILE.",
         options.http.host);
  }
}

}  // namespace

struct Server::Impl {
  /// One path: the method that it takes, whether anybody may ask, whether its body is worth a thread of
  /// its own, and what answers.
  struct Route {
    std::string path;
    std::string method;
    bool is_public = false;
    bool reads_body = false;
    std::function<HttpResponse(const HttpRequest& request)> respond{};  ///< empty: completions
  };

  Impl(ServedModel its_model, ServerOptions its_options)
      : served(std::move(its_model)),
        options(std::move(its_options)),
        keys((check_access(options), options.api_keys)),
        headers(headers_of(options)),
        api_document(openapi_document(served, {.version = options.version,
                                               .asks_for_key = !keys.empty(),
                                               .has_slots = slot_texts.has_value()})),
        scheduler(served.model, served.tokenizer, options.scheduler),
        completions{.served = served,
                    .scheduler = scheduler,
                    .metrics = metrics,
                    .logs_prompts = options.log_prompts,
                    .headers = headers,
                    .log = [this](const RequestRecord& record) { log(record); }},
        routes(make_routes()),
        http(options.http, [this](HttpRequest request, std::shared_ptr<HttpAnswer> answer) {
          handle(std::move(request), std::move(answer));
        }) {
    options.api_keys.clear();
  }

  static Headers headers_of(const ServerOptions& options) {
    Headers all = {{"X-Content-Type-Options", "nosniff"}, {"Cache-Control", "no-store"}};
    if (!options.cors_origin.empty()) {
      all.emplace_back("Access-Control-Allow-Origin", options.cors_origin);
      all.emplace_back("Access-Control-Expose-Headers", "x-request-id, Retry-After");
      all.emplace_back("Vary", "Origin");
    }
    return all;
  }

  std::vector<Route> make_routes() {
    const auto get = [](std::string path, auto respond) {
      return Route{.path = std::move(path), .method = "GET", .respond = respond};
    };
    const auto open = [](std::string path, auto respond) {
      return Route{.path = std::move(path), .method = "GET", .is_public = true, .respond = respond};
    };
    const auto post = [](std::string path, auto respond) {
      return Route{
          .path = std::move(path), .method = "POST", .reads_body = true, .respond = respond};
    };
    const auto completes = [](std::string path) {
      return Route{.path = std::move(path), .method = "POST", .reads_body = true};
    };
    using R = const HttpRequest&;
    return {
        open("/", [](R) { return page_file("text/html; charset=utf-8", kServePageHtml); }),
        open("/page.js",
             [](R) { return page_file("text/javascript; charset=utf-8", kServePageJs); }),
        open("/page.css", [](R) { return page_file("text/css; charset=utf-8", kServePageCss); }),
        open("/health", [this](R) { return health(); }),
        open("/openapi.json", [this](R) { return json_response(api_document); }),
        get("/metrics",
            [this](R) {
              return HttpResponse{.content_type = "text/plain; version=0.0.4; charset=utf-8",
                                  .body = metrics.text(scheduler.state(), http.counts())};
            }),
        get("/slots.json", [this](R) { return slots(); }),
        get("/tokenizer_info", [this](R) { return json_response(tokenizer_info(served)); }),
        get("/v1/models", [this](R) { return json_response(list_models(served)); }),
        post("/tokenize",
             [this](R request) { return json_response(tokenize(request.body, served)); }),
        post("/detokenize",
             [this](R request) { return json_response(detokenize(request.body, served)); }),
        completes("/v1/completions"),
        completes("/v1/chat/completions"),
    };
  }

  HttpResponse health() {
    if (is_draining) {
      ApiError error(503, "The server shuts down.", "", "shutting_down");
      error.retry_after = 1;
      return error_response(error);
    }
    return json_response(R"({"status":"ok"})");
  }

  HttpResponse slots() const {
    if (!slot_texts) {
      throw ApiError(404,
                     "There is no report on this model's memory slots. Write one: loopbank inspect "
                     "MODEL_DIR --text FILE --out MODEL_DIR/memory.json.",
                     "", "no_report");
    }
    return json_response(*slot_texts);
  }

  /// @throws ApiError 403 for a page of another origin, and for a name of this machine that another
  ///   site's page may have made up (DNS rebinding); 401 without the right key
  /// @return whom a turn is owed
  std::string check_client(const HttpRequest& request, const Route& route) const {
    const auto host = request.header("host");
    const auto origin = request.header("origin");
    const bool is_ours = origin.empty() || without_scheme(origin) == host;
    if (!is_ours && options.cors_origin != "*" && origin != options.cors_origin) {
      throw ApiError(403, "Pages of this origin may not ask here. Start with --cors ORIGIN.", "",
                     "origin_not_allowed");
    }
    if (keys.empty() && !host.empty() && !is_loopback(host_of(host))) {
      throw ApiError(403,
                     "Without an API key only requests to this machine by its own name, such as "
                     "127.0.0.1, are answered. Start with --api-key-file FILE.",
                     "", "host_not_allowed");
    }
    if (keys.empty() || route.is_public) {
      return request.peer;
    }
    const auto key = keys.find(request.header("authorization"));
    if (!key) {
      throw ApiError(401,
                     "An API key is expected, as the header \"Authorization: Bearer KEY\"; none or "
                     "another one came.",
                     "", "invalid_api_key");
    }
    return fmt::format("key {}", *key);
  }

  /// The route of a path, /v1/models/ID included, or nullptr.
  const Route* find_route(const std::string& path) const {
    const bool by_id = path.starts_with(kModels) && path.size() > kModels.size();
    const auto wanted = by_id ? kModels.substr(0, kModels.size() - 1) : std::string_view(path);
    const auto found = std::find_if(routes.begin(), routes.end(),
                                    [&](const Route& route) { return route.path == wanted; });
    return found == routes.end() ? nullptr : &*found;
  }

  /// @throws ApiError 404 and 405
  const Route& route_of(const HttpRequest& request) const {
    const auto* const route = find_route(request.path);
    if (route == nullptr) {
      std::vector<std::string> known;
      for (const auto& each : routes) {
        known.push_back(each.path);
      }
      throw ApiError(
          404, fmt::format("There is nothing at this path.{}", suggestion(request.path, known)), "",
          "not_found");
    }
    if (route->method != request.method && (route->method != "GET" || request.method != "HEAD")) {
      throw ApiError(
          405, fmt::format("{} takes {}, got {}.", route->path, route->method, request.method), "",
          "method_not_allowed");
    }
    return *route;
  }

  HttpResponse respond(const Route& route, const HttpRequest& request) const {
    if (request.path.starts_with(kModels)) {
      return json_response(describe_model(request.path.substr(kModels.size()), served));
    }
    return route.respond(request);
  }

  /// On the transport's thread.
  void handle(HttpRequest request, std::shared_ptr<HttpAnswer> answer) {
    const Stopwatch since;
    const Route* route = nullptr;
    std::string client;
    try {
      if (request.method == "OPTIONS" && !options.cors_origin.empty()) {
        send(request, *answer, preflight(), since);
        return;
      }
      route = &route_of(request);
      client = check_client(request, *route);
    } catch (const ApiError& error) {
      auto response = error_response(error);
      if (error.status() == 405) {
        const auto& method = find_route(request.path)->method;
        response.headers.emplace_back("Allow", method == "GET" ? "GET, HEAD" : method);
      }
      send(request, *answer, std::move(response), since);
      return;
    }
    if (!route->reads_body) {
      take(*route, std::move(request), std::move(answer), client, since);
      return;
    }
    readers.run(
        [this, route, request = std::move(request), answer = std::move(answer), client,
         since]() mutable { take(*route, std::move(request), std::move(answer), client, since); });
  }

  void take(const Route& route, HttpRequest request, std::shared_ptr<HttpAnswer> answer,
            const std::string& client, Stopwatch since) {
    HttpResponse response;
    // What the log needs, where the request itself has been handed on.
    HttpRequest head{
        .id = request.id, .method = request.method, .path = request.path, .peer = request.peer};
    try {
      if (!route.respond) {
        serve_completion(completions, std::move(request), answer, client, since);
        return;
      }
      response = respond(route, request);
    } catch (const ApiError& error) {
      response = error_response(error);
    } catch (const Error& error) {
      response = error_response(api_error_of(error));
    } catch (const std::exception& error) {
      log_warning("request {}: {}", head.id, error.what());
      response = error_response(ApiError(500, "The server failed at this request."));
    }
    send(head, *answer, std::move(response), since);
  }

  static HttpResponse preflight() {
    return {.status = 204,
            .content_type = "",
            .headers = {{"Access-Control-Allow-Methods", "GET, POST"},
                        {"Access-Control-Allow-Headers", "Authorization, Content-Type"},
                        {"Access-Control-Max-Age", "600"}}};
  }

  /// Answers at once, and logs it.
  void send(const HttpRequest& request, HttpAnswer& answer, HttpResponse response,
            const Stopwatch& since) {
    response.headers.insert(response.headers.end(), headers.begin(), headers.end());
    const int status = response.status;
    answer.send(std::move(response));
    metrics.count_request(known_path(request.path), status, since.seconds());
    // What asks every second is not worth a line while all is well.
    if (status != 200 || (request.path != "/health" && request.path != "/metrics")) {
      log({.id = request.id,
           .method = request.method,
           .path = request.path,
           .peer = request.peer,
           .status = status,
           .seconds = since.seconds()});
    }
  }

  /// A path of ours; what others ask for must not make the metrics grow.
  std::string known_path(const std::string& path) const {
    const auto* const route = find_route(path.starts_with(kModels) ? "/v1/models" : path);
    return route == nullptr ? "other" : route->path;
  }

  void log(const RequestRecord& record) const {
    log_info_text(format_record(record, options.log_form));
  }

  ServedModel served;
  ServerOptions options;
  ApiKeys keys;
  Headers headers;
  std::optional<std::string> slot_texts = read_slot_texts(served);
  std::string api_document;
  std::atomic<bool> is_draining = false;
  ServerMetrics metrics;
  Scheduler scheduler;
  CompletionService completions;
  std::vector<Route> routes;
  HttpServer http;
  c10::ThreadPool readers{1};  // before which nothing above may end: it is the first to go
};

Server::Server(ServedModel served, const ServerOptions& options)
    : impl_(std::make_unique<Impl>(std::move(served), options)) {}

Server::~Server() {
  impl_->scheduler.stop_taking();
  impl_->scheduler.end_all();
  impl_->http.stop();
}

int64_t Server::port() const {
  return impl_->http.port();
}

std::string Server::url() const {
  const auto& host = impl_->options.http.host;
  const bool is_bare_ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  return fmt::format("http://{}:{}", is_bare_ipv6 ? "[" + host + "]" : host, port());
}

void Server::start() {
  impl_->http.start();
}

bool Server::drain(double seconds, const std::function<bool()>& keep_waiting) {
  const Stopwatch watch;
  impl_->is_draining = true;
  impl_->scheduler.stop_taking();
  impl_->http.stop_accepting();
  bool is_done = impl_->scheduler.wait_idle(0.0);
  while (!is_done && watch.seconds() < seconds && (!keep_waiting || keep_waiting())) {
    is_done = impl_->scheduler.wait_idle(kDrainTurn);
  }
  impl_->scheduler.end_all();
  (void)impl_->http.wait_answered(kLastBytes);
  impl_->http.stop();
  return is_done;
}

}  // namespace loopbank

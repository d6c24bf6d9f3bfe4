#include "loopbank/serve/http/http_message.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <boost/beast/core/string.hpp>
#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <boost/beast/http/status.hpp>
#include <cctype>
#include <cstdint>
#include <ctime>
#include <random>
#include <utility>

namespace loopbank {
namespace {

namespace beast_http = boost::beast::http;
using HttpErrorCode = boost::beast::error_code;

std::string_view view_of(boost::beast::string_view text) {
  return {text.data(), text.size()};
}

bool is_request_id(std::string_view id) {
  return !id.empty() && id.size() <= 128 && std::all_of(id.begin(), id.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
}

/// Without the query, and without `http://host` where a client sends the absolute form.
std::string path_of(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (target.substr(0, scheme.size()) == scheme) {
      const auto slash = target.find('/', scheme.size());
      target = slash == std::string_view::npos ? std::string_view("/") : target.substr(slash);
    }
  }
  return std::string(target.substr(0, target.find_first_of("?#")));
}

ApiError head_too_large() {
  return {431,
          fmt::format("http: expected a head of {} bytes at most, got a longer one. Send fewer or "
                      "shorter headers.",
                      kLargestHeadBytes),
          "", "head_too_large"};
}

ApiError target_too_long() {
  return {414,
          fmt::format("http: expected a path of {} bytes at most, got a longer one.",
                      kLongestTargetBytes),
          "", "path_too_long"};
}

ApiError body_too_large(size_t largest) {
  return {413,
          fmt::format("http: expected a body of {} bytes at most, got a larger one. Send less in "
                      "one request.",
                      largest),
          "", "body_too_large"};
}

ApiError syntax_error(std::string_view what) {
  return {400, fmt::format("http: expected a request of HTTP/1.1, got {}.", what), "",
          "malformed_request"};
}

}  // namespace

/// Takes what Beast's parser finds straight into a HttpRequest.
struct HttpRequestReader::Parser final : beast_http::basic_parser<true> {
  using Text = boost::beast::string_view;

  explicit Parser(size_t largest) : largest_body(largest) {
    eager(true);
    header_limit(kLargestHeadBytes);
    body_limit(largest);
  }

  void on_request_impl(beast_http::verb, Text method, Text target, int number,
                       HttpErrorCode&) override {
    if (target.size() > kLongestTargetBytes) {
      throw target_too_long();
    }
    is_http_10 = number == 10;
    request.method = view_of(method);
    request.path = path_of(view_of(target));
    head_bytes = method.size() + target.size();
  }

  void on_field_impl(beast_http::field, Text name, Text value, HttpErrorCode&) override {
    if (has_head) {
      return;  // of the trailer, which must not change what the head said
    }
    head_bytes += name.size() + value.size() + 4;
    if (head_bytes > kLargestHeadBytes) {
      throw head_too_large();
    }
    std::string lower(view_of(name));
    std::transform(lower.begin(), lower.end(), lower.begin(),
                   [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    if (lower == "x-request-id" && request.id.empty() && is_request_id(view_of(value))) {
      request.id = view_of(value);
    }
    const auto [field, is_new] = request.headers.try_emplace(std::move(lower), view_of(value));
    if (!is_new) {
      field->second.append(", ").append(view_of(value));
    }
  }

  /// Of Boost 1.90 and later; before, fields of the trailer come to on_field_impl.
  void on_trailer_field_impl(beast_http::field, Text, Text, HttpErrorCode&) {}

  void on_header_impl(HttpErrorCode&) override {
    has_head = true;
    const auto coding = request.headers.find("transfer-encoding");
    if (coding != request.headers.end()) {
      if (!boost::beast::iequals(coding->second, "chunked")) {
        throw ApiError(501,
                       "http: expected a body that is plain or \"chunked\", got another "
                       "Transfer-Encoding.",
                       "", "unsupported_coding");
      }
      if (is_http_10) {
        throw syntax_error("a chunked body in HTTP/1.0");
      }
    }
    const auto expected = request.header("expect");
    expects_continue =
        boost::beast::iequals(Text(expected.data(), expected.size()), "100-continue");
    if (!expected.empty() && !expects_continue) {
      throw ApiError(417, "http: expected \"Expect: 100-continue\" or none, got another.", "",
                     "unsupported_expectation");
    }
  }

  void on_body_init_impl(const boost::optional<std::uint64_t>&, HttpErrorCode&) override {}

  size_t on_body_impl(Text part, HttpErrorCode&) override {
    request.body.append(part.data(), part.size());
    return part.size();
  }

  void on_chunk_header_impl(std::uint64_t, Text, HttpErrorCode&) override {}

  size_t on_chunk_body_impl(std::uint64_t, Text part, HttpErrorCode&) override {
    return on_body_impl(part, ignored);
  }

  void on_finish_impl(HttpErrorCode&) override {}

  void on_response_impl(int, Text, int, HttpErrorCode&) override {}

  HttpRequest request{};
  size_t largest_body;
  size_t head_bytes = 0;
  bool is_http_10 = false;
  bool has_head = false;
  bool expects_continue = false;
  HttpErrorCode ignored{};
};

HttpRequestReader::HttpRequestReader(size_t largest_body)
    : parser_(std::make_unique<Parser>(largest_body)) {}

HttpRequestReader::~HttpRequestReader() = default;

void HttpRequestReader::put(std::string_view bytes) {
  if (!unread_.empty()) {
    unread_.append(bytes);
    bytes = unread_;
  }
  if (!parser_->got_some()) {
    // Empty lines before a request are left over from the body before by some clients.
    bytes.remove_prefix(std::min(bytes.find_first_not_of("\r\n"), bytes.size()));
  }
  // Beast asserts that five bytes are there when it is called again in the last chunk. Fewer are no
  // loss: every chunked body ends in the five of `0 CRLF CRLF`.
  const bool are_too_few =
      parser_->has_head && !parser_->is_done() && parser_->chunked() && bytes.size() < 5;
  HttpErrorCode error;
  if (!bytes.empty() && !parser_->is_done() && !are_too_few) {
    bytes.remove_prefix(parser_->put({bytes.data(), bytes.size()}, error));
  }
  if (error == beast_http::error::need_more) {
    error = {};
  }
  // The length of a chunk's line, extensions and all, is not bounded by the parser.
  if (!error && !parser_->is_done() && parser_->has_head && bytes.size() > kLargestHeadBytes) {
    error = beast_http::error::bad_chunk_extension;
  }
  if (error == beast_http::error::header_limit) {
    throw parser_->request.method.empty() ? target_too_long() : head_too_large();
  }
  if (error == beast_http::error::body_limit) {
    throw body_too_large(parser_->largest_body);
  }
  const auto line = bytes.substr(0, bytes.find('\n'));
  if (error == beast_http::error::bad_version && line.find(" HTTP/") != std::string_view::npos &&
      line.find(" HTTP/1.") == std::string_view::npos) {
    throw ApiError(505, "http: expected HTTP/1.1 or HTTP/1.0, got another version.", "",
                   "unsupported_version");
  }
  if (error) {
    throw syntax_error(fmt::format("bytes that break it ({})", error.message()));
  }
  unread_ = std::string(bytes);
}

HttpRequestReader::Stage HttpRequestReader::stage() const {
  if (parser_->is_done()) {
    return Stage::kWhole;
  }
  return parser_->has_head ? Stage::kBody : Stage::kHead;
}

bool HttpRequestReader::expects_continue() const {
  return parser_->expects_continue && !parser_->is_http_10 && stage() == Stage::kBody &&
         parser_->request.body.empty() && unread_.empty();
}

bool HttpRequestReader::keep_alive() const {
  return parser_->keep_alive();
}

bool HttpRequestReader::is_http_10() const {
  return parser_->is_http_10;
}

const HttpRequest& HttpRequestReader::request() const {
  return parser_->request;
}

HttpRequest HttpRequestReader::take_request() {
  if (parser_->request.id.empty()) {
    parser_->request.id = new_request_id();
  }
  return std::move(parser_->request);
}

std::string HttpRequestReader::take_rest() {
  return std::move(unread_);
}

std::string new_request_id() {
  // Splitmix64, whose steps are all different.
  static std::atomic<uint64_t> state{(uint64_t{std::random_device{}()} << 32U) ^
                                     std::random_device{}()};
  uint64_t x = state.fetch_add(0x9E3779B97F4A7C15U) + 0x9E3779B97F4A7C15U;
  x = (x ^ (x >> 30U)) * 0xBF58476D1CE4E5B9U;
  x = (x ^ (x >> 27U)) * 0x94D049BB133111EBU;
  return fmt::format("{:016x}", x ^ (x >> 31U));
}

std::string http_head(const HttpResponse& response, const HttpAnswerForm& form,
                      HttpFraming framing) {
  const auto reason = beast_http::obsolete_reason(
      beast_http::int_to_status(static_cast<unsigned>(response.status)));
  std::string head = fmt::format("HTTP/1.1 {} {}\r\n", response.status, view_of(reason));
  const auto add = [&head](std::string_view name, std::string_view value) {
    head.append(name).append(": ");
    for (const char c : value) {
      head.push_back(static_cast<unsigned char>(c) < 0x20 || c == 0x7F ? ' ' : c);
    }
    head.append("\r\n");
  };
  add("Date", fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(std::time(nullptr))));
  add("x-request-id", form.id);
  if (!response.content_type.empty()) {
    add("Content-Type", response.content_type);
  }
  if (framing == HttpFraming::kLength) {
    add("Content-Length", fmt::format("{}", response.body.size()));
  } else if (framing == HttpFraming::kChunked) {
    add("Transfer-Encoding", "chunked");
  }
  if (!form.keep_alive) {
    add("Connection", "close");
  } else if (form.is_http_10) {
    add("Connection", "keep-alive");
  }
  for (const auto& [name, value] : response.headers) {
    add(name, value);
  }
  return head.append("\r\n");
}

}  // namespace loopbank

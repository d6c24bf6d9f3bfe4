#pragma once
/// HTTP/1.0 and 1.1 as bytes: requests read off a connection, heads of answers written. No sockets.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "loopbank/serve/http/api_error.h"
#include "loopbank/serve/http/http.h"

namespace loopbank {

inline constexpr size_t kLargestHeadBytes = size_t{16} << 10;
inline constexpr size_t kLongestTargetBytes = size_t{8} << 10;

/// Reads one request from bytes that come in pieces of any size. What RFC 9112 leaves to the reader
/// is refused: `Content-Length` beside `Transfer-Encoding`, codings other than `chunked`, lines that
/// end in LF alone. Fields of a chunked body's trailer are dropped.
class HttpRequestReader {
 public:
  enum class Stage { kHead, kBody, kWhole };

  /// @param largest_body  bytes, however they are framed
  explicit HttpRequestReader(size_t largest_body);
  ~HttpRequestReader();

  /// What comes behind the request is kept for `take_rest`.
  /// @throws ApiError 400, 413, 414, 417, 431, 501 or 505; nothing can be read from then on
  void put(std::string_view bytes);
  [[nodiscard]] Stage stage() const;
  /// Whether the client waits for `100 Continue` before it sends the body.
  [[nodiscard]] bool expects_continue() const;
  /// Whether the connection may serve another request behind this one.
  [[nodiscard]] bool keep_alive() const;
  [[nodiscard]] bool is_http_10() const;
  /// What is known so far; the id is the client's own, empty where it gave none.
  [[nodiscard]] const HttpRequest& request() const;
  /// With an id, without `peer`.
  [[nodiscard]] HttpRequest take_request();
  [[nodiscard]] std::string take_rest();

 private:
  struct Parser;
  std::unique_ptr<Parser> parser_;
  std::string unread_;
};

/// 16 hex digits, each time others.
[[nodiscard]] std::string new_request_id();

enum class HttpFraming { kLength, kChunked, kUntilClose };

/// What the head of an answer depends on beside the answer.
struct HttpAnswerForm {
  std::string id{};  ///< of x-request-id
  bool is_http_10 = false;
  bool keep_alive = true;
};

/// The head of an answer with its empty line. Control characters in values become spaces.
[[nodiscard]] std::string http_head(const HttpResponse& response, const HttpAnswerForm& form,
                                    HttpFraming framing);

}  // namespace loopbank

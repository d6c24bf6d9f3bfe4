// A request's bytes as a client sends them: read at once or in pieces, it is the same request or none.

#include <algorithm>
#include <optional>

#include "loopbank/serve/http/http_message.h"
#include "target.h"

using loopbank::ApiError;
using loopbank::HttpRequest;
using loopbank::HttpRequestReader;
using loopbank::fuzz::require;

namespace {

constexpr size_t kLargestBody = 1000;

/// None where it is refused or not whole.
std::optional<HttpRequest> read_in_pieces(std::string_view bytes, size_t piece) {
  HttpRequestReader reader(kLargestBody);
  try {
    for (size_t at = 0; at < bytes.size(); at += piece) {
      reader.put(bytes.substr(at, piece));
    }
  } catch (const ApiError& error) {
    require(error.status() >= 400 && error.status() < 600, "an error has a status of errors");
    return std::nullopt;
  }
  if (reader.stage() != HttpRequestReader::Stage::kWhole) {
    return std::nullopt;
  }
  return reader.take_request();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto bytes = loopbank::fuzz::as_text(data, std::min(size, loopbank::kLargestHeadBytes));
  const auto whole = read_in_pieces(bytes, std::max<size_t>(bytes.size(), 1));
  for (const size_t piece : {size_t{1}, size_t{7}}) {
    const auto same = read_in_pieces(bytes, piece);
    require(whole.has_value() == same.has_value(), "pieces change nothing of what is taken");
    if (whole) {
      require(
          whole->method == same->method && whole->path == same->path && whole->body == same->body,
          "pieces change nothing of a request");
      require(whole->headers == same->headers, "pieces change nothing of the headers");
      require(whole->body.size() <= kLargestBody, "a body is within its limit");
      require(!whole->id.empty() && whole->id.size() <= 128, "a request has an id");
    }
  }
  return 0;
}

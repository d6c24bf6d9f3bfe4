#include "loopbank/serve/http/api_error.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

namespace loopbank {

ApiError::ApiError(int status, const std::string& message, std::string param, std::string code)
    : std::runtime_error(message),
      status_(status),
      param_(std::move(param)),
      code_(std::move(code)) {}

const char* ApiError::type() const {
  switch (status_) {
    case 401:
      return "authentication_error";
    case 404:
      return "not_found_error";
    case 429:
      return "rate_limit_error";
    default:
      return status_ < 500 ? "invalid_request_error" : "server_error";
  }
}

std::string error_body(const ApiError& error) {
  const auto or_null = [](const std::string& text) {
    return text.empty() ? nlohmann::ordered_json() : nlohmann::ordered_json(text);
  };
  const nlohmann::ordered_json json = {{"error",
                                        {{"message", error.what()},
                                         {"type", error.type()},
                                         {"param", or_null(error.param())},
                                         {"code", or_null(error.code())}}}};
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

HttpResponse error_response(const ApiError& error) {
  HttpResponse response{.status = error.status(), .body = error_body(error)};
  if (error.retry_after) {
    response.headers.emplace_back("Retry-After", fmt::format("{}", *error.retry_after));
  }
  if (error.status() == 401) {
    response.headers.emplace_back("WWW-Authenticate", "Bearer");
  }
  return response;
}

ApiError api_error_of(const Error& error, const std::string& param) {
  const bool asked = error.code() == ErrorCode::kConfig || error.code() == ErrorCode::kData;
  return {asked ? 400 : 500, error.what(), param};
}

}  // namespace loopbank

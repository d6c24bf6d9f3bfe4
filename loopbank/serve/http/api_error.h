#pragma once
/// Errors as the OpenAI API tells them: {"error": {"message", "type", "param", "code"}} and a status.

#include <optional>
#include <stdexcept>
#include <string>

#include "loopbank/serve/http/http.h"
#include "loopbank/support/error.h"

namespace loopbank {

/// Thrown while a request is read; becomes the answer.
class ApiError : public std::runtime_error {
 public:
  /// @param param  the field of the request's body that it is about; empty: none
  /// @param code   such as `unknown_field`; empty: null
  ApiError(int status, const std::string& message, std::string param = "", std::string code = "");

  [[nodiscard]] int status() const { return status_; }
  [[nodiscard]] const std::string& param() const { return param_; }
  [[nodiscard]] const std::string& code() const { return code_; }
  /// Of OpenAI's kinds the one that the status stands for: `invalid_request_error`,
  /// `authentication_error`, `not_found_error`, `rate_limit_error`, `server_error`.
  [[nodiscard]] const char* type() const;
  /// Seconds after which to try again, for 429 and 503.
  std::optional<int> retry_after{};

 private:
  int status_;
  std::string param_;
  std::string code_;
};

/// The error object alone, as a stream's event holds it.
[[nodiscard]] std::string error_body(const ApiError& error);
[[nodiscard]] HttpResponse error_response(const ApiError& error);
/// A library error: 400 for kConfig and kData, which are about what was asked; else 500.
[[nodiscard]] ApiError api_error_of(const Error& error, const std::string& param = "");

}  // namespace loopbank

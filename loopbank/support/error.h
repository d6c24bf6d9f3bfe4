#pragma once
/// Errors as the whole project raises them: a code, one sentence, a remedy.
///
/// A library function throws Error and never prints or exits; the program maps the code to an exit
/// status at its edge. The sentence reads `where: expected WHAT, got WHAT.`, followed by what the
/// user can do, and ends with a full stop (scripts/check_sources).

#include <fmt/format.h>

#include <stdexcept>
#include <string>
#include <utility>

namespace loopbank {

enum class ErrorCode {
  kConfig,      ///< a flag, a setting or a combination of settings
  kShape,       ///< a tensor of the wrong shape
  kDtype,       ///< a tensor or a stored value of the wrong type
  kData,        ///< a file that a user gave: missing, broken, of another vocabulary
  kCheckpoint,  ///< a model directory or a checkpoint that cannot be read or written
  kDevice,      ///< a device that is not there or out of memory
  kRanks,       ///< another process of the same computation: gone, silent or of another kind
};

class Error : public std::runtime_error {
 public:
  Error(ErrorCode code, const std::string& message) : std::runtime_error(message), code_(code) {}
  [[nodiscard]] ErrorCode code() const { return code_; }

 private:
  ErrorCode code_;
};

/// The exit status of a program that ends with this error: 2 for kConfig, 3 for kShape and
/// kDtype, 4 for kData, 5 for kCheckpoint, 6 for kDevice, 7 for kRanks.
[[nodiscard]] int exit_status(ErrorCode code);

/// Throws Error with a formatted message.
template <typename... Args>
[[noreturn]] void fail(ErrorCode code, fmt::format_string<Args...> format, Args&&... args) {
  throw Error(code, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace loopbank

#include "loopbank/support/duration.h"

#include <array>
#include <charconv>
#include <cmath>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr std::array<std::pair<std::string_view, double>, 3> kSecondsOfUnits = {
    {{"s", 1.0}, {"min", 60.0}, {"h", 3600.0}}};

}  // namespace

double parse_duration(std::string_view where, std::string_view text) {
  double number = 0.0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  if (error == std::errc() && std::isfinite(number) && number > 0.0) {
    const auto unit = text.substr(static_cast<size_t>(end - text.data()));
    for (const auto& [name, seconds] : kSecondsOfUnits) {
      if (unit == name) {
        return number * seconds;
      }
    }
  }
  fail(ErrorCode::kConfig, "{}: expected a time such as 300s, 5min or 1.5h, got \"{}\".", where,
       text);
}

}  // namespace loopbank

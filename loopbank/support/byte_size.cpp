#include "loopbank/support/byte_size.h"

#include <array>
#include <charconv>
#include <cmath>
#include <optional>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr double kKibi = 1024.0;
constexpr std::array<std::pair<std::string_view, double>, 8> kBytesOfUnits = {
    {{"B", 1.0},
     {"kB", 1e3},
     {"MB", 1e6},
     {"GB", 1e9},
     {"TB", 1e12},
     {"KiB", kKibi},
     {"MiB", kKibi* kKibi},
     {"GiB", kKibi* kKibi* kKibi}}};

/// A number above 0 and its unit, which `suffix` follows.
std::optional<double> read_amount(std::string_view text, std::string_view suffix) {
  double number = 0.0;
  const auto* const last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, number, std::chars_format::fixed);
  auto unit = text.substr(static_cast<size_t>(end - text.data()));
  if (error != std::errc() || !std::isfinite(number) || number <= 0.0 || !unit.ends_with(suffix)) {
    return std::nullopt;
  }
  unit.remove_suffix(suffix.size());
  for (const auto& [name, bytes] : kBytesOfUnits) {
    if (unit == name) {
      return number * bytes;
    }
  }
  return std::nullopt;
}

}  // namespace

double parse_bytes(std::string_view where, std::string_view text) {
  if (const auto bytes = read_amount(text, "")) {
    return *bytes;
  }
  fail(ErrorCode::kConfig, "{}: expected bytes such as 141GB, 80GiB or 512MB, got \"{}\".", where,
       text);
}

double parse_bandwidth(std::string_view where, std::string_view text) {
  if (const auto bytes = read_amount(text, "/s")) {
    return *bytes;
  }
  fail(ErrorCode::kConfig, "{}: expected a bandwidth such as 50GB/s or 900MB/s, got \"{}\".", where,
       text);
}

}  // namespace loopbank

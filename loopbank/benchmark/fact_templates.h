#pragma once
/// The wordings of the facts part: how each attribute is told, and how it is asked.

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace loopbank {

/// What an attribute's values are.
enum class ValueKind { kTown, kRiver, kCountry, kSurname, kWord };

/// Different statements that tell an attribute.
inline constexpr int64_t kNumWordings = 8;

/// An attribute of people or of places. `{name}` and `{value}` stand for the two it joins.
struct Attribute {
  std::string_view name;
  ValueKind values = ValueKind::kWord;
  std::span<const std::string_view> words;  ///< the values of kWord; else empty
  std::array<std::string_view, kNumWordings> statements;
  std::string_view question;  ///< with no statement in common; holds `{name}` alone
};

[[nodiscard]] std::span<const Attribute> person_attributes();
[[nodiscard]] std::span<const Attribute> place_attributes();

/// The template with its two places filled.
[[nodiscard]] std::string fill_template(std::string_view text, std::string_view name,
                                        std::string_view value);

}  // namespace loopbank

#pragma once
/// The wordings of the facts part: how each attribute is stated, and how it is asked about.

#include <array>
#include <span>
#include <string>
#include <string_view>

namespace loopbank {

/// The kind of an attribute's values.
enum class ValueKind { kTown, kRiver, kCountry, kSurname, kWord };

/// Number of different statements of an attribute.
inline constexpr int64_t kNumWordings = 8;

/// An attribute of people or of places. `{name}` and `{value}` stand for the two it joins.
struct Attribute {
  std::string_view name;
  ValueKind values = ValueKind::kWord;
  std::span<const std::string_view> words;  ///< the values of kWord; otherwise empty
  std::array<std::string_view, kNumWordings> statements;
  std::string_view question;  ///< unlike any statement; contains only `{name}`
};

[[nodiscard]] std::span<const Attribute> person_attributes();
[[nodiscard]] std::span<const Attribute> place_attributes();

/// The template with both placeholders filled.
[[nodiscard]] std::string fill_template(std::string_view text, std::string_view name,
                                        std::string_view value);

}  // namespace loopbank

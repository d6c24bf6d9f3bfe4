#pragma once
/// Values of settings: from a file's value to the field that it is meant for, back, and in errors.

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "loopbank/support/field.h"

namespace loopbank {

/// A value of a configuration whichever file it came from, with the place it stands at.
struct Located {
  nlohmann::json value;
  std::string where;
};

/// Stores a value of the field's type; whether it is allowed, check_field tells.
/// @throws Error kConfig as `where: "key" expects a whole number, got "three".`; the field keeps
///   what it held then
void assign(const Located& found, const Field& field);

/// What the field holds, as JSON.
[[nodiscard]] nlohmann::ordered_json value_of(const Field& field);

/// The value as an error shows it: as in JSON, but for numbers that are not finite: nan, inf.
[[nodiscard]] std::string show_value(const nlohmann::json& value);

/// Ends in the error of a value that the field does not take.
/// @param got   the value, as show_value has it
/// @param hint  a sentence that tells what to do, with a blank before it; may be empty
/// @throws Error kConfig as `where: "key" expects WHAT, got VALUE.HINT`
[[noreturn]] void refuse_value(const Field& field, std::string_view where, std::string_view got,
                               std::string_view hint = "");

}  // namespace loopbank

#pragma once
/// Flags declared as settings are (support/field.h): name, help, allowed values and the error for
/// any other value come from one Field.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/field.h"

namespace loopbank::cli {

/// Adds a flag that is stored where the field says: `max_tokens` becomes --max-tokens.
/// @param names  other names, in CLI11's form, where the key is not the flag's name
CLI::Option* add_setting_flag(CLI::App& command, const Field& field, std::string names = "");

/// The check of a flag that is stored elsewhere than the field's target.
[[nodiscard]] CLI::Validator allowed_values(const Field& field);

/// The check of whole numbers of `low` or more, for lists of them.
[[nodiscard]] CLI::Validator whole_numbers_from(int64_t low);

/// The field with this key, such as that of a setting that a flag stands for.
[[nodiscard]] Field field_named(const std::vector<Field>& fields, std::string_view key);

/// A list within one argument, with commas between, so that the arguments behind it stay free.
CLI::Option* comma_separated(CLI::Option* option);

}  // namespace loopbank::cli

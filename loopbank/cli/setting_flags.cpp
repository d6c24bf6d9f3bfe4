#include "loopbank/cli/setting_flags.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <optional>
#include <stdexcept>
#include <type_traits>
#include <utility>

#include "loopbank/support/suggest.h"

namespace loopbank::cli {
namespace {

bool holds_texts(const Field& field) {
  return std::holds_alternative<std::string*>(field.target) ||
         std::holds_alternative<TextOrList*>(field.target) ||
         std::holds_alternative<std::vector<std::string>*>(field.target);
}

bool holds_whole_numbers(const Field& field) {
  return std::holds_alternative<int64_t*>(field.target) ||
         std::holds_alternative<IntOrList*>(field.target);
}

bool holds_numbers_by_id(const Field& field) {
  return std::holds_alternative<NumberById*>(field.target);
}

/// `50256:-100` as an id and a number.
std::optional<std::pair<int64_t, double>> parse_number_of_id(const std::string& argument) {
  const auto colon = argument.find(':');
  int64_t id = 0;
  double number = 0.0;
  if (colon == std::string::npos || !CLI::detail::lexical_cast(argument.substr(0, colon), id) ||
      !CLI::detail::lexical_cast(argument.substr(colon + 1), number) || id < 0) {
    return std::nullopt;
  }
  return std::pair(id, number);
}

/// Whether the argument is of the field's type and one of its values.
bool is_allowed(const Field& field, const std::string& argument) {
  if (holds_texts(field)) {
    return field.allowed.holds(argument);
  }
  if (holds_whole_numbers(field)) {
    // A number beyond an int64 arrives as the last that one holds.
    int64_t number = 0;
    return CLI::detail::lexical_cast(argument, number) && number != INT64_MAX &&
           number != INT64_MIN && field.allowed.holds(static_cast<double>(number));
  }
  if (holds_numbers_by_id(field)) {
    const auto parsed = parse_number_of_id(argument);
    return parsed && field.allowed.holds(parsed->second);
  }
  double number = 0.0;
  return CLI::detail::lexical_cast(argument, number) && field.allowed.holds(number);
}

std::string flag_of(const std::string& key) {
  auto flag = "--" + key;
  std::replace(flag.begin(), flag.end(), '_', '-');
  return flag;
}

/// What --help shows behind the type of a flag with choices: `{fp32,bf16}`.
std::string choices_of(const Field& field) {
  return field.allowed.choices.empty()
             ? ""
             : fmt::format("{{{}}}", fmt::join(field.allowed.choices, ","));
}

/// What --help adds to the meaning of a flag with bounds: `; from 1 to 1024`, `; 0 or more`.
std::string bounds_of(const Field& field) {
  auto bounds = expected_element(field);
  for (const std::string_view type : {"a whole number", "a number", "a finite number"}) {
    if (bounds.starts_with(type)) {
      bounds.erase(0, type.size());
      bounds.erase(0, bounds.starts_with(" of ") ? 3 : 0);
      return bounds.empty() ? "" : ";" + bounds;
    }
  }
  return "";
}

/// A field's meaning begins in lower case, a line of --help with a capital.
std::string as_sentence(std::string text) {
  if (!text.empty()) {
    text.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(text.front())));
  }
  return text;
}

}  // namespace

CLI::Validator allowed_values(const Field& field) {
  auto expected = expected_element(field);
  if (holds_numbers_by_id(field)) {
    expected = fmt::format("an id, a colon and {}, such as 50256:-1.5", expected);
  }
  return {[field, expected](const std::string& argument) -> std::string {
            if (is_allowed(field, argument)) {
              return "";
            }
            const auto hint = holds_texts(field) ? suggestion(argument, field.allowed.choices) : "";
            return fmt::format("expected {}, got \"{}\".{}", expected, argument,
                               hint.starts_with(" Did") ? hint : "");
          },
          choices_of(field)};
}

CLI::Validator whole_numbers_from(int64_t low) {
  static int64_t unused = 0;
  return allowed_values(Field("numbers", &unused, "").minimum(static_cast<double>(low)));
}

CLI::Option* add_setting_flag(CLI::App& command, const Field& field, std::string names) {
  if (names.empty()) {
    names = flag_of(field.name);
  }
  const auto help = as_sentence(field.doc) + bounds_of(field);
  auto* option = std::visit(
      [&](auto* target) -> CLI::Option* {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (std::is_same_v<T, bool>) {
          return command.add_flag(names, *target, help);
        } else if constexpr (std::is_same_v<T, IntOrList> || std::is_same_v<T, TextOrList>) {
          return command.add_option(names, target->values, help);
        } else if constexpr (std::is_same_v<T, NumberById>) {
          return command
              .add_option_function<std::vector<std::string>>(
                  names,
                  [target](const std::vector<std::string>& arguments) {
                    for (const auto& argument : arguments) {
                      if (const auto parsed = parse_number_of_id(argument)) {
                        (*target)[parsed->first] = parsed->second;
                      }
                    }
                  },
                  help)
              ->type_name("ID:NUMBER");
        } else {
          return command.add_option(names, *target, help);
        }
      },
      field.target);
  const bool takes_any_text = holds_texts(field) && field.allowed.choices.empty();
  if (!takes_any_text && !std::holds_alternative<bool*>(field.target)) {
    option->check(allowed_values(field));
  }
  return option;
}

Field field_named(const std::vector<Field>& fields, std::string_view key) {
  const auto found =
      std::find_if(fields.begin(), fields.end(), [&](const Field& f) { return f.name == key; });
  if (found == fields.end()) {
    throw std::out_of_range("no setting is named " + std::string(key));
  }
  return *found;
}

CLI::Option* comma_separated(CLI::Option* option) {
  return option->delimiter(',')->allow_extra_args(false);
}

}  // namespace loopbank::cli

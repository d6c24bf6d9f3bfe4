#include "loopbank/support/field.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <type_traits>

#include "loopbank/support/error.h"
#include "loopbank/support/setting_values.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

/// ` from 1 to 64`, ` of 0 or more`, ` above 0 and below 1`; empty without bounds.
std::string bounds_in_words(const AllowedValues& allowed) {
  const bool has_low = std::isfinite(allowed.low);
  const bool has_high = std::isfinite(allowed.high);
  const auto low = fmt::format("{}", allowed.low);
  const auto high = fmt::format("{}", allowed.high);
  if (!has_low && !has_high) {
    return "";
  }
  if (!has_high) {
    return allowed.excludes_low ? " above " + low : " of " + low + " or more";
  }
  if (!has_low) {
    return allowed.excludes_high ? " below " + high : " of at most " + high;
  }
  return (allowed.excludes_low ? " above " + low + " and " : " from " + low + " to ") +
         (allowed.excludes_high  ? "below "
          : allowed.excludes_low ? "at most "
                                 : "") +
         high;
}

/// `"fp32" or "bf16"`, `"none", "loop" or "layer"`.
std::string choices_in_words(const std::vector<std::string>& choices) {
  std::string text;
  for (size_t i = 0; i < choices.size(); ++i) {
    text += i == 0 ? "" : i + 1 < choices.size() ? ", " : " or ";
    text += '"' + choices[i] + '"';
  }
  return text;
}

/// `a finite number` without bounds, `a number above 0` with them; "numbers" gives the plural.
std::string number_in_words(const AllowedValues& allowed, std::string_view number) {
  const auto bounds = bounds_in_words(allowed);
  return fmt::format("{}{}{}", bounds.empty() ? "finite " : "", number, bounds);
}

/// ` Nearest: 64.` where a bound that may itself be taken was passed.
std::string nearest_number(const AllowedValues& allowed, double value) {
  if (value < allowed.low && !allowed.excludes_low) {
    return fmt::format(" Nearest: {}.", allowed.low);
  }
  if (value > allowed.high && !allowed.excludes_high) {
    return std::isfinite(allowed.high) ? fmt::format(" Nearest: {}.", allowed.high) : "";
  }
  return "";
}

/// Whether a text is `cuda:7` where the choice is `cuda:K`.
bool is_numbered(std::string_view text, std::string_view choice) {
  constexpr size_t kMostDigits = 3;
  const auto stem = choice.substr(0, choice.size() - 1);
  if (!text.starts_with(stem)) {
    return false;
  }
  const auto digits = text.substr(stem.size());
  return !digits.empty() && digits.size() <= kMostDigits &&
         std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

/// ` Did you mean "bf16"?`; the error lists the choices anyway, so no list where none is near.
std::string nearest_choice(const AllowedValues& allowed, const std::string& value) {
  const auto hint = suggestion(value, allowed.choices);
  return hint.starts_with(" Did") ? hint : "";
}

/// Refuses the elements of a field that are not allowed. Where `T` is a list, its whole stands
/// behind the element.
struct CheckValue {
  const Field& field;
  std::string_view where;

  template <typename T>
  void check_element(const T& element, std::string_view list = "") const {
    std::string hint;
    if constexpr (std::is_arithmetic_v<T>) {
      const auto number = static_cast<double>(element);
      if (field.allowed.holds(number)) {
        return;
      }
      hint = nearest_number(field.allowed, number);
    } else {
      if (field.allowed.holds(element)) {
        return;
      }
      hint = nearest_choice(field.allowed, element);
    }
    if (is_unset(field)) {
      hint = " It has no default: set it.";
    }
    refuse_value(field, where,
                 show_value(element) + (list.empty() ? "" : fmt::format(" in {}", list)), hint);
  }
  template <typename T>
  void check_elements(const std::vector<T>& elements, bool is_list) const {
    const auto list = is_list ? show_value(elements) : "";
    for (const auto& element : elements) {
      check_element(element, list);
    }
  }

  void operator()(const int64_t* value) const { check_element(*value); }
  void operator()(const double* value) const { check_element(*value); }
  void operator()(const bool* /*value*/) const {}
  void operator()(const std::string* value) const { check_element(*value); }
  void operator()(const std::optional<double>* value) const {
    if (value->has_value()) {
      check_element(**value);
    }
  }
  void operator()(const IntOrList* value) const { check_elements(value->values, value->is_list); }
  void operator()(const TextOrList* value) const { check_elements(value->values, value->is_list); }
  void operator()(const std::vector<std::string>* value) const { check_elements(*value, true); }
  void operator()(const std::vector<double>* value) const { check_elements(*value, true); }
  void operator()(const NumberById* value) const {
    for (const auto& [id, number] : *value) {
      check_element(number, fmt::format("the value of id {}", id));
    }
  }
};

}  // namespace

bool AllowedValues::holds(double number) const {
  return std::isfinite(number) && (excludes_low ? number > low : number >= low) &&
         (excludes_high ? number < high : number <= high);
}

bool AllowedValues::holds(const std::string& text) const {
  return choices.empty() || std::any_of(choices.begin(), choices.end(), [&](const auto& choice) {
           return choice == text || (choice.ends_with(":K") && is_numbered(text, choice));
         });
}

Field& Field::range(double low, double high) {
  allowed.low = low;
  allowed.high = high;
  return *this;
}

Field& Field::minimum(double low) {
  allowed.low = low;
  return *this;
}

Field& Field::above(double low) {
  allowed.low = low;
  allowed.excludes_low = true;
  return *this;
}

Field& Field::below(double high) {
  allowed.high = high;
  allowed.excludes_high = true;
  return *this;
}

Field& Field::choices(std::vector<std::string> texts) {
  allowed.choices = std::move(texts);
  return *this;
}

Field& Field::required() {
  is_required = true;
  return *this;
}

std::string expected_element(const Field& field) {
  const auto& allowed = field.allowed;
  return std::visit(
      [&](auto* target) -> std::string {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (std::is_same_v<T, int64_t> || std::is_same_v<T, IntOrList>) {
          return "a whole number" + bounds_in_words(allowed);
        } else if constexpr (std::is_same_v<T, bool>) {
          return "true or false";
        } else if constexpr (std::is_same_v<T, std::string> || std::is_same_v<T, TextOrList> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          return allowed.choices.empty() ? "a text in quotes" : choices_in_words(allowed.choices);
        } else {
          return "a " + number_in_words(allowed, "number");
        }
      },
      field.target);
}

std::string expected_value(const Field& field) {
  const auto& allowed = field.allowed;
  return std::visit(
      [&](auto* target) -> std::string {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (std::is_same_v<T, IntOrList>) {
          return "a whole number or a list of whole numbers" + bounds_in_words(allowed);
        } else if constexpr (std::is_same_v<T, TextOrList> ||
                             std::is_same_v<T, std::vector<std::string>>) {
          return allowed.choices.empty() ? "a text or a list of texts"
                                         : expected_element(field) + ", or a list of these";
        } else if constexpr (std::is_same_v<T, std::vector<double>>) {
          return "a list of " + number_in_words(allowed, "numbers");
        } else if constexpr (std::is_same_v<T, NumberById>) {
          return "ids of 0 or more, each with a " + number_in_words(allowed, "number");
        } else {
          return expected_element(field);
        }
      },
      field.target);
}

bool is_unset(const Field& field) {
  if (!field.is_required) {
    return false;
  }
  const auto value = value_of(field);
  return value == 0 || value == "";
}

void check_field(const Field& field, std::string_view where) {
  std::visit(CheckValue{field, where}, field.target);
}

void check_fields(const std::vector<Field>& fields, std::string_view where) {
  for (const auto& field : fields) {
    check_field(field, where);
  }
}

bool TextOrList::empty() const {
  return std::all_of(values.begin(), values.end(), [](const auto& text) { return text.empty(); });
}

std::string TextOrList::joined() const {
  return fmt::format("{}", fmt::join(values, ", "));
}

}  // namespace loopbank

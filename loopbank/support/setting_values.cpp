#include "loopbank/support/setting_values.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>
#include <system_error>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

/// Whole numbers that an int64 holds; JSON can also state larger ones.
bool is_whole_number(const Json& value) {
  return value.is_number_integer() &&
         (!value.is_number_unsigned() ||
          value.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()));
}

/// How a whole number with a point or an exponent, such as 1e3, is to be written.
std::string whole_number_hint(const Json& value) {
  constexpr double kExact = 0x1p53;
  if (!value.is_number_float()) {
    return "";
  }
  const auto number = value.get<double>();
  return std::abs(number) < kExact && number == std::floor(number)
             ? fmt::format(" Write {}.", static_cast<int64_t>(number))
             : "";
}

[[noreturn]] void refuse_type(const Located& found, const Field& field) {
  refuse_value(field, found.where, show_value(found.value));
}

std::vector<int64_t> integers(const Located& found, const Field& field) {
  std::vector<int64_t> values;
  for (const auto& item : found.value) {
    if (!is_whole_number(item)) {
      refuse_type(found, field);
    }
    values.push_back(item.get<int64_t>());
  }
  if (values.empty()) {
    fail(ErrorCode::kConfig, "{}: \"{}\" expects a list with at least one whole number, got [].",
         found.where, field.name);
  }
  return values;
}

/// An id as an object's key: digits alone, so that no two keys are one id.
std::optional<int64_t> parse_id(const std::string& key) {
  int64_t id = 0;
  const auto* const end = key.data() + key.size();
  const auto [stop, error] = std::from_chars(key.data(), end, id);
  if (error != std::errc() || stop != end || std::to_string(id) != key || id < 0) {
    return std::nullopt;
  }
  return id;
}

/// Stores a value of the wrong type nowhere: every branch checks before it assigns.
struct Assign {
  const Located& found;
  const Field& field;

  void operator()(int64_t* target) const {
    if (!is_whole_number(found.value)) {
      refuse_value(field, found.where, show_value(found.value), whole_number_hint(found.value));
    }
    *target = found.value.get<int64_t>();
  }
  void operator()(double* target) const {
    if (!found.value.is_number() || !std::isfinite(found.value.get<double>())) {
      refuse_type(found, field);
    }
    *target = found.value.get<double>();
  }
  void operator()(bool* target) const {
    if (!found.value.is_boolean()) {
      refuse_type(found, field);
    }
    *target = found.value.get<bool>();
  }
  void operator()(std::string* target) const {
    if (!found.value.is_string()) {
      refuse_type(found, field);
    }
    *target = found.value.get<std::string>();
  }
  void operator()(std::optional<double>* target) const {
    if (found.value.is_null()) {
      target->reset();
      return;
    }
    if (!found.value.is_number() || !std::isfinite(found.value.get<double>())) {
      refuse_type(found, field);
    }
    *target = found.value.get<double>();
  }
  void operator()(IntOrList* target) const {
    if (is_whole_number(found.value)) {
      *target = found.value.get<int64_t>();
    } else if (found.value.is_array()) {
      *target = integers(found, field);
    } else {
      refuse_type(found, field);
    }
  }
  void operator()(TextOrList* target) const {
    const bool is_list = found.value.is_array();
    const auto texts = is_list ? found.value : Json::array({found.value});
    if (!std::all_of(texts.begin(), texts.end(), [](const Json& v) { return v.is_string(); })) {
      refuse_type(found, field);
    }
    target->values = texts.get<std::vector<std::string>>();
    target->is_list = is_list;
  }
  void operator()(std::vector<std::string>* target) const {
    TextOrList texts;
    (*this)(&texts);
    *target = std::move(texts.values);
  }
  void operator()(std::vector<double>* target) const {
    const auto is_finite = [](const Json& v) {
      return v.is_number() && std::isfinite(v.get<double>());
    };
    if (!found.value.is_array() ||
        !std::all_of(found.value.begin(), found.value.end(), is_finite)) {
      refuse_type(found, field);
    }
    *target = found.value.get<std::vector<double>>();
  }
  void operator()(NumberById* target) const {
    if (!found.value.is_object()) {
      refuse_type(found, field);
    }
    NumberById numbers;
    for (const auto& [key, value] : found.value.items()) {
      const auto id = parse_id(key);
      if (!id || !value.is_number() || !std::isfinite(value.get<double>())) {
        refuse_type(found, field);
      }
      numbers[*id] = value.get<double>();
    }
    *target = std::move(numbers);
  }
};

}  // namespace

void assign(const Located& found, const Field& field) {
  std::visit(Assign{found, field}, field.target);
}

nlohmann::ordered_json value_of(const Field& field) {
  return std::visit(
      [](const auto* target) -> nlohmann::ordered_json {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (std::is_same_v<T, std::optional<double>>) {
          return target->has_value() ? nlohmann::ordered_json(**target)
                                     : nlohmann::ordered_json(nullptr);
        } else if constexpr (std::is_same_v<T, IntOrList>) {
          return target->is_list ? nlohmann::ordered_json(target->values)
                                 : nlohmann::ordered_json(target->values.front());
        } else if constexpr (std::is_same_v<T, TextOrList>) {
          return target->is_list ? nlohmann::ordered_json(target->values)
                                 : nlohmann::ordered_json(target->joined());
        } else if constexpr (std::is_same_v<T, NumberById>) {
          auto object = nlohmann::ordered_json::object();
          for (const auto& [id, number] : *target) {
            object[std::to_string(id)] = number;
          }
          return object;
        } else {
          return *target;
        }
      },
      field.target);
}

std::string show_value(const Json& value) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    return fmt::format("{}", value.get<double>());  // JSON has no such number and writes null
  }
  if (!value.is_array()) {
    return is_unreadable(value) ? show_json(value) : value.dump();
  }
  std::vector<std::string> elements;
  for (const auto& element : value) {
    elements.push_back(show_value(element));
  }
  return fmt::format("[{}]", fmt::join(elements, ","));
}

void refuse_value(const Field& field, std::string_view where, std::string_view got,
                  std::string_view hint) {
  fail(ErrorCode::kConfig, "{}: \"{}\" expects {}, got {}.{}", where, field.name,
       expected_value(field), got, hint);
}

}  // namespace loopbank

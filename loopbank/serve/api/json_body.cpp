#include "loopbank/serve/api/json_body.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>
#include <variant>

#include "loopbank/support/json.h"
#include "loopbank/support/settings.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

/// 16.0 as 16 where a whole number is asked for: JSON has one kind of number, and some clients write
/// it so. Beyond 2^53 a double may stand for another number.
Json as_whole_number(const Json& value) {
  constexpr double kExact = 9007199254740992.0;
  if (!value.is_number_float()) {
    return value;
  }
  const auto number = value.get<double>();
  return number == std::floor(number) && std::abs(number) <= kExact
             ? Json(static_cast<int64_t>(number))
             : value;
}

/// An error must not send back a body of megabytes.
constexpr size_t kLongestMessage = 1000;
constexpr size_t kLongestName = 64;

Json parse_text(std::string_view text) {
  try {
    return parse_json(text, "body", {.expected = "a JSON object"});
  } catch (const Error& error) {
    throw ApiError(400, cut_text(error.what(), kLongestMessage), "", "invalid_json");
  }
}

}  // namespace

std::string cut_text(std::string text, size_t most) {
  if (text.size() <= most) {
    return text;
  }
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0U) == 0x80U) {
    --most;
  }
  text.resize(most);
  return text + "...";
}

JsonBody::JsonBody(std::string_view text, std::string where)
    : JsonBody(parse_text(text), std::move(where), "") {}

JsonBody::JsonBody(Json value, std::string where, std::string param)
    : json_(std::move(value)), where_(std::move(where)), param_(std::move(param)) {
  if (!json_.is_object()) {
    throw ApiError(400,
                   fmt::format("{}: expected a JSON object, got {}.", where_, show_json(json_)),
                   param_, param_.empty() ? "invalid_json" : "invalid_value");
  }
}

std::string JsonBody::param(const std::string& name) const {
  return param_.empty() ? name : param_ + "." + name;
}

const Json* JsonBody::find(const std::string& name) const {
  const auto found = json_.find(name);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

const Json& JsonBody::at(const std::string& name, std::string_view expected) const {
  const auto* value = find(name);
  if (value == nullptr) {
    throw ApiError(400, fmt::format("{}: expected \"{}\", {}, got none.", where_, name, expected),
                   param(name), "missing_field");
  }
  return *value;
}

void JsonBody::expect_known(const std::vector<std::string>& known,
                            const std::vector<UndoneField>& undone) const {
  for (const auto& [name, value] : json_.items()) {
    if (std::find(known.begin(), known.end(), name) != known.end()) {
      continue;
    }
    const auto& key = name;
    const auto found = std::find_if(undone.begin(), undone.end(),
                                    [&](const auto& field) { return field.name == key; });
    const auto shown = cut_text(name, kLongestName);
    if (found == undone.end()) {
      throw ApiError(400,
                     fmt::format("{}: unknown field {}.{}", where_, show_json(Json(shown)),
                                 suggestion(shown, known)),
                     param(shown), "unknown_field");
    }
    if (!value.is_null() &&
        std::find(found->taken.begin(), found->taken.end(), value) == found->taken.end()) {
      throw ApiError(
          400,
          fmt::format("{}: \"{}\" is a field of the OpenAI API that this server does not "
                      "do: expected it absent, got {}. Leave it out.",
                      where_, name, show_json(value)),
          param(name), "unsupported_field");
    }
  }
}

void JsonBody::read(const std::vector<Field>& fields) const {
  for (const auto& field : fields) {
    if (const auto* value = find(field.name)) {
      const bool is_whole = std::holds_alternative<int64_t*>(field.target);
      const Json object = {{field.name, is_whole ? as_whole_number(*value) : *value}};
      check(field.name, [&] { read_json(object, {field}, where_); });
    }
  }
}

void JsonBody::refuse(const std::string& name, std::string_view expected,
                      const std::string& got) const {
  throw ApiError(400, fmt::format("{}: \"{}\" expects {}, got {}.", where_, name, expected, got),
                 param(name), "invalid_value");
}

void JsonBody::check(const std::string& name, const std::function<void()>& check, int status,
                     const std::string& code) const {
  try {
    check();
  } catch (const Error& error) {
    throw ApiError(status, cut_text(error.what(), kLongestMessage), param(name), code);
  }
}

}  // namespace loopbank

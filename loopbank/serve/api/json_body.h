#pragma once
/// The JSON object that a request's body holds, read field by field, so that every error names its
/// field. null counts as absent, as the OpenAI API has it.

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/http/api_error.h"
#include "loopbank/support/field.h"

namespace loopbank {

/// A field that the OpenAI API defines and that is not done here.
struct UndoneField {
  std::string name;
  std::vector<nlohmann::json> taken{};  ///< values that ask for nothing, and are taken beside null
};

class JsonBody {
 public:
  /// @param where  what errors call the request, such as `completions`
  /// @throws ApiError 400 `invalid_json` for a text that is no JSON or no object
  JsonBody(std::string_view text, std::string where);
  /// An object in a body.
  /// @param param  the field that holds it; empty: the body itself
  /// @throws ApiError 400 for a value that is no object
  JsonBody(nlohmann::json value, std::string where, std::string param);

  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] const nlohmann::json& json() const { return json_; }
  /// nullptr where the field is absent or null.
  [[nodiscard]] const nlohmann::json* find(const std::string& name) const;
  /// @throws ApiError 400 `missing_field`
  [[nodiscard]] const nlohmann::json& at(const std::string& name, std::string_view expected) const;

  /// @throws ApiError 400 `unknown_field`, with the nearest known name, or `unsupported_field`
  void expect_known(const std::vector<std::string>& known,
                    const std::vector<UndoneField>& undone = {}) const;
  /// Reads those of the fields that the body has.
  /// @throws ApiError 400 `invalid_value`
  void read(const std::vector<Field>& fields) const;
  /// @throws ApiError 400 `invalid_value` as `where: "name" expects EXPECTED, got VALUE.`
  [[noreturn]] void refuse(const std::string& name, std::string_view expected,
                           const std::string& got) const;
  /// What `check` throws as an answer about a field.
  void check(const std::string& name, const std::function<void()>& check, int status = 400,
             const std::string& code = "invalid_value") const;

  /// The field as errors name it: `stream_options.include_usage`.
  [[nodiscard]] std::string param(const std::string& name) const;

 private:
  nlohmann::json json_;
  std::string where_;
  std::string param_;
};

/// The text, or its beginning where it takes more than `most` bytes; whole characters of UTF-8.
[[nodiscard]] std::string cut_text(std::string text, size_t most);

}  // namespace loopbank

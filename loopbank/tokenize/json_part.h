#pragma once
/// The parts of a tokenizer's JSON files: each knows the file and the way to it, so that an error
/// names both.

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {

/// A value in the file and the way to it, such as `model.vocab`.
class JsonPart {
 public:
  static constexpr const char* kTopLevel = "top level";

  JsonPart(const nlohmann::json& json, std::string path, const std::string& where)
      : json_(&json), path_(std::move(path)), where_(&where) {}

  [[nodiscard]] const nlohmann::json& json() const { return *json_; }
  [[nodiscard]] const std::string& where() const { return *where_; }

  template <typename... Args>
  [[noreturn]] void refuse(fmt::format_string<Args...> format, Args&&... args) const {
    fail(ErrorCode::kData, "{}: {}: {}.", *where_, path_,
         fmt::format(format, std::forward<Args>(args)...));
  }

  /// Whether the key is there with a value other than null.
  [[nodiscard]] bool has(const char* key) const {
    expect_object();
    const auto found = json_->find(key);
    return found != json_->end() && !found->is_null();
  }
  [[nodiscard]] JsonPart at(const char* key) const {
    expect_object();
    const auto found = json_->find(key);
    if (found == json_->end()) {
      refuse("expected the key \"{}\", got none of that name", key);
    }
    return {*found, path_ == kTopLevel ? key : path_ + "." + key, *where_};
  }
  [[nodiscard]] std::vector<JsonPart> items() const {
    if (!json_->is_array()) {
      refuse("expected a list, got {}", show_json(*json_));
    }
    std::vector<JsonPart> parts;
    parts.reserve(json_->size());
    for (size_t i = 0; i < json_->size(); ++i) {
      parts.emplace_back((*json_)[i], fmt::format("{}[{}]", path_, i), *where_);
    }
    return parts;
  }
  [[nodiscard]] const std::string& text() const {
    if (!json_->is_string()) {
      refuse("expected a string, got {}", show_json(*json_));
    }
    return json_->get_ref<const std::string&>();
  }
  [[nodiscard]] bool flag(const char* key, bool otherwise) const {
    return has(key) ? flag(key) : otherwise;
  }
  [[nodiscard]] bool flag(const char* key) const {
    const auto part = at(key);
    if (!part.json().is_boolean()) {
      part.refuse("expected true or false, got {}", show_json(part.json()));
    }
    return part.json().get<bool>();
  }
  /// Refuses a value that this program would have to ignore.
  void expect_off(const char* key) const {
    static const std::array<nlohmann::json, 3> kOff = {false, "", 0.0};
    if (has(key) && std::find(kOff.begin(), kOff.end(), json_->at(key)) == kOff.end()) {
      at(key).refuse("expected it to be off, got {}: it is not supported",
                     show_json(json_->at(key)));
    }
  }
  void expect_object() const {
    if (!json_->is_object()) {
      refuse("expected an object, got {}", show_json(*json_));
    }
  }

 private:
  const nlohmann::json* json_;
  std::string path_;
  const std::string* where_;
};

}  // namespace loopbank

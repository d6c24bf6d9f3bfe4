#pragma once
/// Objects as JSON, their keys told once for both ways: a template
/// `members(by, object)` names each key with its member, and `by` writes or reads them.
///
///     void members(auto& by, Either<Difference> auto& it) {
///       by("low", it.low);
///       by("high", it.high);
///     }
///     JsonWriter::write(difference)                     {"low": ..., "high": ...}
///     JsonReader(json, "r.json", form).read(difference)

#include <fmt/format.h>

#include <concepts>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "loopbank/support/error.h"
#include "loopbank/support/json.h"

namespace loopbank {

/// The type, const or not: an object that is written or read.
template <typename Object, typename Type>
concept Either = std::same_as<std::remove_const_t<Object>, Type>;

/// What is read, for errors.
struct MembersForm {
  std::string expected;     ///< behind "expected"
  std::string remedy = {};  ///< a sentence that ends every error, or nothing
  bool all = false;         ///< a missing key is an error; else it leaves what is there
};

/// Writes members; an optional one without a value is left out.
class JsonWriter {
 public:
  using Json = nlohmann::ordered_json;
  Json json = Json::object();

  template <typename Value>
  void operator()(const char* key, const Value& value) {
    json[key] = value;
  }
  template <typename Value>
  void operator()(const char* key, const std::optional<Value>& value) {
    if (value) {
      json[key] = *value;
    }
  }
  /// Left out where it is empty.
  template <typename Value>
  void unless_empty(const char* key, const Value& value) {
    if (!value.empty()) {
      json[key] = value;
    }
  }
  template <typename Object>
  void object(const char* key, const Object& value) {
    json[key] = write(value);
  }
  template <typename Object>
  void object(const char* key, const std::optional<Object>& value) {
    if (value) {
      json[key] = write(*value);
    }
  }
  template <typename Item>
  void list(const char* key, const std::vector<Item>& items) {
    auto& list = json[key] = Json::array();
    for (const auto& item : items) {
      list.push_back(write(item));
    }
  }

  template <typename Object>
  static Json write(const Object& object) {
    JsonWriter writer;
    members(writer, object);
    return std::move(writer.json);
  }
};

/// Reads members. JSON has no number that is not finite: null stands for it.
/// A view: the JSON must outlive it.
class JsonReader {
 public:
  using Json = nlohmann::ordered_json;

  /// @throws Error kData when it is no object; so do all that follow, for a value of another type
  JsonReader(const Json& json, std::string where, const MembersForm& form)
      : json_(json), where_(std::move(where)), form_(form) {
    if (!json_.is_object()) {
      refuse(kind_of(json_));
    }
  }

  template <typename Value>
  void operator()(const char* key, Value& value) const {
    if (const auto* found = find(key)) {
      convert(*found, key, value);
    } else if (form_.all) {
      refuse(fmt::format("no \"{}\"", key));
    }
  }
  template <typename Value>
  void operator()(const char* key, std::optional<Value>& value) const {
    const auto* found = find(key);
    if (found != nullptr && !found->is_null()) {
      convert(*found, key, value.emplace());
    }
  }
  template <typename Value>
  void unless_empty(const char* key, Value& value) const {
    if (const auto* found = find(key)) {
      convert(*found, key, value);
    }
  }
  template <typename Object>
  void object(const char* key, Object& value) const {
    if (find(key) != nullptr) {
      at(key).read(value);
    } else if (form_.all) {
      refuse(fmt::format("no \"{}\"", key));
    }
  }
  template <typename Object>
  void object(const char* key, std::optional<Object>& value) const {
    if (find(key) != nullptr) {
      at(key).read(value.emplace());
    }
  }
  template <typename Item>
  void list(const char* key, std::vector<Item>& items) const {
    each(key, [&](const std::string&, const JsonReader& item) { item.read(items.emplace_back()); });
  }

  template <typename Object>
  void read(Object& object) const {
    members(*this, object);
  }
  /// `read(name, reader)` for every element of a list, or member of an object.
  template <typename Read>
  void each(const char* key, const Read& read) const {
    if (const auto* found = find(key)) {
      for (const auto& [name, value] : found->items()) {
        read(name, JsonReader(value, fmt::format("{}.{}.{}", where_, key, name), form_));
      }
    } else if (form_.all) {
      refuse(fmt::format("no \"{}\"", key));
    }
  }
  [[nodiscard]] JsonReader at(const char* key) const {
    return {*find(key), fmt::format("{}.{}", where_, key), form_};
  }
  /// Null where there is none.
  [[nodiscard]] const Json* find(const char* key) const {
    const auto found = json_.find(key);
    return found == json_.end() ? nullptr : &*found;
  }
  [[nodiscard]] const std::string& where() const { return where_; }
  [[nodiscard]] const Json& json() const { return json_; }

 private:
  template <typename Value>
  void convert(const Json& from, const char* key, Value& value) const {
    try {
      from.get_to(value);
    } catch (const nlohmann::json::exception&) {
      refuse(fmt::format("{} as \"{}\"", kind_of(from), key));
    }
  }
  void convert(const Json& from, const char* key, double& value) const {
    if (from.is_null()) {
      value = std::numeric_limits<double>::quiet_NaN();
    } else if (from.is_number()) {
      value = from.get<double>();
    } else {
      refuse(fmt::format("{} as \"{}\"", kind_of(from), key));
    }
  }
  void convert(const Json& from, const char* key, std::vector<double>& values) const {
    convert_list(from, key, values);
  }
  void convert(const Json& from, const char* key, std::vector<std::vector<double>>& lists) const {
    convert_list(from, key, lists);
  }
  template <typename Item>
  void convert_list(const Json& from, const char* key, std::vector<Item>& items) const {
    if (!from.is_array()) {
      refuse(fmt::format("{} as \"{}\"", kind_of(from), key));
    }
    items.clear();
    for (const auto& item : from) {
      convert(item, key, items.emplace_back());
    }
  }
  /// What nobody can read, as it is spelt; else the type.
  static std::string kind_of(const Json& value) {
    return value.is_binary() ? show_json(value) : value.type_name();
  }
  [[noreturn]] void refuse(const std::string& got) const {
    fail(ErrorCode::kData, "{}: expected {}, got {}.{}", where_, form_.expected, got,
         form_.remedy.empty() ? "" : " " + form_.remedy);
  }

  const Json& json_;
  std::string where_;
  const MembersForm& form_;
};

/// A JSON file as it stands; nothing without the file.
/// @throws Error kData as above
template <typename Object>
[[nodiscard]] std::optional<Object> read_members_file(const std::filesystem::path& path,
                                                      const MembersForm& form) {
  if (!std::filesystem::exists(path)) {
    return std::nullopt;
  }
  const auto json = read_json_file<nlohmann::ordered_json>(
      path, {.expected = form.expected, .remedy = form.remedy});
  Object object;
  JsonReader(json, path.string(), form).read(object);
  return object;
}

}  // namespace loopbank

#pragma once
/// The required values of a JSON object in one of our own files, each with a clear error.

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace loopbank {

/// A view of an object that must outlive it.
class JsonValues {
 public:
  /// @param where  names the object in errors
  /// @throws Error kData when it is not an object
  JsonValues(const nlohmann::ordered_json& object, std::string where);

  /// @throws Error kData when there is no such key, or a value of another type
  [[nodiscard]] const nlohmann::ordered_json& at(const char* key) const;
  [[nodiscard]] int64_t count(const char* key) const;  ///< 0 or more
  [[nodiscard]] bool flag(const char* key) const;
  [[nodiscard]] const std::string& text(const char* key) const;
  [[nodiscard]] const nlohmann::ordered_json& list(const char* key) const;

  /// @throws Error kData `where: "key" expects EXPECTED, got VALUE.`
  [[noreturn]] void refuse(const char* key, std::string_view expected) const;
  /// @throws Error kData where the value differs
  void expect_text(const char* key, std::string_view expected) const;
  void expect_count(const char* key, int64_t expected) const;

 private:
  const nlohmann::ordered_json& object_;
  std::string where_;
};

/// @throws Error kData when the file cannot be read or is not JSON
[[nodiscard]] nlohmann::ordered_json read_json_file(const std::filesystem::path& path);

}  // namespace loopbank

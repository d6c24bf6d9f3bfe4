#pragma once
/// JSON from outside, read by one reader: whole texts, files, and lines of JSON.
///
/// A value is built from what json_scanner.h reads, which says why the library's own parser does
/// not do. The library's keeps the last of two equal keys in silence, copies and writes a value by
/// recursion, so that a line of a hundred thousand brackets would end the program, and names no
/// file.
///
/// What JSON's common writers emit and nobody can read (json_scanner.h: NaN, Infinity, 1e400, half
/// a surrogate pair) stands in a value as binary data, which JSON has not: no reader takes it for a
/// number or a text, so that it is refused where it is read and passed over where it is not.
///
/// Not here: settings (settings.h), compressed lines (LineReader), and the texts of a corpus, of
/// which TextReader takes one field without building the rest.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "loopbank/support/error.h"

namespace loopbank {

/// Levels of lists and objects within each other.
inline constexpr size_t kDeepestJson = 128;
inline constexpr size_t kLargestJsonBytes = size_t{256} << 20;

/// What is read, for errors.
struct JsonForm {
  ErrorCode code = ErrorCode::kData;
  std::string expected = "JSON";  ///< what stands behind "expected" where the text is no JSON
  std::string remedy = {};        ///< a sentence that ends every error, or nothing
};

/// The value that a whole text holds.
///
/// Json is nlohmann::json, or ordered_json for what is written out again: an object of n keys then
/// takes n^2 / 2 comparisons.
///
/// @param where  what errors call the text, such as its file
/// @throws Error form.code, `where:line:column: expected WHAT, got WHAT.`, for a text that is no
///   JSON (a NUL byte and text behind the value included), is longer than kLargestJsonBytes or not
///   UTF-8, nests deeper than kDeepestJson, or holds a key twice in one object. The column counts
///   bytes from 1 up to the one at which it showed.
template <typename Json = nlohmann::json>
[[nodiscard]] Json parse_json(std::string_view text, const std::string& where,
                              const JsonForm& form = {});

/// The value of a file.
/// @throws Error form.code as above, or when it cannot be read or holds more than kLargestJsonBytes
template <typename Json = nlohmann::json>
[[nodiscard]] Json read_json_file(const std::filesystem::path& path, const JsonForm& form = {});

/// The value of one line of a file.
/// @param where  `file:line`
/// @throws Error as parse_json, `where:column: ...`
[[nodiscard]] nlohmann::json parse_json_line(std::string_view line, const std::string& where,
                                             const JsonForm& form = {});

/// Calls `take` with the value of each line and its place, `file:line`, until it returns false.
/// Blank lines are passed over.
/// @param next_line  makes its argument the next line without its end; false behind the last
/// @throws Error as parse_json_line
void for_each_json_line(
    const std::function<bool(std::string& line)>& next_line, const std::string& file,
    const JsonForm& form,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take);

/// Whether a value is one of those that nobody can read, as told above.
[[nodiscard]] bool is_unreadable(const nlohmann::json& value);

/// A value for an error: as JSON, cut where it is long; lists and objects by their kind alone.
[[nodiscard]] std::string show_json(const nlohmann::json& value);

/// The values of one object that a file must hold, each with a clear error. A view: the object must
/// outlive it.
class JsonValues {
 public:
  /// @param where  names the object in errors
  /// @throws Error form.code when it is no object
  JsonValues(const nlohmann::json& object, std::string where, JsonForm form = {});

  [[nodiscard]] bool has(const char* key) const;

  /// @throws Error form.code when there is no such key, or a value of another type
  [[nodiscard]] const nlohmann::json& at(const char* key) const;
  [[nodiscard]] int64_t integer(const char* key) const;
  [[nodiscard]] int64_t count(const char* key) const;  ///< 0 and more
  [[nodiscard]] double number(const char* key) const;
  [[nodiscard]] bool flag(const char* key) const;
  [[nodiscard]] const std::string& text(const char* key) const;
  [[nodiscard]] const nlohmann::json& list(const char* key) const;
  [[nodiscard]] const nlohmann::json& object(const char* key) const;

  /// @throws Error form.code `where: "key" expects EXPECTED, got VALUE.`
  [[noreturn]] void refuse(const char* key, std::string_view expected) const;
  /// @throws Error form.code where the value is another one
  void expect_text(const char* key, std::string_view expected) const;
  void expect_count(const char* key, int64_t expected) const;

 private:
  const nlohmann::json& object_;
  std::string where_;
  JsonForm form_;
};

}  // namespace loopbank

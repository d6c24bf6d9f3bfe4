#pragma once
/// One setting, declared in one place: key, type, allowed values, meaning, and where it is stored.
///
///     Field("hidden_size", &hidden_size, "D, width of the hidden state").range(2, 1 << 20)
///
/// TOML files, `--set`, config.json, command-line flags, error texts and docs/settings.md all take
/// from it what a setting may hold and what it means. The default is what the variable holds.

#include <cstdint>
#include <initializer_list>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace loopbank {

/// A setting that is one whole number or a list of them: `max_loops = 3`, one number for all
/// layers, or `max_loops = {1, 2, 3}`, one for each. A list of one is still a list.
struct IntOrList {
  std::vector<int64_t> values{0};
  bool is_list = false;

  IntOrList() = default;
  IntOrList(int64_t number) : values{number} {}
  IntOrList(std::initializer_list<int64_t> list) : values(list), is_list(true) {}
  IntOrList(std::vector<int64_t> list) : values(std::move(list)), is_list(true) {}
  bool operator==(const IntOrList&) const = default;
};

/// A setting that is one text or a list of them, such as `train = "a"` and `train = ["a", "b"]`.
struct TextOrList {
  std::vector<std::string> values{std::string()};
  bool is_list = false;

  TextOrList() = default;
  TextOrList(std::string text) : values{std::move(text)} {}
  TextOrList(const char* text) : values{text} {}
  TextOrList(std::vector<std::string> list) : values(std::move(list)), is_list(true) {}
  /// Whether there is nothing in it but empty texts.
  [[nodiscard]] bool empty() const;
  /// The text, or the texts with a comma between them.
  [[nodiscard]] std::string joined() const;
  bool operator==(const TextOrList&) const = default;
};

/// A setting that gives numbers to some ids, such as a bias to tokens: `{"50256": -100}` in JSON,
/// `{ 50256 = -100 }` in TOML, `50256:-100` as a flag.
using NumberById = std::map<int64_t, double>;

/// Where a field's value is stored, by its type.
using FieldTarget =
    std::variant<int64_t*, double*, bool*, std::string*, std::optional<double>*, IntOrList*,
                 TextOrList*, std::vector<std::string>*, std::vector<double>*, NumberById*>;

/// The values that a field takes, beyond its type. Of a list, every element is held to them.
struct AllowedValues {
  double low = -std::numeric_limits<double>::infinity();
  double high = std::numeric_limits<double>::infinity();
  bool excludes_low = false;
  bool excludes_high = false;
  /// Of a text; empty: any text. One that ends in ":K" stands for texts with a whole number from 0 to
  /// 999 in the place of K.
  std::vector<std::string> choices;

  /// Whether the number is finite and within the bounds.
  [[nodiscard]] bool holds(double number) const;
  /// Whether the text is one of the choices.
  [[nodiscard]] bool holds(const std::string& text) const;
};

struct Field {
  Field(std::string key, FieldTarget where_it_is_stored, std::string meaning)
      : name(std::move(key)), target(where_it_is_stored), doc(std::move(meaning)) {}

  /// At least `low` and at most `high`. Bounds of whole numbers stay below 2^53.
  Field& range(double low, double high);
  /// `low` or more.
  Field& minimum(double low);
  /// More than `low`, which itself is refused.
  Field& above(double low);
  /// Less than `high`, which itself is refused.
  Field& below(double high);
  /// More than 0.
  Field& positive() { return above(0.0); }
  /// One of these texts.
  Field& choices(std::vector<std::string> texts);
  /// No default will do: 0 and the empty text mean "not set". They can be read and written, so
  /// that a config may leave the key open, and are refused by check_fields.
  Field& required();

  std::string name;
  FieldTarget target;
  std::string doc;
  AllowedValues allowed{};
  bool is_required = false;
};

/// A named group of fields: one table of a TOML file. "system.loop3" is the table [system.loop3].
struct Section {
  std::string name;
  std::vector<Field> fields;
};

/// What the field takes, in the words of its errors and of the documentation:
/// `a whole number from 1 to 64`, `"fp32" or "bf16"`, `a list of numbers above 0`.
[[nodiscard]] std::string expected_value(const Field& field);
/// The same of one element where the field holds a list.
[[nodiscard]] std::string expected_element(const Field& field);

/// Whether a required field holds the value that means "not set".
[[nodiscard]] bool is_unset(const Field& field);

/// Checks the value that the field holds.
/// @param where  where the value was given: a file's line, a flag, a section
/// @throws Error kConfig as `where: "key" expects a whole number from 1 to 64, got 65. Nearest: 64.`
void check_field(const Field& field, std::string_view where);

/// Checks every field, and that the required ones are set.
/// @throws Error kConfig as check_field does
void check_fields(const std::vector<Field>& fields, std::string_view where);

}  // namespace loopbank

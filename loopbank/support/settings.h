#pragma once
/// Settings declared once: a struct lists its fields, and the TOML reader, the JSON reader and
/// writer, `--set key=value` and the documentation all follow from that list.
///
///     std::vector<Field> ModelConfig::fields() {
///       return {{"hidden_size", &hidden_size, "D, width of the hidden state"}, ...};
///     }
///
/// Unknown keys and values of the wrong type are refused with `file:line`, the value found, and
/// the nearest known name.

#include <cstdint>
#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace loopbank {

/// A setting that is one whole number or a list of them, such as `max_loops = 3` and
/// `max_loops = [1, 2, 3]`. One number stands for every layer.
struct IntOrList {
  std::vector<int64_t> values{0};
  bool is_list = false;
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

/// Where a field's value lives, by its type.
using FieldTarget =
    std::variant<int64_t*, double*, bool*, std::string*, std::optional<double>*, IntOrList*,
                 TextOrList*, std::vector<std::string>*, std::vector<double>*>;

struct Field {
  std::string name;
  FieldTarget target;
  std::string doc;
};

/// A named group of fields: one table of a TOML file. "system.loop3" is the table [system.loop3].
struct Section {
  std::string name;
  std::vector<Field> fields;
};

/// Reads a TOML file into the sections. A top-level `base = "other.toml"` (relative to the file)
/// is read first and overridden key by key. Keys that are absent keep their value.
/// `overrides` are `section.key=value` texts (value in TOML form; bare words count as strings).
/// Throws Error kConfig as `path:line: unknown key "max_loop" in [model]. Did you mean
/// "max_loops"?`
void read_toml(const std::filesystem::path& path, const std::vector<std::string>& overrides,
               const std::vector<Section>& sections);

/// Reads TOML from a text, such as a preset built into the program; `where` names it in errors.
/// A text has no folder, so that `base` must be one of the texts that are given by that name.
/// `overrides` as in read_toml.
void read_toml_text(std::string_view text, const std::string& where,
                    const std::vector<std::string>& overrides, const std::vector<Section>& sections,
                    const std::map<std::string, std::string_view>& bases = {});

/// The NAMEs of the tables [parent.NAME] of a TOML file and its bases, each once: those of the
/// bases first, then in the order in which they stand.
[[nodiscard]] std::vector<std::string> toml_tables_of(const std::filesystem::path& path,
                                                      std::string_view parent);
/// The same of a text, without its bases.
[[nodiscard]] std::vector<std::string> toml_tables_of_text(std::string_view text,
                                                           const std::string& where,
                                                           std::string_view parent);

/// The sections as TOML text, every key with its value, readable by read_toml.
[[nodiscard]] std::string write_toml(const std::vector<Section>& sections);

/// Reads a JSON object into the fields. `where` names it in errors. Unknown keys are refused,
/// except those in `ignored`.
void read_json(const nlohmann::json& object, const std::vector<Field>& fields,
               std::string_view where, const std::vector<std::string>& ignored = {});

/// The fields as one JSON object, in order of declaration.
[[nodiscard]] nlohmann::ordered_json write_json(const std::vector<Field>& fields);

/// The sections as a table for the documentation: key, default, meaning.
[[nodiscard]] std::string describe_settings(const std::vector<Section>& sections);

}  // namespace loopbank

#pragma once
/// Settings of a program, each declared once: a struct lists its fields (support/field.h), and the
/// reader of TOML, the reader and writer of JSON, `--set section.key=value` and the documentation
/// follow that list.
///
///     std::vector<Field> ModelConfig::fields() {
///       return {Field("hidden_size", &hidden_size, "D, width of the hidden state").range(2, 4096),
///               Field("depth_scale", &depth_scale, "residual scale").choices({"none", "inverse"}),
///               ...};
///     }
///
/// Refused are unknown keys, with the name that was meant (support/setting_names.h), and values of the wrong type or outside
/// what the field allows. Every error names the place (`file:line`) and the value found there. A
/// value that a later file or override replaces need not be one that the field allows.

#include <filesystem>
#include <map>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/field.h"
#include "loopbank/support/setting_places.h"

namespace loopbank {

/// Reads a TOML file into the sections. A top-level `base = "other.toml"`, relative to the file, is
/// read first and overridden key by key. Keys that are absent keep their value.
/// @param overrides  `section.key=value` texts, applied last; the value is written as in TOML, and
///                   a bare word is a text
/// @return where each setting that was read stands
/// @throws Error kConfig as
///     `path:line: unknown key "max_loop" in [model]. Did you mean "max_loops"?`
SettingPlaces read_toml(const std::filesystem::path& path,
                        const std::vector<std::string>& overrides,
                        const std::vector<Section>& sections);

/// Reads TOML from a text, such as a preset that is built into the program.
/// @param where  names the text in errors
/// @param bases  the texts that `base` may name: a text has no folder where a file could be found
SettingPlaces read_toml_text(std::string_view text, const std::string& where,
                             const std::vector<std::string>& overrides,
                             const std::vector<Section>& sections,
                             const std::map<std::string, std::string_view>& bases = {});

/// Applies `section.key=value` texts alone.
/// @param source  where they were given, as errors have it: `SOURCE training.steps=3: ...`
SettingPlaces apply_settings(const std::vector<std::string>& overrides, const std::string& source,
                             const std::vector<Section>& sections);

/// The NAMEs of all tables [parent.NAME] in a TOML file and its bases, each once: those of the bases
/// first, each file's in the order in which they appear.
[[nodiscard]] std::vector<std::string> toml_tables_of(const std::filesystem::path& path,
                                                      std::string_view parent);
/// The same for a text, without its bases.
[[nodiscard]] std::vector<std::string> toml_tables_of_text(std::string_view text,
                                                           const std::string& where,
                                                           std::string_view parent);

/// The sections as TOML text, every key with its value, readable by read_toml.
[[nodiscard]] std::string write_toml(const std::vector<Section>& sections);

/// Reads a JSON object into the fields.
/// @param where    names the object in errors
/// @param ignored  keys that are skipped; any other unknown key is refused
/// @throws Error kConfig for an unknown key or a value that its field does not take
void read_json(const nlohmann::json& object, const std::vector<Field>& fields,
               std::string_view where, const std::vector<std::string>& ignored = {});

/// The fields as one JSON object, in the order of their declaration.
[[nodiscard]] nlohmann::ordered_json write_json(const std::vector<Field>& fields);

/// A table a section, in Markdown: key, allowed values, default, meaning.
[[nodiscard]] std::string describe_settings(const std::vector<Section>& sections);

}  // namespace loopbank

#include "loopbank/support/settings.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <toml++/toml.h>
#include <algorithm>
#include <functional>
#include <nlohmann/json.hpp>
#include <sstream>
#include <system_error>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/setting_names.h"
#include "loopbank/support/setting_values.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

Json json_from_toml(const toml::node& node) {
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, value] : *table) {
      object[std::string(key.str())] = json_from_toml(value);
    }
    return object;
  }
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const auto& value : *array) {
      list.push_back(json_from_toml(value));
    }
    return list;
  }
  if (const auto* value = node.as_integer()) {
    return value->get();
  }
  if (const auto* value = node.as_floating_point()) {
    return value->get();
  }
  if (const auto* value = node.as_boolean()) {
    return value->get();
  }
  if (const auto* value = node.as_string()) {
    return value->get();
  }
  // Dates and times: no setting takes one, and null would mean "not set".
  std::ostringstream text;
  text << toml::node_view(node);
  return text.str();
}

const Field* find_field(const std::vector<Field>& fields, std::string_view name) {
  const auto found = std::find_if(fields.begin(), fields.end(),
                                  [&](const Field& item) { return item.name == name; });
  return found == fields.end() ? nullptr : &*found;
}

bool is_section(const std::vector<Section>& sections, std::string_view name) {
  return std::any_of(sections.begin(), sections.end(),
                     [&](const Section& section) { return section.name == name; });
}

/// A value of a setting, where it is given.
struct Given {
  std::string section;
  std::string key;
  Json value;
  SettingPlace place;
};

/// Stores the value. It is checked when all is read: what follows may replace it.
void assign_given(const Given& given, const std::vector<Section>& sections, SettingPlaces& places) {
  const auto& where = given.place.where;
  const auto& section = find_section(sections, given.section, given.key, where);
  assign({given.value, where}, find_setting(sections, section, given.key, where));
  places.set(given.section, given.key, given.place);
}

/// Checks what was read, in the order of declaration. A required field may still be left open.
void check_read(const std::vector<Section>& sections, const SettingPlaces& places) {
  for (const auto& section : sections) {
    for (const auto& field : section.fields) {
      const auto* place = places.find(section.name, field.name);
      if (place != nullptr && !is_unset(field)) {
        check_field(field, place->where);
      }
    }
  }
}

toml::table parse_toml(std::string_view text, const std::string& where) {
  try {
    return toml::parse(text, where);
  } catch (const toml::parse_error& error) {
    fail(ErrorCode::kConfig, "{}:{}: {}.", where, error.source().begin.line, error.description());
  }
}

std::string place_of(const std::string& file, const toml::node& node) {
  return fmt::format("{}:{}", file, node.source().begin.line);
}

/// Assigns the values of a table. A table inside it may be a section of its own, "outer.inner".
void assign_table(const toml::table& table, const std::string& name, const std::string& file,
                  const std::vector<Section>& sections, SettingPlaces& places) {
  for (const auto& [key, value] : table) {
    const auto inner = fmt::format("{}.{}", name, key.str());
    if (value.is_table() && is_section(sections, inner)) {
      assign_table(*value.as_table(), inner, file, sections, places);
    } else {
      (void)find_section(sections, name, key.str(), place_of(file, table));
      assign_given({.section = name,
                    .key = std::string(key.str()),
                    .value = json_from_toml(value),
                    .place = {.where = place_of(file, value)}},
                   sections, places);
    }
  }
}

void assign_tables(const toml::table& root, const std::string& file,
                   const std::vector<Section>& sections, SettingPlaces& places) {
  for (const auto& [name, node] : root) {
    if (name == "base") {
      continue;
    }
    const auto* table = node.as_table();
    if (table == nullptr) {
      auto hint = setting_hint(name.str(), sections);
      if (hint.empty()) {
        std::vector<std::string> known;
        for (const auto& section : sections) {
          known.push_back("[" + section.name + "]");
        }
        hint = fmt::format(" Known sections: {}.", fmt::join(known, ", "));
      }
      fail(ErrorCode::kConfig, "{}: key \"{}\" stands outside a section.{}", place_of(file, node),
           name.str(), hint);
    }
    if (table->empty()) {
      (void)find_section(sections, name.str(), "", place_of(file, node));
    }
    assign_table(*table, std::string(name.str()), file, sections, places);
  }
}

/// Calls `visit` on a file after its base, and on that after its own base.
void for_file_and_its_bases(
    const fs::path& path, int depth,
    const std::function<void(const toml::table& root, const std::string& file)>& visit) {
  constexpr int kMaxBases = 8;
  if (depth > kMaxBases) {
    fail(ErrorCode::kConfig, "{}: more than {} files name each other as base.", path.string(),
         kMaxBases);
  }
  const auto root = parse_toml(read_file(path, ErrorCode::kConfig), path.string());
  if (const auto* base = root.get("base")) {
    if (!base->is_string()) {
      fail(ErrorCode::kConfig, "{}:{}: \"base\" expects a path in quotes, got {}.", path.string(),
           base->source().begin.line, json_from_toml(*base).dump());
    }
    const auto base_path = path.parent_path() / base->as_string()->get();
    std::error_code unreadable;  // such as a name that is too long
    if (!fs::exists(base_path, unreadable)) {
      fail(ErrorCode::kConfig, "{}:{}: \"base\" expects an existing file, got {}.", path.string(),
           base->source().begin.line, base_path.string());
    }
    for_file_and_its_bases(base_path, depth + 1, visit);
  }
  visit(root, path.string());
}

/// Adds the NAME of every table [parent.NAME], in the order of the text.
void add_tables_of(const toml::table& root, std::string_view parent,
                   std::vector<std::string>& names) {
  const auto* table = root[parent].as_table();
  if (table == nullptr) {
    return;
  }
  std::vector<std::pair<toml::source_position, std::string>> found;
  for (const auto& [key, value] : *table) {
    if (value.is_table()) {
      found.emplace_back(value.source().begin, key.str());
    }
  }
  std::sort(found.begin(), found.end());
  for (const auto& [position, name] : found) {
    if (std::find(names.begin(), names.end(), name) == names.end()) {
      names.push_back(name);
    }
  }
}

/// A command line may hold any bytes, but what is read must be writable as TOML and JSON.
void expect_utf8(const std::string& text, const std::string& where) {
  try {
    (void)Json(text).dump();
  } catch (const Json::type_error&) {
    fail(ErrorCode::kConfig, "{}: expected a text in UTF-8, got other bytes.", where);
  }
}

/// A value as it stands on a command line: TOML, or else, such as a bare word or a path, a text.
Json parse_override(const std::string& value) {
  if (value == "null") {
    return nullptr;
  }
  try {
    const auto table = toml::parse("v = " + value);
    // A line break may make more than one key of it: then the whole is a text.
    return table.size() == 1 ? json_from_toml(*table.get("v")) : Json(value);
  } catch (const toml::parse_error&) {
    return value;
  }
}

/// Without blanks at either end.
std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(' ');
  return begin == std::string::npos ? ""
                                    : text.substr(begin, text.find_last_not_of(' ') + 1 - begin);
}

/// Applies `section.key=value`.
void apply_override(const std::string& text, const std::string& source,
                    const std::vector<Section>& sections, SettingPlaces& places) {
  const auto where = fmt::format("{} {}", source, text);
  expect_utf8(text, where);
  const auto equals = text.find('=');
  const auto dot = equals == std::string::npos ? equals : text.rfind('.', equals);
  if (dot == std::string::npos) {
    fail(ErrorCode::kConfig, "{}: expected section.key=value, as in model.max_loops=3.{}", where,
         setting_hint(std::string_view(text).substr(0, equals), sections));
  }
  assign_given({.section = trimmed(text.substr(0, dot)),
                .key = trimmed(text.substr(dot + 1, equals - dot - 1)),
                .value = parse_override(trimmed(text.substr(equals + 1))),
                .place = {.where = where, .overrides = true}},
               sections, places);
}

constexpr const char* kSetFlag = "--set";

void apply_overrides(const std::vector<std::string>& overrides, const std::string& source,
                     const std::vector<Section>& sections, SettingPlaces& places) {
  for (const auto& text : overrides) {
    apply_override(text, source, sections, places);
  }
}

void assign_text(std::string_view text, const std::string& where,
                 const std::vector<Section>& sections,
                 const std::map<std::string, std::string_view>& bases, SettingPlaces& places) {
  const auto root = parse_toml(text, where);
  if (const auto* base = root.get("base")) {
    const auto name = base->value_or(std::string());
    const auto found = bases.find(name);
    if (found == bases.end()) {
      fail(ErrorCode::kConfig,
           "{}: \"base\" expects one of the texts given with this one, got \"{}\".", where, name);
    }
    const auto place = (fs::path(where).parent_path() / name).lexically_normal();
    assign_text(found->second, place.string(), sections, {}, places);
  }
  assign_tables(root, where, sections, places);
}

std::string toml_value(const nlohmann::ordered_json& value) {
  if (value.is_number_float()) {
    auto text = fmt::format("{}", value.get<double>());
    // TOML floats need a point or an exponent, or they come back as integers.
    return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
  }
  if (value.is_object()) {
    std::string members;
    for (const auto& [key, member] : value.items()) {
      members += fmt::format("{}{} = {}", members.empty() ? "" : ", ", key, toml_value(member));
    }
    return fmt::format("{{ {} }}", members);
  }
  // JSON's texts, numbers, booleans and flat lists are TOML too, but for DEL: TOML wants it
  // escaped.
  std::string text;
  for (const char c : value.dump()) {
    text += c == '\x7F' ? std::string("\\u007f") : std::string{c};
  }
  return text;
}

}  // namespace

SettingPlaces read_toml(const fs::path& path, const std::vector<std::string>& overrides,
                        const std::vector<Section>& sections) {
  SettingPlaces places;
  for_file_and_its_bases(path, 0, [&](const toml::table& root, const std::string& file) {
    assign_tables(root, file, sections, places);
  });
  apply_overrides(overrides, kSetFlag, sections, places);
  check_read(sections, places);
  return places;
}

SettingPlaces read_toml_text(std::string_view text, const std::string& where,
                             const std::vector<std::string>& overrides,
                             const std::vector<Section>& sections,
                             const std::map<std::string, std::string_view>& bases) {
  SettingPlaces places;
  assign_text(text, where, sections, bases, places);
  apply_overrides(overrides, kSetFlag, sections, places);
  check_read(sections, places);
  return places;
}

SettingPlaces apply_settings(const std::vector<std::string>& overrides, const std::string& source,
                             const std::vector<Section>& sections) {
  SettingPlaces places;
  apply_overrides(overrides, source, sections, places);
  check_read(sections, places);
  return places;
}

std::vector<std::string> toml_tables_of(const fs::path& path, std::string_view parent) {
  std::vector<std::string> names;
  for_file_and_its_bases(path, 0, [&](const toml::table& root, const std::string&) {
    add_tables_of(root, parent, names);
  });
  return names;
}

std::vector<std::string> toml_tables_of_text(std::string_view text, const std::string& where,
                                             std::string_view parent) {
  std::vector<std::string> names;
  add_tables_of(parse_toml(text, where), parent, names);
  return names;
}

std::string write_toml(const std::vector<Section>& sections) {
  std::string text;
  for (const auto& section : sections) {
    text += fmt::format("{}[{}]\n", text.empty() ? "" : "\n", section.name);
    for (const auto& field : section.fields) {
      const auto value = value_of(field);
      if (!value.is_null()) {  // TOML has no null: an absent key means the same
        text += fmt::format("{} = {}\n", field.name, toml_value(value));
      }
    }
  }
  return text;
}

void read_json(const Json& object, const std::vector<Field>& fields, std::string_view where,
               const std::vector<std::string>& ignored) {
  if (!object.is_object()) {
    fail(ErrorCode::kConfig, "{}: expected a JSON object, got {}.", where, object.type_name());
  }
  for (const auto& [key, value] : object.items()) {
    if (std::find(ignored.begin(), ignored.end(), key) != ignored.end()) {
      continue;
    }
    const auto* field = find_field(fields, key);
    if (field == nullptr) {
      fail(ErrorCode::kConfig, "{}: unknown key \"{}\".{}", where, key,
           model_key_hint(key, fields));
    }
    assign({value, std::string(where)}, *field);
    if (!is_unset(*field)) {
      check_field(*field, where);
    }
  }
}

nlohmann::ordered_json write_json(const std::vector<Field>& fields) {
  auto object = nlohmann::ordered_json::object();
  for (const auto& field : fields) {
    object[field.name] = value_of(field);
  }
  return object;
}

}  // namespace loopbank

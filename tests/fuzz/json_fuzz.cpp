/// The reader of JSON, against the library's parser.
///
/// Input: a text. What is read must be what the library reads, but for what no JSON holds and
/// common writers emit; what the library reads must be read, but for NUL bytes, deep nesting and
/// keys that stand twice.

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <vector>

#include "loopbank/support/json.h"
#include "target.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

/// Whether a value holds what nobody can read.
bool holds_unreadable(const Json& value) {
  return is_unreadable(value) ||
         (value.is_structured() && std::any_of(value.begin(), value.end(), holds_unreadable));
}

/// Whether a value has a key that may have been half a surrogate pair: told as it is spelt.
bool has_spelt_key(const Json& value) {
  if (!value.is_object()) {
    return value.is_array() && std::any_of(value.begin(), value.end(), has_spelt_key);
  }
  const auto items = value.items();
  return std::any_of(items.begin(), items.end(), [](const auto& item) {
    return item.key().starts_with('"') || has_spelt_key(item.value());
  });
}

/// What the library makes of a text, with what it says nothing of.
struct Parsed {
  Json value;
  bool has_key_twice = false;
  bool is_deep = false;
};

Parsed parse_by_library(std::string_view text) {
  Parsed parsed;
  std::vector<std::set<std::string>> keys;
  const auto watch = [&](int depth, Json::parse_event_t event, Json& value) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    parsed.is_deep = parsed.is_deep || (opens && static_cast<size_t>(depth) >= kDeepestJson);
    if (event == Json::parse_event_t::object_start) {
      keys.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys.pop_back();
    } else if (event == Json::parse_event_t::key) {
      const bool is_new = keys.back().insert(value.get<std::string>()).second;
      parsed.has_key_twice = parsed.has_key_twice || !is_new;
    }
    return true;
  };
  parsed.value = Json::parse(text.begin(), text.end(), watch, /*allow_exceptions=*/false);
  return parsed;
}

template <typename Read>
bool is_read(const Read& read) {
  try {
    read();
    return true;
  } catch (const Error& error) {
    const std::string text = error.what();
    fuzz::require(text.starts_with("a.json:") && text.ends_with("."), "an error is a sentence");
    fuzz::require(text.find('\n') == std::string::npos && text.size() < 400,
                  "an error is one short line");
    return false;
  }
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  const auto text = fuzz::as_text(data, size);
  Json json;
  nlohmann::ordered_json ordered;
  const bool read = is_read([&] { json = parse_json(text, "a.json"); });
  const bool read_ordered =
      is_read([&] { ordered = parse_json<nlohmann::ordered_json>(text, "a.json"); });
  fuzz::require(read == read_ordered, "the order of keys changes nothing of what is refused");
  fuzz::require(read == is_read([&] { (void)parse_json_line(text, "a.json:1"); }),
                "a line is read as a text is");

  const auto expected = parse_by_library(text);
  const bool has_nul = text.find('\0') != std::string_view::npos;
  const bool is_foreign =
      read && expected.value.is_discarded() && (holds_unreadable(json) || has_spelt_key(json));
  fuzz::require(is_foreign || read == (!expected.value.is_discarded() && !has_nul &&
                                       !expected.has_key_twice && !expected.is_deep),
                "what the library reads is read");
  fuzz::require(!read || expected.value.is_discarded() || !holds_unreadable(json),
                "what the library reads is readable");
  if (read && !is_foreign) {
    const auto dump = json.dump();
    fuzz::require(dump == expected.value.dump(), "what is read is what the library reads");
    fuzz::require(dump == Json(ordered).dump(), "the order of keys changes nothing else");
    fuzz::require(dump == parse_json(dump, "a.json").dump(), "what is written is read again");
  }
  if (read) {
    fuzz::require(show_json(json).size() <= 63, "a value is shown in short");
  }
  std::istringstream lines{std::string(text)};
  (void)is_read([&] {
    for_each_json_line(
        [&](std::string& line) { return static_cast<bool>(std::getline(lines, line)); }, "a.json",
        {}, [](const Json&, const std::string&) { return true; });
  });
  return 0;
}

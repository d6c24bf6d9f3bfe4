/// The reader of JSON, against the library's parser.
///
/// Input: a text. What is read must be what the library reads; what the library reads must be read,
/// but for NUL bytes, deep nesting and keys that stand twice.

#include <nlohmann/json.hpp>
#include <set>
#include <sstream>
#include <vector>

#include "loopbank/support/json.h"
#include "target.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

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
  fuzz::require(read == (!expected.value.is_discarded() && !has_nul && !expected.has_key_twice &&
                         !expected.is_deep),
                "what the library reads is read");
  if (read) {
    const auto dump = json.dump();
    fuzz::require(dump == expected.value.dump(), "what is read is what the library reads");
    fuzz::require(dump == Json(ordered).dump(), "the order of keys changes nothing else");
    fuzz::require(dump == parse_json(dump, "a.json").dump(), "what is written is read again");
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

#include "loopbank/support/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "loopbank/support/files.h"
#include "loopbank/support/json_scanner.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

constexpr size_t kLongestShown = 60;  // bytes of a value in an error
constexpr auto kReplace = nlohmann::json::error_handler_t::replace;

/// `where: SENTENCE.` with the form's remedy.
[[noreturn]] void fail_form(const JsonForm& form, std::string_view where,
                            std::string_view sentence) {
  throw Error(form.code, fmt::format("{}: {}.", where, sentence) +
                             (form.remedy.empty() ? "" : " " + form.remedy));
}

/// Builds a value from what the scanner reads.
template <typename Json>
class JsonBuilder final : public JsonEvents {
 public:
  [[nodiscard]] Json& value() { return root_; }
  /// `expected WHAT, got WHAT` where an event ended the reading.
  [[nodiscard]] const std::string& problem() const { return problem_; }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool integer(int64_t value) override { return add(value); }
  bool count(uint64_t value) override { return add(value); }
  bool number(double value) override { return add(value); }
  bool text(std::string& value) override { return add(std::move(value)); }
  bool unreadable(std::string_view spelling) override {
    return add(Json::binary({spelling.begin(), spelling.end()}));
  }

  bool begin_object() override { return open(Json::object()); }
  bool begin_list() override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_list() override { return close(); }
  bool key(std::string& name) override {
    const auto [member, is_new] = open_.back()->emplace(name, nullptr);
    member_ = &*member;
    return is_new || refuse(fmt::format("expected every key once in an object, got {} again",
                                        show_json(std::move(name))));
  }

 private:
  bool refuse(std::string problem) {
    problem_ = std::move(problem);
    return false;
  }
  bool add(Json value) {
    place(std::move(value));
    return true;
  }
  bool open(Json empty) {
    if (open_.size() == kDeepestJson) {
      return refuse(fmt::format("expected JSON that nests at most {} levels, got level {}",
                                kDeepestJson, kDeepestJson + 1));
    }
    open_.push_back(&place(std::move(empty)));
    return true;
  }
  bool close() {
    open_.pop_back();
    return true;
  }
  /// Puts a value where the next one belongs. It stays there while it is filled: nothing is added
  /// to what holds it before it is closed.
  Json& place(Json value) {
    if (!open_.empty() && open_.back()->is_array()) {
      open_.back()->push_back(std::move(value));
      return open_.back()->back();
    }
    auto& here = open_.empty() ? root_ : *member_;
    here = std::move(value);
    return here;
  }

  Json root_;
  std::vector<Json*> open_;  // lists and objects that are not closed, outermost first
  Json* member_ = nullptr;   // the value of the last key
  std::string problem_;
};

/// Parses; `place_of(byte)` names the place of a byte, counted from 0, for errors.
template <typename Json, typename PlaceOf>
Json parse(std::string_view text, const JsonForm& form, const PlaceOf& place_of) {
  if (text.size() > kLargestJsonBytes) {
    fail_form(form, place_of(kLargestJsonBytes),
              fmt::format("expected {} of at most {} bytes, got {}", form.expected,
                          kLargestJsonBytes, text.size()));
  }
  if (const auto nul = text.find('\0'); nul != std::string_view::npos) {
    fail_form(form, place_of(nul), fmt::format("expected {}, got a NUL byte", form.expected));
  }
  if (const auto valid = valid_utf8_prefix(text); valid != text.size()) {
    fail_form(form, place_of(valid),
              fmt::format("expected {} in UTF-8, got byte 0x{:02x}", form.expected,
                          static_cast<unsigned char>(text[valid])));
  }
  JsonBuilder<Json> builder;
  if (const auto stop = scan_json(text, builder)) {
    fail_form(form, place_of(stop->byte),
              stop->reason.empty()
                  ? builder.problem()
                  : fmt::format("expected {}, got broken JSON: {}", form.expected, stop->reason));
  }
  return std::move(builder.value());
}

bool fits_int64(const nlohmann::json& value) {
  return value.is_number_integer() &&
         (!value.is_number_unsigned() || value.get<uint64_t>() <= INT64_MAX);
}

}  // namespace

template <typename Json>
Json parse_json(std::string_view text, const std::string& where, const JsonForm& form) {
  return parse<Json>(text, form, [&](size_t byte) {
    const auto before = text.substr(0, byte);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const auto column = byte - (before.rfind('\n') + 1);  // npos + 1 is 0
    return fmt::format("{}:{}:{}", where, line, column + 1);
  });
}
template nlohmann::json parse_json(std::string_view, const std::string&, const JsonForm&);
template nlohmann::ordered_json parse_json(std::string_view, const std::string&, const JsonForm&);

template <typename Json>
Json read_json_file(const std::filesystem::path& path, const JsonForm& form) {
  return parse_json<Json>(read_file(path, form.code, kLargestJsonBytes), path.string(), form);
}
template nlohmann::json read_json_file(const std::filesystem::path&, const JsonForm&);
template nlohmann::ordered_json read_json_file(const std::filesystem::path&, const JsonForm&);

nlohmann::json parse_json_line(std::string_view line, const std::string& where,
                               const JsonForm& form) {
  return parse<nlohmann::json>(line, form,
                               [&](size_t byte) { return fmt::format("{}:{}", where, byte + 1); });
}

void for_each_json_line(
    const std::function<bool(std::string& line)>& next_line, const std::string& file,
    const JsonForm& form,
    const std::function<bool(const nlohmann::json& value, const std::string& where)>& take) {
  std::string text;
  for (int64_t line = 1; next_line(text); ++line) {
    if (text.find_first_not_of(" \t\r") == std::string::npos) {
      continue;
    }
    const auto where = fmt::format("{}:{}", file, line);
    if (!take(parse_json_line(text, where, form), where)) {
      return;
    }
  }
}

bool is_unreadable(const nlohmann::json& value) {
  return value.is_binary();
}

std::string show_json(const nlohmann::json& value) {
  if (value.is_structured() && !value.empty()) {
    return value.is_object() ? "an object" : "a list";
  }
  auto text = is_unreadable(value)
                  ? std::string(value.get_binary().begin(), value.get_binary().end())
                  : value.dump(-1, ' ', false, kReplace);
  if (text.size() <= kLongestShown) {
    return text;
  }
  return text.substr(0, valid_utf8_prefix(std::string_view(text).substr(0, kLongestShown))) + "...";
}

JsonValues::JsonValues(const nlohmann::json& object, std::string where, JsonForm form)
    : object_(object), where_(std::move(where)), form_(std::move(form)) {
  if (!object.is_object()) {
    fail_form(form_, where_, fmt::format("expected a JSON object, got {}", object.type_name()));
  }
}

bool JsonValues::has(const char* key) const {
  return object_.contains(key);
}

const nlohmann::json& JsonValues::at(const char* key) const {
  const auto found = object_.find(key);
  if (found == object_.end()) {
    fail_form(form_, where_, fmt::format("expected the key \"{}\", got none", key));
  }
  return *found;
}

int64_t JsonValues::integer(const char* key) const {
  const auto& value = at(key);
  if (!fits_int64(value)) {
    refuse(key, "a whole number");
  }
  return value.get<int64_t>();
}

int64_t JsonValues::count(const char* key) const {
  const auto& value = at(key);
  if (!fits_int64(value) || value.get<int64_t>() < 0) {
    refuse(key, "a whole number from 0");
  }
  return value.get<int64_t>();
}

double JsonValues::number(const char* key) const {
  if (!at(key).is_number()) {
    refuse(key, "a number");
  }
  return at(key).get<double>();
}

bool JsonValues::flag(const char* key) const {
  if (!at(key).is_boolean()) {
    refuse(key, "true or false");
  }
  return at(key).get<bool>();
}

const std::string& JsonValues::text(const char* key) const {
  if (!at(key).is_string()) {
    refuse(key, "a text");
  }
  return at(key).get_ref<const std::string&>();
}

const nlohmann::json& JsonValues::list(const char* key) const {
  if (!at(key).is_array()) {
    refuse(key, "a list");
  }
  return at(key);
}

const nlohmann::json& JsonValues::object(const char* key) const {
  if (!at(key).is_object()) {
    refuse(key, "an object");
  }
  return at(key);
}

void JsonValues::refuse(const char* key, std::string_view expected) const {
  fail_form(form_, where_,
            fmt::format("\"{}\" expects {}, got {}", key, expected, show_json(at(key))));
}

void JsonValues::expect_text(const char* key, std::string_view expected) const {
  if (text(key) != expected) {
    refuse(key, fmt::format("\"{}\"", expected));
  }
}

void JsonValues::expect_count(const char* key, int64_t expected) const {
  if (count(key) != expected) {
    refuse(key, fmt::format("{}", expected));
  }
}

}  // namespace loopbank

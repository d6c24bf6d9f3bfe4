#include "loopbank/serve/api/parse_messages.h"

#include <fmt/format.h>

#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kContentForms =
    "a text, or a list of {\"type\": \"text\", \"text\": ...}";

const std::vector<UndoneField>& undone_of_messages() {
  static const std::vector<UndoneField> fields = {
      {"annotations", {Json::array()}},
      {"audio", {}},
      {"function_call", {}},
      {"refusal", {}},
      {"tool_call_id", {}},
      {"tool_calls", {Json::array()}},
  };
  return fields;
}

std::string parse_part(const JsonBody& message, const Json& part, const std::string& where) {
  const JsonBody json(part, where, message.param("content"));
  const auto* type = json.find("type");
  if (type != nullptr && type->is_string() && *type != "text") {
    throw ApiError(400,
                   fmt::format("{}: expected a content of type \"text\", got {}. Pictures, sounds "
                               "and files are not done here.",
                               where, show_json(*type)),
                   message.param("content"), "unsupported_field");
  }
  json.expect_known({"text", "type"});
  std::string kind;
  std::string text;
  json.read({Field("type", &kind, "").choices({"text"}), Field("text", &text, "")});
  (void)json.at("type", "\"text\"");
  (void)json.at("text", "a text");
  return text;
}

std::string parse_content(const JsonBody& message) {
  const auto& content = message.at("content", kContentForms);
  if (content.is_string()) {
    return content.get<std::string>();
  }
  if (!content.is_array() || content.empty()) {
    message.refuse("content", kContentForms,
                   content.is_array() ? "an empty list" : show_json(content));
  }
  std::string text;
  for (const auto& part : content) {
    text += parse_part(message, part, message.where() + ": content");
  }
  return text;
}

ChatMessage parse_message(const JsonBody& message) {
  message.expect_known({"content", "name", "role", "type"}, undone_of_messages());
  ChatMessage parsed;
  // What changes nothing: some clients write it.
  std::string name;
  std::string type;
  message.read({Field("name", &name, ""), Field("type", &type, "").choices({"text"})});
  (void)message.at("role", "\"system\", \"user\" or \"assistant\"");
  message.read(
      {Field("role", &parsed.role, "").choices({"system", "developer", "user", "assistant"})});
  if (parsed.role == "developer") {
    parsed.role = "system";
  }
  parsed.content = parse_content(message);
  return parsed;
}

}  // namespace

std::vector<ChatMessage> parse_messages(const JsonBody& json) {
  constexpr std::string_view kForm = "a list of one message or more";
  const auto& list = json.at("messages", kForm);
  if (!list.is_array() || list.empty()) {
    json.refuse("messages", kForm, list.is_array() ? "an empty list" : show_json(list));
  }
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < list.size(); ++i) {
    messages.push_back(parse_message(JsonBody(
        list[i], fmt::format("{}: message {}", json.where(), i), fmt::format("messages.{}", i))));
  }
  return messages;
}

}  // namespace loopbank

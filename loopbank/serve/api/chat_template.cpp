#include "loopbank/serve/api/chat_template.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <system_error>
#include <utility>

#include "loopbank/infer/text_stream.h"
#include "loopbank/serve/http/api_error.h"
#include "loopbank/support/error.h"
#include "loopbank/support/json.h"
#include "loopbank/support/settings.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kContent = "{content}";

/// What stands before and behind the content of a message.
std::pair<std::string_view, std::string_view> around_content(std::string_view form) {
  const auto at = form.find(kContent);
  return {form.substr(0, at), form.substr(at + kContent.size())};
}

void check_forms(const ChatTemplate& chat, const std::string& where) {
  for (const auto& [name, form] : {std::pair("system", &chat.system), std::pair("user", &chat.user),
                                   std::pair("assistant", &chat.assistant)}) {
    int64_t count = 0;
    for (auto at = form->find(kContent); at != std::string::npos;
         at = form->find(kContent, at + kContent.size())) {
      ++count;
    }
    if (count != 1 && !form->empty()) {
      fail(ErrorCode::kConfig, "{}: \"{}\" in [chat] expects {} once, got it {} times.", where,
           name, kContent, count);
    }
  }
  if (chat.user.empty()) {
    fail(ErrorCode::kConfig,
         "{}: expected \"user\" in [chat], how a user's message is written, got none. Write user = "
         "\"...{}...\".",
         where, kContent);
  }
  check_stop_strings(chat.stop, where);
}

/// Appends pieces of a prompt: text as it is, and text in which special tokens count.
class PromptWriter {
 public:
  explicit PromptWriter(const Tokenizer& tokenizer) : tokenizer_(tokenizer) {}

  void add_content(std::string_view text) { plain_ += text; }
  void add_template(std::string_view text) {
    size_t from = 0;
    for (const auto& special : tokenizer_.special_tokens(text)) {
      plain_ += text.substr(from, special.begin - from);
      flush();
      ids_.push_back(special.id);
      from = special.end;
    }
    plain_ += text.substr(from);
  }
  std::vector<TokenId> finish() {
    flush();
    return std::move(ids_);
  }

 private:
  void flush() {
    const auto text = std::exchange(plain_, "");
    const auto ids = ids_.empty() ? tokenizer_.encode(text) : tokenizer_.encode_behind(text);
    ids_.insert(ids_.end(), ids.begin(), ids.end());
  }

  const Tokenizer& tokenizer_;
  std::string plain_;
  std::vector<TokenId> ids_;
};

/// A text as Jinja writes out.
std::string jinja_text(std::string_view text) {
  return text.empty() ? "" : fmt::format("{{{{ {} }}}}", nlohmann::json(text).dump());
}

/// Whether the directory has a template in Jinja.
bool has_jinja(const fs::path& directory) {
  std::error_code absent;
  if (fs::exists(directory / "chat_template.jinja", absent)) {
    return true;
  }
  const auto config = directory / "tokenizer_config.json";
  if (!fs::exists(config, absent)) {
    return false;
  }
  try {
    const auto json = read_json_file(config);
    return json.is_object() && json.contains("chat_template");
  } catch (const Error&) {
    return false;  // of no use here, whatever is wrong with it
  }
}

}  // namespace

std::vector<Field> ChatTemplate::fields() {
  return {Field("begin", &begin, "stands before the first message"),
          Field("system", &system, "a message of the system, {content} its text; \"\": refused"),
          Field("user", &user, "a message of the user"),
          Field("assistant", &assistant, "a message of the model; \"\": refused"),
          Field("answer", &answer, "stands before the answer that the model is to write"),
          Field("stop", &stop, "texts that end an answer, beside the end of the text")};
}

ChatTemplate ChatTemplate::load(const fs::path& path) {
  ChatTemplate chat;
  read_toml(path, {}, {{"chat", chat.fields()}});
  check_forms(chat, path.string());
  return chat;
}

std::vector<TokenId> ChatTemplate::prompt_of(const std::vector<ChatMessage>& messages,
                                             const Tokenizer& tokenizer) const {
  PromptWriter prompt(tokenizer);
  prompt.add_template(begin);
  for (const auto& message : messages) {
    const auto& form = message.role == "system" ? system
                       : message.role == "user" ? user
                                                : assistant;
    if (form.empty()) {
      throw ApiError(400,
                     fmt::format("chat: expected messages of a role that the model's chat template "
                                 "has, got \"{}\". Leave such messages out.",
                                 message.role),
                     "messages", "unsupported_role");
    }
    const auto [before, behind] = around_content(form);
    prompt.add_template(before);
    prompt.add_content(message.content);
    prompt.add_template(behind);
  }
  prompt.add_template(answer);
  return prompt.finish();
}

std::string ChatTemplate::as_jinja() const {
  auto text = jinja_text(begin) + "{% for message in messages %}";
  for (const auto& [role, form] : {std::pair("system", &system), std::pair("user", &user),
                                   std::pair("assistant", &assistant)}) {
    if (!form->empty()) {
      const auto [before, behind] = around_content(*form);
      text += fmt::format(
          "{{% if message['role'] == '{}' %}}{}{{{{ message['content'] }}}}{}{{% endif %}}", role,
          jinja_text(before), jinja_text(behind));
    }
  }
  return text + "{% endfor %}{% if add_generation_prompt %}" + jinja_text(answer) + "{% endif %}";
}

LoadedChat load_chat(const fs::path& directory, const fs::path& file) {
  if (!file.empty()) {
    return {.chat = ChatTemplate::load(file)};
  }
  const auto own = directory / "chat.toml";
  std::error_code absent;
  if (fs::exists(own, absent)) {
    return {.chat = ChatTemplate::load(own)};
  }
  const auto* const found =
      has_jinja(directory) ? "one in Jinja alone, which is not run here" : "none";
  return {.why_not = fmt::format(
              "chat: expected a model with a chat template, got {}. Start the server with "
              "--chat-template FILE, put chat.toml into the model's folder, or use "
              "/v1/completions.",
              found)};
}

}  // namespace loopbank

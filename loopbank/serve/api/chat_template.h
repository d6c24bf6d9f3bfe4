#pragma once
/// From the messages of a chat to the ids of a prompt, by a plain template:
///
///     [chat]
///     begin = ""
///     system = "<|system|>{content}\n"
///     user = "<|user|>{content}\n"
///     assistant = "<|assistant|>{content}\n"
///     answer = "<|assistant|>"
///     stop = ["\n<|user|>"]
///
/// Not here: Jinja, in which Hugging Face writes templates (tokenizer_config.json): a template is a
/// program there, and no engine for C++ that runs it is to be had as a package of Debian.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/support/field.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct ChatMessage {
  std::string role;  ///< `system`, `user` or `assistant`
  std::string content;
};

struct ChatTemplate {
  std::string begin{};   ///< before the first message
  std::string system{};  ///< a message of each role, with `{content}` in it; empty: refused
  std::string user{};
  std::string assistant{};
  std::string answer{};             ///< what stands before the answer that is asked for
  std::vector<std::string> stop{};  ///< what ends an answer, beside the end of the text

  /// The table [chat] of a TOML file.
  /// @throws Error kConfig naming the file, and the line where that is one value's fault
  static ChatTemplate load(const std::filesystem::path& path);
  [[nodiscard]] std::vector<Field> fields();

  /// Special tokens spelled out in the template count as such, those in a message do not. What
  /// stands between two of them, text of the template and of messages together, is encoded in one
  /// piece: the ids are those of the whole text encoded with special tokens wherever no message
  /// spells one.
  /// @throws ApiError 400 for a role that the template does not have
  [[nodiscard]] std::vector<TokenId> prompt_of(const std::vector<ChatMessage>& messages,
                                               const Tokenizer& tokenizer) const;
  /// The same template in Jinja, over `messages` and `add_generation_prompt`, for clients that write
  /// the prompt themselves.
  [[nodiscard]] std::string as_jinja() const;
};

struct LoadedChat {
  std::optional<ChatTemplate> chat{};
  std::string why_not{};  ///< where there is none: a sentence with the remedy
};

/// The template of a model: that of the file that was given, else chat.toml in its directory.
/// @param file  of --chat-template; empty: not given
/// @throws Error kConfig for a template that cannot be read
[[nodiscard]] LoadedChat load_chat(const std::filesystem::path& directory,
                                   const std::filesystem::path& file = {});

}  // namespace loopbank

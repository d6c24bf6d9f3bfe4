#pragma once
/// From the messages of a chat to the ids of a prompt, by a plain template.

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct ChatMessage {
  std::string role;  ///< `system`, `user` or `assistant`
  std::string content;
};

/// Stands in a TOML file: docs/serving.md.
struct ChatTemplate {
  std::string begin{};      ///< before the first message
  std::string system{};     ///< a message of each role, with `{content}` in it; empty: refused
  std::string user{};
  std::string assistant{};
  std::string answer{};     ///< what stands before the answer that is asked for
  std::vector<std::string> stop{};  ///< what ends an answer

  /// @throws Error kConfig naming the file and line
  static ChatTemplate load(const std::filesystem::path& path);
  /// Special tokens spelled out in the template count as such, those in a message do not.
  /// @throws ApiError 400 for a role that the template does not have
  [[nodiscard]] std::vector<TokenId> prompt_of(const std::vector<ChatMessage>& messages,
                                               const Tokenizer& tokenizer) const;
};

}  // namespace loopbank

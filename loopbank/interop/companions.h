#pragma once
/// The files that a model is used with and that hold no weights: its tokenizer's, what ends a text, how
/// a chat is written.

#include <array>
#include <filesystem>
#include <string>
#include <vector>

namespace loopbank {

/// Their names. A model has the first, and the others where it was made by others or has been told
/// how chats are written.
inline constexpr std::array kCompanions = {"tokenizer.json",          "tokenizer_config.json",
                                           "special_tokens_map.json", "generation_config.json",
                                           "chat_template.jinja",     "chat.toml"};

/// Copies those that stand in one model's folder and are missing in the other, each atomically.
/// @return their names
std::vector<std::string> copy_companions(const std::filesystem::path& from,
                                         const std::filesystem::path& to);

}  // namespace loopbank

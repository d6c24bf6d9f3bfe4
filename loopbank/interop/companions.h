#pragma once
/// The files that a model is used with and that hold no weights: its tokenizer's, what ends a text, how
/// a chat is written.

#include <filesystem>
#include <string>
#include <vector>

namespace loopbank {

/// Copies those that stand in one model's folder and are missing in the other, each atomically.
/// @return their names
std::vector<std::string> copy_companions(const std::filesystem::path& from,
                                         const std::filesystem::path& to);

}  // namespace loopbank

#pragma once
/// The folder that a command makes and that must not hold anything yet: its flag is --out.

#include <filesystem>

namespace loopbank {

/// The folder's path, without a slash at its end.
/// @throws Error kConfig for an empty name, a file, and a folder that holds something
[[nodiscard]] std::filesystem::path expect_new_folder(const std::filesystem::path& out);

}  // namespace loopbank

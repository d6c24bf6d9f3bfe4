#pragma once
/// The terminal behind a stream.

#include <cstddef>
#include <cstdio>

namespace loopbank {

struct TerminalSize {
  size_t rows = 24;
  size_t columns = 120;
};

/// The defaults where the stream is no terminal or does not tell.
[[nodiscard]] TerminalSize terminal_size(std::FILE* out);

}  // namespace loopbank

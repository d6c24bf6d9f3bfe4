#pragma once
/// A port at which ranks that one program starts on this machine can meet.

#include <cstdint>

namespace loopbank {

/// A TCP port of 127.0.0.1 that nobody listens on now. Another program may take it before it is used.
/// @throws Error kRanks where the system gives none
[[nodiscard]] int64_t free_port();

}  // namespace loopbank

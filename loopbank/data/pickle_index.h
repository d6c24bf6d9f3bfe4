#pragma once
/// Pickled lists of pairs of whole numbers, and no other pickle.
///
/// A pickle is a program: Python's loader imports and calls what it names. This reader knows only
/// the opcodes that `pickle.dumps([(0, 8), (8, 4), ...])` writes in protocols 2 to 5, runs none of
/// them, and refuses every other one, naming its byte position:
///
///     PROTO n   FRAME u64   EMPTY_LIST   MARK   APPEND   APPENDS   TUPLE2   STOP
///     BININT i32   BININT1 u8   BININT2 u16   LONG1 n [n bytes, two's complement]
///     MEMOIZE   BINPUT u8   LONG_BINPUT u32          (for later use, skipped)

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace loopbank {

/// @param where  names the pickle in errors
/// @return the pairs, in order; each number in [0, 2^63)
/// @throws Error kData for anything else: an unknown opcode, another shape, missing bytes or bytes
///   left over
[[nodiscard]] std::vector<std::pair<int64_t, int64_t>> read_pickled_pairs(
    std::span<const std::byte> pickle, std::string_view where);

}  // namespace loopbank

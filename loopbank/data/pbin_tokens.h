#pragma once
/// Packed files of Modalities, named .pbin.
///
///     byte 0 bytes of the ids u64    8 bytes per token u32 (1, 2 or 4)    12 the ids
///     then a pickled list of pairs (offset, length), one per document, in bytes from the first id
///
/// All little endian. Modalities ends each document with its end-of-document token, which counts as
/// part of it; the list is read by pickle_index.h.

#include "loopbank/data/token_source.h"

namespace loopbank {

/// @throws Error kData for sizes that do not fit, a list of anything but consecutive documents, and
///   (with options.verify) ids outside the vocabulary
[[nodiscard]] std::shared_ptr<const TokenSource> open_pbin_tokens(
    const std::filesystem::path& path, const TokenSourceOptions& options);

}  // namespace loopbank

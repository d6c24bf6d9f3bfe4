#pragma once
/// Token files of llm.c and nanoGPT, both named .bin.
///
/// llm.c (dev/data/data_common.py): a header of 256 int32 (magic, version, number of tokens,
/// zeros), then the ids. Magic 20240520 with version 1 means uint16 (GPT-2), magic 20240801 with
/// version 7 means uint32 (Llama 3). nanoGPT (data/*/prepare.py): uint16 ids from the first byte to
/// the last. A file that does not begin with a magic of llm.c is taken for nanoGPT's: as ids, the
/// magics would be 55432 or 55713 and 308, and GPT-2 has only 50257.
///
/// Neither marks documents, which are found by the end-of-text token of options.tokenizer
/// (RawTokens::find_documents), which reads the file once.

#include "loopbank/data/token_source.h"

namespace loopbank {

/// @throws Error kData for another format, an unknown version, a size that does not fit the header
///         or the ids, and ids outside the vocabulary
[[nodiscard]] std::shared_ptr<const TokenSource> open_bin_tokens(const std::filesystem::path& path,
                                                                 const TokenSourceOptions& options);

}  // namespace loopbank

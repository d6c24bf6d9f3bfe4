#pragma once
/// Token files of llm.c and nanoGPT, both named .bin.
///
/// llm.c (dev/data/data_common.py): a header of 256 int32 (magic, version, number of tokens,
/// zeros), then the ids. Magic 20240520 with version 1 means uint16 (GPT-2), magic 20240801 with
/// version 7 means uint32 (Llama 3). nanoGPT (data/*/prepare.py): ids from the first byte to the
/// last. A file that does not begin with a magic of llm.c is taken for nanoGPT's: as ids, the
/// magics would be 55432 or 55713 and 308, and GPT-2 has only 50257.
///
/// Such a file does not say how wide its ids are. nanoGPT itself writes uint16; those who took
/// larger vocabularies write uint32, and each is a good file of the other kind with half or twice
/// as many tokens. So options.bin_dtype says it where the vocabulary leaves it open.
///
/// Neither marks documents, which are found by the end-of-text token of options.tokenizer
/// (RawTokens::find_documents), which reads the file once.

#include "loopbank/data/token_source.h"

namespace loopbank {

/// @throws Error kConfig where nobody says how wide the ids are: a vocabulary that uint16 does not
///         hold, or a file whose every second uint16 is 0; kData for another format, an unknown version, a size that does not fit the header
///         or the ids, and ids outside the vocabulary
[[nodiscard]] std::shared_ptr<const TokenSource> open_bin_tokens(const std::filesystem::path& path,
                                                                 const TokenSourceOptions& options);

}  // namespace loopbank

#pragma once
/// The tokens of a corpus, whatever files they are in: what sampler and validation read.
///
///     FILE.tokens        a token file of `loopbank data tokenize` (token_file.h)
///     FOLDER             its shards, listed in FOLDER/index.json (token_shards.h)
///     FILE.bin           llm.c, by its header, else nanoGPT (bin_tokens.h)
///     FILE.pbin          Modalities (pbin_tokens.h)
///     FOLDER/a_*.bin     all files that match, one after another in the order of their names
///
/// Not here: which documents come when (sampler.h) and how sources are mixed (sampler.h).

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// What a file says about itself.
struct TokenFormat {
  std::string name;  ///< such as "llm.c .bin"
  int bytes_per_token = 2;
  int64_t num_files = 1;
  bool marks_documents = true;  ///< false: they are found by the end-of-text token
  bool has_checksum = false;
  bool states_width = true;  ///< false: bytes_per_token is what the opener said or took for granted
  int64_t vocab_size = 0;    ///< 0: the file does not say
  std::string vocab_hash{};  ///< Tokenizer::hash(); empty: the file does not say
};

/// Tokens in documents, mapped read-only. All calls are safe from several threads.
class TokenSource {
 public:
  virtual ~TokenSource() = default;
  TokenSource() = default;
  TokenSource(const TokenSource&) = delete;
  TokenSource& operator=(const TokenSource&) = delete;

  [[nodiscard]] virtual int64_t num_tokens() const = 0;
  [[nodiscard]] virtual int64_t num_documents() const = 0;
  /// Ids lie in [0, vocab_size()); 0: neither the file nor its opener knows.
  [[nodiscard]] virtual int64_t vocab_size() const = 0;
  [[nodiscard]] virtual TokenFormat format() const = 0;
  /// The file, folder or pattern; errors begin with it.
  [[nodiscard]] virtual const std::filesystem::path& path() const = 0;

  /// Tokens of document i: [begin, end) positions in the source. Documents are consecutive, have at
  /// least one token each, and together contain every token once.
  /// @throws Error kShape when there is no such document
  [[nodiscard]] virtual std::pair<int64_t, int64_t> document(int64_t index) const = 0;
  /// Copies tokens [begin, begin + count) as int64 to `out`.
  /// @throws Error kShape outside the source, kData for an id outside the vocabulary
  virtual void copy(int64_t begin, int64_t count, int64_t* out) const = 0;

  /// @throws Error kData when the tokens are known to come from another tokenizer
  virtual void expect_vocabulary(const Tokenizer& tokenizer) const = 0;
};

struct TokenSourceOptions {
  /// The tokenizer of the ids: it bounds them, and finds the documents of formats that do not mark
  /// any. Without it such a file is a single document, and only their width bounds its ids.
  const Tokenizer* tokenizer = nullptr;
  /// Reads everything: checksums where the format has them, and every id.
  bool verify = false;
  /// What the ids of a .bin file without a header are: "uint16", "uint32", or "auto", which is
  /// uint16 where every id of the tokenizer fits, and else an error: the file does not tell.
  std::string bin_dtype = "auto";
};

/// Opens what a path names, according to the list above.
/// @throws Error kData naming the file, what was found and what was expected
[[nodiscard]] std::shared_ptr<const TokenSource> open_tokens(const std::filesystem::path& path,
                                                             const TokenSourceOptions& options);

/// The token between documents; nothing if the tokenizer has none.
[[nodiscard]] std::optional<TokenId> end_of_text_of(const Tokenizer& tokenizer);

/// @throws Error kShape when [begin, begin + count) is not a range of the source
void expect_token_range(const TokenSource& source, int64_t begin, int64_t count);
/// @throws Error kShape when the source has no document `index`
void expect_document(const TokenSource& source, int64_t index);
/// `expected token ids in [0, V), got 257 as token 520`: the first id outside a vocabulary, of which
/// there is one.
/// @param ids    [count x bytes_per_token]
/// @param begin  which token the first of them is
[[nodiscard]] std::string unknown_id(int64_t vocab_size, const std::byte* ids, int bytes_per_token,
                                     int64_t begin, int64_t count);

}  // namespace loopbank

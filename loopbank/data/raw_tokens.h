#pragma once
/// Consecutive ids in a mapped file, with the documents' starts in memory (8 bytes each): what the
/// readers of foreign formats have in common once they know where the ids are.

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "loopbank/data/token_source.h"
#include "loopbank/support/files.h"

namespace loopbank {

/// Where the ids are in a file.
struct RawLayout {
  TokenFormat format;      ///< bytes_per_token 1, 2 or 4
  int64_t first_byte = 0;  ///< a multiple of bytes_per_token
  int64_t num_tokens = 0;
};

class RawTokens final : public TokenSource {
 public:
  /// The whole file is one document until `set_documents` or `find_documents`.
  /// @param options  its tokenizer bounds the ids
  RawTokens(const std::filesystem::path& path, MappedFile file, RawLayout layout,
            const TokenSourceOptions& options);

  /// Starts of the documents and the end of the last: ascending from 0 to num_tokens.
  void set_documents(std::vector<int64_t> starts) { starts_ = std::move(starts); }
  /// Cuts the tokens into documents in one pass, which also checks every id: a document ends after
  /// each end-of-text token. A file that begins with one (llm.c writes it before each document, not
  /// after) keeps it at the head of its first document.
  /// @throws Error kData for an id outside the vocabulary
  void find_documents(TokenId end_of_text);
  /// @throws Error kData for an id outside the vocabulary
  void check_ids() const;

  [[nodiscard]] int64_t num_tokens() const override { return layout_.num_tokens; }
  [[nodiscard]] int64_t num_documents() const override {
    return static_cast<int64_t>(starts_.size()) - 1;
  }
  /// That of the tokenizer with which the file was opened; the file itself does not say.
  [[nodiscard]] int64_t vocab_size() const override { return vocab_size_; }
  [[nodiscard]] TokenFormat format() const override { return layout_.format; }
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] std::pair<int64_t, int64_t> document(int64_t index) const override;
  void copy(int64_t begin, int64_t count, int64_t* out) const override;
  /// Refuses a tokenizer with fewer ids than the one with which the file was opened.
  void expect_vocabulary(const Tokenizer& tokenizer) const override;

 private:
  [[nodiscard]] const std::byte* token(int64_t index) const;
  /// @param largest  of the ids of tokens [begin, begin + count)
  void expect_known(uint64_t largest, int64_t begin, int64_t count) const;
  [[nodiscard]] int width() const { return layout_.format.bytes_per_token; }

  std::filesystem::path path_;
  MappedFile file_;
  RawLayout layout_;
  int64_t vocab_size_ = 0;
  std::vector<int64_t> starts_;
};

}  // namespace loopbank

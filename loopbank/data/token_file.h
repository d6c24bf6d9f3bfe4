#pragma once
/// Packed token files: every token of a corpus in one mapped file.
///
/// Layout (little endian): a 64-byte header (magic "LBTOKENS", version, bytes per token 2 or 4,
/// vocabulary size, tokens, documents, XXH3 checksum of all that follows, vocabulary hash), the
/// tokens, padding to 8 bytes, then the documents' offsets [documents + 1] in tokens as uint64.
/// Each document ends with its end-of-text token, which is counted in.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>

#include "loopbank/data/tokenizer.h"
#include "loopbank/support/files.h"

namespace loopbank {

/// Writes a token file front to back in constant memory (offsets aside: 8 bytes a document).
class TokenFileWriter {
 public:
  /// The file appears at `path` with `finish`; until then a temporary file stands beside it.
  TokenFileWriter(const std::filesystem::path& path, int64_t vocab_size,
                  const std::string& vocab_hash);
  ~TokenFileWriter();

  /// @param ids  [n] the document with its end-of-text token last
  void append(std::span<const TokenId> ids);
  void finish();
  [[nodiscard]] int64_t num_tokens() const;
  [[nodiscard]] int64_t num_documents() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A token file opened for reading.
class TokenFile {
 public:
  /// Maps the file and checks header, sizes and offsets; `verify_checksum` reads it all.
  /// @throws Error kData naming the file, what was found and what was expected
  explicit TokenFile(const std::filesystem::path& path, bool verify_checksum = false);

  [[nodiscard]] int64_t num_tokens() const;
  [[nodiscard]] int64_t num_documents() const;
  [[nodiscard]] int64_t vocab_size() const;
  [[nodiscard]] const std::string& vocab_hash() const;
  [[nodiscard]] const std::filesystem::path& path() const { return path_; }

  /// Tokens of document i: [begin, end) positions in the file.
  [[nodiscard]] std::pair<int64_t, int64_t> document(int64_t index) const;
  /// Copies tokens [begin, begin + count) as int64 to `out`.
  void copy(int64_t begin, int64_t count, int64_t* out) const;

  /// @throws Error kData when the file was made with another tokenizer
  void expect_vocabulary(const Tokenizer& tokenizer) const;

 private:
  std::filesystem::path path_;
  MappedFile file_;
  int64_t num_tokens_ = 0;
  int64_t num_documents_ = 0;
  int64_t vocab_size_ = 0;
  int bytes_per_token_ = 2;
  std::string vocab_hash_;
  const std::byte* tokens_ = nullptr;
  const std::byte* offsets_ = nullptr;
};

}  // namespace loopbank

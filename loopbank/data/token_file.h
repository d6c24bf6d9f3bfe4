#pragma once
/// Packed token files: every token of a corpus in one mapped file.
///
/// Layout (little endian): a 64-byte header (magic "LBTOKENS", version, bytes per token 2 or 4,
/// vocabulary size, tokens, documents, XXH3 checksum of all that follows, vocabulary hash), the
/// tokens, padding to 8 bytes, then the documents' offsets [documents + 1] in tokens as uint64.
/// Each document ends with its end-of-text token, which counts as part of it.
///
///     byte 0 magic [8]    8 version u32      12 bytes per token u32   16 vocabulary size u64
///         24 tokens u64  32 documents u64    40 checksum u64          48 vocabulary hash [16]
///
/// A token takes 2 bytes if the vocabulary has at most 65536 entries, otherwise 4. The checksum is
/// the 64-bit XXH3 of every byte from 48 to the end of the file.

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "loopbank/data/token_source.h"
#include "loopbank/support/files.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

inline constexpr uint32_t kTokenFileVersion = 1;
inline constexpr std::string_view kTokenFileMagic = "LBTOKENS";

/// Writes a token file front to back in constant memory (except for the offsets: 8 bytes per
/// document).
class TokenFileWriter {
 public:
  /// The file appears at `path` on `finish`; until then there is a temporary file beside it.
  /// @param vocab_size  number of ids; each id written lies in [0, vocab_size)
  /// @param vocab_hash  1 to 16 printable ASCII characters, Tokenizer::hash()
  /// @throws Error kData when the file cannot be created or the two do not fit the format
  TokenFileWriter(const std::filesystem::path& path, int64_t vocab_size,
                  const std::string& vocab_hash);
  ~TokenFileWriter();

  /// @param ids  [n] the document, its end-of-text token last; at least that token
  /// @throws Error kData for an id outside the vocabulary, an empty document or a full disk
  void append(std::span<const TokenId> ids);
  void finish();
  [[nodiscard]] int64_t num_tokens() const;
  [[nodiscard]] int64_t num_documents() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// A token file opened for reading.
class TokenFile final : public TokenSource {
 public:
  /// Maps the file and checks header, sizes and offsets; `verify_checksum` reads it all and
  /// checks every id too.
  /// @throws Error kData naming the file, what was found and what was expected
  explicit TokenFile(const std::filesystem::path& path, bool verify_checksum = false);

  [[nodiscard]] int64_t num_tokens() const override;
  [[nodiscard]] int64_t num_documents() const override;
  [[nodiscard]] int64_t vocab_size() const override;
  [[nodiscard]] const std::string& vocab_hash() const;
  [[nodiscard]] int bytes_per_token() const { return bytes_per_token_; }
  [[nodiscard]] TokenFormat format() const override;
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }

  [[nodiscard]] std::pair<int64_t, int64_t> document(int64_t index) const override;
  void copy(int64_t begin, int64_t count, int64_t* out) const override;

  /// @throws Error kData when the file was made with another tokenizer
  void expect_vocabulary(const Tokenizer& tokenizer) const override;

 private:
  void check_sizes();
  void check_offsets() const;
  void check_content() const;

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

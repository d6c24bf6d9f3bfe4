#pragma once
/// Files of ids byte by byte, as the programs that write them lay them out.

#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/data/token_source.h"

namespace loopbank::testing {

/// <|endoftext|> of the byte tokenizer.
inline constexpr uint16_t kEnd = 256;

/// A vocabulary's hash, of a tokenizer that nobody opens.
inline constexpr const char* kHash = "0123456789abcdef";

/// The bytes of whole numbers of one type, little endian.
template <typename T>
std::string bytes_of(const std::vector<T>& values) {
  std::string bytes(values.size() * sizeof(T), '\0');
  std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

/// A header of llm.c: 256 int32, of which three are set.
inline std::string llmc_header(int32_t magic, int32_t version, int32_t num_tokens) {
  std::vector<int32_t> header(256);
  header[0] = magic;
  header[1] = version;
  header[2] = num_tokens;
  return bytes_of(header);
}

inline std::vector<int64_t> tokens_of(const TokenSource& source) {
  std::vector<int64_t> tokens(static_cast<size_t>(source.num_tokens()));
  source.copy(0, source.num_tokens(), tokens.data());
  return tokens;
}

using Documents = std::vector<std::vector<int64_t>>;

inline Documents documents_of(const TokenSource& source) {
  Documents documents;
  for (int64_t i = 0; i < source.num_documents(); ++i) {
    const auto [begin, end] = source.document(i);
    documents.emplace_back(static_cast<size_t>(end - begin));
    source.copy(begin, end - begin, documents.back().data());
  }
  return documents;
}

}  // namespace loopbank::testing

#include "loopbank/data/pbin_tokens.h"

#include <bit>
#include <cstring>
#include <span>
#include <vector>

#include "loopbank/data/pickle_index.h"
#include "loopbank/data/raw_tokens.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kPbinHeaderBytes = sizeof(uint64_t) + sizeof(uint32_t);

RawLayout pbin_layout(const fs::path& path, std::span<const std::byte> bytes) {
  if (bytes.size() < kPbinHeaderBytes) {
    fail(ErrorCode::kData, "{}: expected a .pbin file with a header of {} bytes, got {} bytes.",
         path.string(), kPbinHeaderBytes, bytes.size());
  }
  uint64_t id_bytes = 0;
  uint32_t width = 0;
  std::memcpy(&id_bytes, bytes.data(), sizeof(id_bytes));
  std::memcpy(&width, bytes.data() + sizeof(id_bytes), sizeof(width));
  if (width != 1 && width != 2 && width != 4) {
    const bool is_big_endian = (width & 0xffffffU) == 0 && width != 0;
    fail(ErrorCode::kData, "{}: expected 1, 2 or 4 bytes per token, got {}.{}", path.string(),
         width,
         is_big_endian ? " The header is big endian, as the first releases of Modalities wrote it: "
                         "pack the data again."
                       : "");
  }
  if (id_bytes > bytes.size() - kPbinHeaderBytes) {
    fail(ErrorCode::kData,
         "{}: the header promises {} bytes of tokens, got a file of {} bytes. The file is "
         "truncated or damaged: copy it again.",
         path.string(), id_bytes, bytes.size());
  }
  if (id_bytes == 0 || id_bytes % width != 0) {
    fail(ErrorCode::kData, "{}: expected tokens of {} bytes each, got {} bytes of them.{}",
         path.string(), width, id_bytes,
         id_bytes == 0 ? " The program that wrote the file did not finish." : "");
  }
  return {.format = {.name = "Modalities .pbin", .bytes_per_token = static_cast<int>(width)},
          .first_byte = kPbinHeaderBytes,
          .num_tokens = static_cast<int64_t>(id_bytes / width)};
}

/// Where the documents start, after each pair was seen to begin where the one before ends.
std::vector<int64_t> starts_of(const fs::path& path,
                               const std::vector<std::pair<int64_t, int64_t>>& pairs,
                               const RawLayout& layout) {
  std::vector<int64_t> starts;
  starts.reserve(pairs.size() + 1);
  const int64_t id_bytes = layout.num_tokens * layout.format.bytes_per_token;
  int64_t end = 0;
  for (const auto& [offset, length] : pairs) {
    if (offset != end || length < 1 || length % layout.format.bytes_per_token != 0 ||
        length > id_bytes - end) {
      fail(ErrorCode::kData,
           "{}: expected document {} at byte {} with at least one token of {} bytes, within {} "
           "bytes, got {} bytes at byte {}. The index does not fit the tokens: pack the data "
           "again.",
           path.string(), starts.size(), end, layout.format.bytes_per_token, id_bytes, length,
           offset);
    }
    starts.push_back(end / layout.format.bytes_per_token);
    end += length;
  }
  if (end != id_bytes) {
    fail(ErrorCode::kData,
         "{}: expected documents that hold all {} bytes of tokens, got {} documents of {} bytes.",
         path.string(), id_bytes, pairs.size(), end);
  }
  starts.push_back(layout.num_tokens);
  return starts;
}

}  // namespace

std::shared_ptr<const TokenSource> open_pbin_tokens(const fs::path& path,
                                                    const TokenSourceOptions& options) {
  MappedFile file(path);
  auto layout = pbin_layout(path, file.bytes());
  const auto pickle = file.bytes().subspan(kPbinHeaderBytes +
                                           static_cast<size_t>(layout.num_tokens) *
                                               static_cast<size_t>(layout.format.bytes_per_token));
  auto starts = starts_of(path, read_pickled_pairs(pickle, path.string()), layout);
  auto tokens = std::make_shared<RawTokens>(path, std::move(file), std::move(layout), options);
  tokens->set_documents(std::move(starts));
  if (options.verify) {
    tokens->check_ids();
  }
  return tokens;
}

}  // namespace loopbank

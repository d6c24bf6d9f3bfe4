#include "loopbank/data/token_source.h"

#include <glob.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <vector>

#include "loopbank/data/bin_tokens.h"
#include "loopbank/data/joined_tokens.h"
#include "loopbank/data/packed_ids.h"
#include "loopbank/data/pbin_tokens.h"
#include "loopbank/data/token_file.h"
#include "loopbank/data/token_shards.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

bool is_pattern(const fs::path& path) {
  return path.string().find_first_of("*?[") != std::string::npos && !fs::exists(path);
}

/// Paths that match, in the order of their bytes: glob's own depends on the locale.
std::vector<fs::path> matches_of(const fs::path& pattern) {
  glob_t found{};
  const int status = ::glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  std::vector<fs::path> paths(found.gl_pathv, found.gl_pathv + (status == 0 ? found.gl_pathc : 0));
  ::globfree(&found);
  if (paths.empty()) {
    fail(ErrorCode::kData, "{}: expected files that match this pattern, got none.",
         pattern.string());
  }
  std::sort(paths.begin(), paths.end());
  return paths;
}

std::shared_ptr<const TokenSource> open_matches(const fs::path& pattern,
                                                const TokenSourceOptions& options) {
  std::vector<std::shared_ptr<const TokenSource>> parts;
  for (const auto& path : matches_of(pattern)) {
    parts.push_back(open_tokens(path, options));
  }
  auto name = fmt::format("{} x {}", parts.size(), parts[0]->format().name);
  return std::make_shared<JoinedTokens>(pattern, std::move(name), std::move(parts));
}

/// A token file is known by its first bytes, whatever its name.
bool is_token_file(const fs::path& path) {
  std::array<char, kTokenFileMagic.size()> first{};
  std::ifstream file(path, std::ios::binary);
  file.read(first.data(), first.size());
  return file.good() && std::string_view(first.data(), first.size()) == kTokenFileMagic;
}

}  // namespace

std::shared_ptr<const TokenSource> open_tokens(const fs::path& path,
                                               const TokenSourceOptions& options) {
  if (is_pattern(path)) {
    return open_matches(path, options);
  }
  if (fs::is_directory(path)) {
    return open_token_shards(path, options);
  }
  if (path.extension() == ".bin" && !is_token_file(path)) {
    return open_bin_tokens(path, options);
  }
  if (path.extension() == ".pbin" && !is_token_file(path)) {
    return open_pbin_tokens(path, options);
  }
  auto file = std::make_shared<const TokenFile>(path, options.verify);
  if (options.tokenizer != nullptr) {
    file->expect_vocabulary(*options.tokenizer);
  }
  return file;
}

std::optional<TokenId> end_of_text_of(const Tokenizer& tokenizer) {
  try {
    return tokenizer.end_of_text();
  } catch (const Error&) {
    return std::nullopt;  // documents without a token between them
  }
}

void expect_token_range(const TokenSource& source, int64_t begin, int64_t count) {
  if (begin < 0 || count < 0 || begin > source.num_tokens() ||
      count > source.num_tokens() - begin) {
    fail(ErrorCode::kShape, "{}: expected a range within [0, {}) tokens, got {} tokens from {}.",
         source.path().string(), source.num_tokens(), count, begin);
  }
}

void expect_document(const TokenSource& source, int64_t index) {
  if (index < 0 || index >= source.num_documents()) {
    fail(ErrorCode::kShape, "{}: expected a document in [0, {}), got {}.", source.path().string(),
         source.num_documents(), index);
  }
}

std::string unknown_id(int64_t vocab_size, const std::byte* ids, int bytes_per_token, int64_t begin,
                       int64_t count) {
  const auto at = find_at_least(ids, bytes_per_token, count, static_cast<uint64_t>(vocab_size));
  return fmt::format("expected token ids in [0, {}), got {} as token {}", vocab_size,
                     id_at(ids, bytes_per_token, at), begin + at);
}

}  // namespace loopbank

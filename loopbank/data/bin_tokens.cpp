#include "loopbank/data/bin_tokens.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "loopbank/data/raw_tokens.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

constexpr size_t kLlmcHeaderBytes = 256 * sizeof(int32_t);
constexpr int32_t kEvaluationMagic = 20240522;

struct LlmcForm {
  int32_t magic;
  int32_t version;
  int bytes_per_token;
};
constexpr std::array<LlmcForm, 2> kLlmcForms = {{{20240520, 1, 2}, {20240801, 7, 4}}};

int32_t int32_at(std::span<const std::byte> bytes, size_t index) {
  int32_t value = 0;
  std::memcpy(&value, bytes.data() + index * sizeof(value), sizeof(value));
  return value;
}

const LlmcForm* llmc_form_of(int32_t magic) {
  for (const auto& form : kLlmcForms) {
    if (form.magic == magic) {
      return &form;
    }
  }
  return nullptr;
}

RawLayout llmc_layout(const fs::path& path, std::span<const std::byte> bytes,
                      const LlmcForm& form) {
  if (bytes.size() < kLlmcHeaderBytes) {
    fail(ErrorCode::kData, "{}: expected an llm.c file with a header of {} bytes, got {} bytes.",
         path.string(), kLlmcHeaderBytes, bytes.size());
  }
  if (const auto version = int32_at(bytes, 1); version != form.version) {
    fail(ErrorCode::kData, "{}: expected version {} behind llm.c's magic {}, got version {}.",
         path.string(), form.version, form.magic, version);
  }
  const int64_t num_tokens = int32_at(bytes, 2);
  const auto expected = static_cast<int64_t>(kLlmcHeaderBytes) + num_tokens * form.bytes_per_token;
  if (num_tokens < 1 || expected != static_cast<int64_t>(bytes.size())) {
    fail(ErrorCode::kData,
         "{}: the header promises {} tokens ({} bytes), got a file of {} bytes. The file is "
         "truncated or damaged: copy it again.",
         path.string(), num_tokens, expected, bytes.size());
  }
  return {.format = {.name = "llm.c .bin",
                     .bytes_per_token = form.bytes_per_token,
                     .marks_documents = false},
          .first_byte = kLlmcHeaderBytes,
          .num_tokens = num_tokens};
}

/// Whether every second uint16 at the beginning of a file is 0, as where they are uint32.
bool looks_like_uint32(std::span<const std::byte> bytes) {
  constexpr size_t kFewest = 16;  // ids of four bytes; fewer prove nothing
  constexpr size_t kMost = 4096;
  const auto count = std::min(kMost, bytes.size() / sizeof(uint32_t));
  bool all = count >= kFewest;
  bool any = false;
  for (size_t i = 0; i < count; ++i) {
    const auto id = static_cast<uint32_t>(int32_at(bytes, i));
    all = all && id >> 16U == 0;
    any = any || id != 0;
  }
  return all && any;
}

constexpr const char* kSayDtype =
    "Say which with --set data.bin_dtype=uint16 or =uint32 (loopbank data inspect: --dtype).";

/// Bytes of an id in a file that does not say.
int nanogpt_width(const fs::path& path, std::span<const std::byte> bytes,
                  const TokenSourceOptions& options) {
  constexpr int64_t kIdsOfTwoBytes = int64_t{1} << 16;
  if (options.bin_dtype != "auto") {
    return options.bin_dtype == "uint32" ? 4 : 2;
  }
  const auto vocab_size = options.tokenizer != nullptr ? options.tokenizer->vocab_size() : 0;
  if (vocab_size > kIdsOfTwoBytes) {
    fail(ErrorCode::kConfig,
         "{}: expected to be told how wide the ids of a .bin file without a header are, as the "
         "tokenizer has {} and uint16 holds {}, got nothing. {}",
         path.string(), vocab_size, kIdsOfTwoBytes, kSayDtype);
  }
  if (looks_like_uint32(bytes)) {
    fail(ErrorCode::kConfig,
         "{}: expected to be told how wide the ids of a .bin file without a header are, as every "
         "second uint16 at its beginning is 0, got nothing. {}",
         path.string(), kSayDtype);
  }
  return 2;
}

RawLayout nanogpt_layout(const fs::path& path, std::span<const std::byte> bytes,
                         const TokenSourceOptions& options) {
  const auto width = nanogpt_width(path, bytes, options);
  if (bytes.empty() || bytes.size() % static_cast<size_t>(width) != 0) {
    fail(ErrorCode::kData,
         "{}: expected a nanoGPT file of {}-byte ids (it does not begin with a magic of llm.c), "
         "got {} bytes.",
         path.string(), width, bytes.size());
  }
  return {.format = {.name = "nanoGPT .bin",
                     .bytes_per_token = width,
                     .marks_documents = false,
                     .states_width = false},
          .num_tokens = static_cast<int64_t>(bytes.size()) / width};
}

RawLayout bin_layout(const fs::path& path, std::span<const std::byte> bytes,
                     const TokenSourceOptions& options) {
  const auto magic = bytes.size() >= sizeof(int32_t) ? int32_at(bytes, 0) : 0;
  if (magic == kEvaluationMagic) {
    fail(ErrorCode::kData,
         "{}: expected tokens, got llm.c's multiple-choice questions (magic {}). loopbank eval "
         "reads questions as .jsonl.",
         path.string(), kEvaluationMagic);
  }
  const auto* form = llmc_form_of(magic);
  return form != nullptr ? llmc_layout(path, bytes, *form) : nanogpt_layout(path, bytes, options);
}

}  // namespace

std::shared_ptr<const TokenSource> open_bin_tokens(const fs::path& path,
                                                   const TokenSourceOptions& options) {
  MappedFile file(path);
  auto layout = bin_layout(path, file.bytes(), options);
  auto tokens = std::make_shared<RawTokens>(path, std::move(file), std::move(layout), options);
  const auto between =
      options.tokenizer != nullptr ? end_of_text_of(*options.tokenizer) : std::nullopt;
  if (between) {
    tokens->find_documents(*between);
  } else if (options.verify) {
    tokens->check_ids();
  }
  return tokens;
}

}  // namespace loopbank

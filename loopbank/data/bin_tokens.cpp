#include "loopbank/data/bin_tokens.h"

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

RawLayout nanogpt_layout(const fs::path& path, std::span<const std::byte> bytes) {
  constexpr int kBytesPerToken = 2;
  if (bytes.empty() || bytes.size() % kBytesPerToken != 0) {
    fail(ErrorCode::kData,
         "{}: expected a nanoGPT file of {}-byte ids (it does not begin with a magic of llm.c), "
         "got {} bytes.",
         path.string(), kBytesPerToken, bytes.size());
  }
  return {.format = {.name = "nanoGPT .bin",
                     .bytes_per_token = kBytesPerToken,
                     .marks_documents = false},
          .num_tokens = static_cast<int64_t>(bytes.size()) / kBytesPerToken};
}

RawLayout bin_layout(const fs::path& path, std::span<const std::byte> bytes) {
  const auto magic = bytes.size() >= sizeof(int32_t) ? int32_at(bytes, 0) : 0;
  if (magic == kEvaluationMagic) {
    fail(ErrorCode::kData,
         "{}: expected tokens, got llm.c's multiple-choice questions (magic {}). loopbank eval "
         "reads questions as .jsonl.",
         path.string(), kEvaluationMagic);
  }
  const auto* form = llmc_form_of(magic);
  return form != nullptr ? llmc_layout(path, bytes, *form) : nanogpt_layout(path, bytes);
}

}  // namespace

std::shared_ptr<const TokenSource> open_bin_tokens(const fs::path& path,
                                                   const TokenSourceOptions& options) {
  MappedFile file(path);
  auto layout = bin_layout(path, file.bytes());
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

#include "loopbank/tokenize/pcre2_code.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <array>
#include <new>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

std::string pcre2_message(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

pcre2_code* code_of(void* code) {
  return static_cast<pcre2_code*>(code);
}

}  // namespace

Pcre2MatchData::Pcre2MatchData() : data_(pcre2_match_data_create(1, nullptr)) {
  if (data_ == nullptr) {
    throw std::bad_alloc();
  }
}

Pcre2MatchData::~Pcre2MatchData() {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(data_));
}

Pcre2Code::Pcre2Code(const std::string& pattern) {
  int error = 0;
  size_t place = 0;
  auto* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr);
  if (code == nullptr) {
    fail(ErrorCode::kData, "regex: expected a pattern that PCRE2 reads, got \"{}\": {} (byte {}).",
         pattern, pcre2_message(error), place);
  }
  code_ = code;
  compiled_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

Pcre2Code::~Pcre2Code() {
  pcre2_code_free(code_of(code_));
}

Pcre2Code::Pcre2Code(Pcre2Code&& other) noexcept
    : code_(std::exchange(other.code_, nullptr)), compiled_(other.compiled_) {}

Pcre2Code& Pcre2Code::operator=(Pcre2Code&& other) noexcept {
  std::swap(code_, other.code_);
  std::swap(compiled_, other.compiled_);
  return *this;
}

std::optional<RegexMatch> Pcre2Code::search(std::string_view text, size_t from,
                                            const Pcre2MatchData& match_data) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  auto* data = static_cast<pcre2_match_data*>(match_data.data_);
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (compiled_) {  // the fast call: it checks none of its arguments
    found = pcre2_jit_match(code_of(code_), subject, text.size(), from, 0, data, nullptr);
  }
  if (found == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its stack on the heap
    found = pcre2_match(code_of(code_), subject, text.size(), from,
                        PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, nullptr);
  }
  if (found == PCRE2_ERROR_NOMATCH) {
    return std::nullopt;
  }
  if (found < 0) {
    fail(ErrorCode::kData, "regex: expected a match or none in {} bytes of text, got: {}.",
         text.size(), pcre2_message(found));
  }
  const auto* bounds = pcre2_get_ovector_pointer(data);
  return RegexMatch{bounds[0], bounds[1]};
}

}  // namespace loopbank

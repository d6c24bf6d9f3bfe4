#include "loopbank/tokenize/pretokenizer.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <new>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

std::string message_of(int error) {
  std::array<PCRE2_UCHAR, 256> buffer{};
  pcre2_get_error_message(error, buffer.data(), buffer.size());
  return reinterpret_cast<const char*>(buffer.data());
}

/// PCRE2's own \s takes U+180E for white space, which Unicode has not done since 6.3.
std::string with_unicode_white_space(const std::string& pattern) {
  std::string result;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      result.push_back(pattern[i]);
      continue;
    }
    const char letter = pattern[++i];
    result += letter == 's'   ? std::string("\\p{White_Space}")
              : letter == 'S' ? std::string("\\P{White_Space}")
                              : std::string{'\\', letter};
  }
  return result;
}

/// A pattern that matches the text alone.
std::string quoted(const std::string& text) {
  std::string pattern;
  for (const char c : text) {
    const bool plain = (c & 0x80) != 0 || std::isalnum(static_cast<unsigned char>(c)) != 0;
    pattern += plain ? std::string{c} : fmt::format("\\x{{{:x}}}", static_cast<unsigned char>(c));
  }
  return pattern;
}

pcre2_code* code_of(void* code) {
  return static_cast<pcre2_code*>(code);
}

}  // namespace

Regex::Matcher::Matcher() : data_(pcre2_match_data_create(1, nullptr)) {
  if (data_ == nullptr) {
    throw std::bad_alloc();
  }
}

Regex::Matcher::~Matcher() {
  pcre2_match_data_free(static_cast<pcre2_match_data*>(data_));
}

Regex::Regex(const std::string& pattern) {
  const auto unicode = with_unicode_white_space(pattern);
  int error = 0;
  size_t place = 0;
  auto* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(unicode.data()), unicode.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_NEVER_BACKSLASH_C, &error, &place, nullptr);
  if (code == nullptr) {
    fail(ErrorCode::kData,
         "pre-tokenizer: expected a regular expression that PCRE2 reads, got \"{}\": {} (byte {} "
         "of \"{}\").",
         pattern, message_of(error), place, unicode);
  }
  code_ = code;
  compiled_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
}

Regex::~Regex() {
  pcre2_code_free(code_of(code_));
}

Regex::Regex(Regex&& other) noexcept
    : code_(std::exchange(other.code_, nullptr)), compiled_(other.compiled_) {}

Regex& Regex::operator=(Regex&& other) noexcept {
  std::swap(code_, other.code_);
  std::swap(compiled_, other.compiled_);
  return *this;
}

std::pair<size_t, size_t> Regex::find(std::string_view text, size_t from, Matcher& matcher) const {
  const auto* subject = reinterpret_cast<PCRE2_SPTR>(text.data());
  auto* data = static_cast<pcre2_match_data*>(matcher.data_);
  int found = PCRE2_ERROR_JIT_STACKLIMIT;
  if (compiled_) {  // the fast call: it checks none of its arguments
    found =
        pcre2_jit_match(code_of(code_), subject, text.size(), from, PCRE2_NOTEMPTY, data, nullptr);
  }
  // The interpreter keeps its stack on the heap, and takes patterns that ask for it: (*NO_JIT).
  if (found == PCRE2_ERROR_JIT_STACKLIMIT || found == PCRE2_ERROR_JIT_BADOPTION) {
    found = pcre2_match(code_of(code_), subject, text.size(), from,
                        PCRE2_NOTEMPTY | PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT, data, nullptr);
  }
  if (found == PCRE2_ERROR_NOMATCH) {
    return {text.size(), text.size()};
  }
  if (found < 0) {
    fail(ErrorCode::kData, "pre-tokenizer: expected a match or none in {} bytes of text, got: {}.",
         text.size(), message_of(found));
  }
  const auto* bounds = pcre2_get_ovector_pointer(data);
  // A \K that a lookaround reaches through a subroutine sets the start behind the end or before
  // `from`: text would be lost, doubled or matched for ever.
  if (bounds[0] < from || bounds[0] >= bounds[1]) {
    fail(ErrorCode::kData,
         "pre-tokenizer: expected a match of at least one byte from byte {} on, got one from {} to "
         "{}. Take \\K out of the pattern.",
         from, bounds[0], bounds[1]);
  }
  return {bounds[0], bounds[1]};
}

PreTokenizer::PreTokenizer(std::vector<PreTokenizerStep> steps) : steps_(std::move(steps)) {
  for (const auto& step : steps_) {
    Cut cut;
    switch (step.kind) {
      case PreTokenizerStep::Kind::kByteLevel:
        cut.add_prefix_space = step.add_prefix_space;
        if (step.use_regex) {
          cut.regex.emplace(std::string(kGpt2Pattern));
        }
        break;
      case PreTokenizerStep::Kind::kDigits:
        cut.regex.emplace(step.individual_digits ? "\\p{N}" : "\\p{N}+");
        break;
      case PreTokenizerStep::Kind::kSplit:
        cut.regex.emplace(step.pattern_is_text ? quoted(step.pattern) : step.pattern);
        break;
    }
    cuts_.push_back(std::move(cut));
  }
}

bool PreTokenizer::adds_spaces() const {
  return std::any_of(cuts_.begin(), cuts_.end(),
                     [](const Cut& cut) { return cut.add_prefix_space; });
}

size_t PreTokenizer::valid_prefix(std::string_view text) {
  return valid_utf8_prefix(text);
}

}  // namespace loopbank

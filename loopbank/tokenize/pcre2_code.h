#pragma once
/// A pattern that PCRE2 has compiled, with its JIT compiler where there is one. Matches of nothing
/// are not looked for: tokenize/fast_pattern.h takes no pattern that has them.

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// Bytes [begin, end) of a text.
struct RegexMatch {
  size_t begin = 0;
  size_t end = 0;
};

/// What one thread needs to match.
class Pcre2MatchData {
 public:
  Pcre2MatchData();
  ~Pcre2MatchData();
  Pcre2MatchData(const Pcre2MatchData&) = delete;
  Pcre2MatchData& operator=(const Pcre2MatchData&) = delete;

 private:
  friend class Pcre2Code;
  void* data_;
};

class Pcre2Code {
 public:
  /// @throws Error kData with PCRE2's reason when it does not compile
  explicit Pcre2Code(const std::string& pattern);
  ~Pcre2Code();
  Pcre2Code(Pcre2Code&& other) noexcept;
  Pcre2Code& operator=(Pcre2Code&& other) noexcept;
  Pcre2Code(const Pcre2Code&) = delete;
  Pcre2Code& operator=(const Pcre2Code&) = delete;

  /// The first match that starts at or after `from`.
  /// @param text  well-formed UTF-8
  /// @throws Error kData when the pattern backtracks beyond PCRE2's limits
  [[nodiscard]] std::optional<RegexMatch> search(std::string_view text, size_t from,
                                                 const Pcre2MatchData& data) const;

 private:
  void* code_ = nullptr;
  bool compiled_ = false;  // by the JIT
};

}  // namespace loopbank

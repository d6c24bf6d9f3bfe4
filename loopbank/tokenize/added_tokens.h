#pragma once
/// Finds added tokens in a text, as the AddedVocabulary of Hugging Face `tokenizers` does.
///
/// The leftmost token counts, of those that start there the longest, and the search goes on behind
/// its end, whether it was taken or not. A token that stands for itself is not taken inside a word
/// (single_word), and takes white space with it (lstrip, rstrip).
///
/// Not here: that tokens which are not normalized are found in the text as it is, before those that
/// are found in the normalized text. There is one finder for each sort (tokenizer.cpp).

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// A text that stands for an id.
struct AddedTokenPattern {
  std::string content;
  TokenId id = 0;
  bool special = false;      ///< taken only where the caller asks for special tokens
  bool single_word = false;  ///< not taken where a word character touches it
  bool lstrip = false;       ///< takes the white space before it
  bool rstrip = false;       ///< takes the white space behind it
};

class AddedTokenFinder {
 public:
  /// A token that was taken: its bytes from `begin` up to `end`, white space that it took included.
  struct Found {
    size_t begin = 0;
    size_t end = 0;
    TokenId id = 0;
    bool special = false;
  };

  AddedTokenFinder() = default;
  /// @param patterns  with a content that is not empty; of two equal ones the first counts
  explicit AddedTokenFinder(std::vector<AddedTokenPattern> patterns);

  /// Whether nothing can be found: no tokens, or none that the caller wants.
  [[nodiscard]] bool finds_nothing(bool parse_special) const {
    return patterns_.empty() || (!parse_special && !any_ordinary_);
  }

  /// Calls `on_text(piece, begin)` for what lies between tokens, which is never empty, and
  /// `on_token(found)`, in order. Any bytes are accepted.
  template <typename OnText, typename OnToken>
  void cut(std::string_view text, bool parse_special, OnText&& on_text, OnToken&& on_token) const {
    size_t done = 0;
    if (!finds_nothing(parse_special)) {
      size_t from = 0;
      for (Match match; next_match(text, from, match);) {
        from = match.end;
        Found found;
        if (take(text, done, match, parse_special, found)) {
          if (done < found.begin) {
            on_text(text.substr(done, found.begin - done), done);
          }
          if (found.begin < found.end) {  // else an earlier token took its white space: none left
            on_token(found);
          }
          done = found.end;
        }
      }
    }
    if (done < text.size()) {
      on_text(text.substr(done), done);
    }
  }

 private:
  struct Match {
    size_t begin = 0;
    size_t end = 0;
    uint32_t pattern = 0;
  };
  /// A node of the tree of contents; its children are found in `children_`.
  struct Node {
    static constexpr uint32_t kNoPattern = UINT32_MAX;
    uint32_t pattern = kNoPattern;  // whose content ends here
  };
  static uint64_t edge(uint32_t node, unsigned char byte) {
    return static_cast<uint64_t>(node) << 8U | byte;
  }

  bool next_match(std::string_view text, size_t from, Match& match) const;
  bool take(std::string_view text, size_t done, const Match& match, bool parse_special,
            Found& found) const;

  std::vector<AddedTokenPattern> patterns_;
  std::vector<Node> nodes_;
  std::unordered_map<uint64_t, uint32_t> children_;
  std::array<uint32_t, 256> starts_{};  // node behind each first byte; 0: no token starts so
  int only_start_ = -1;                 // the first byte, where all tokens share it
  bool any_ordinary_ = false;
};

}  // namespace loopbank

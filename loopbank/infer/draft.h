#pragma once
/// Guesses at the tokens that come next, checked by the model in one pass.
///
///     lookup     what followed the last time that the text ended in the same tokens
///     loops:n    what the model itself says with n loops a layer
///
/// A guess can save time and cannot change an answer. The pass that checks k guesses gives the very
/// logits that k passes would (engine.h), each token is drawn from these with the draws that it
/// would have had, and the first that is another than was guessed ends the run. For a guess that is
/// one certain token, this is what rejection sampling does (Leviathan et al. 2023, 2211.17192):
/// it is kept with the probability that the model gives it.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

struct DraftOptions {
  enum class Kind { kNone, kLookup, kLoops };
  Kind kind = Kind::kNone;
  int64_t loops = 0;   ///< of kLoops
  int64_t tokens = 4;  ///< guesses a pass, at most

  /// @param text   `none`, `lookup` or `loops:n`, and with `,k` behind it k guesses a pass
  /// @param where  names the place in the error: a flag, a key
  /// @throws Error kConfig for anything else, in one line that lists what there is
  static DraftOptions parse(std::string_view text, std::string_view where = "draft");
};

/// What followed the latest earlier place where the text's last tokens stand: of three, else of
/// two, else none.
/// @return at most `most` tokens
[[nodiscard]] std::vector<TokenId> look_up(std::span<const TokenId> text, int64_t most);

/// Whether guessing pays: it is tried for a while, and left off for a while where texts grew faster
/// without.
class DraftTrial {
 public:
  /// Whether the next pass is to be made with guesses.
  [[nodiscard]] bool drafts() const { return drafts_; }
  /// What a pass of either kind took, guessing included, and the tokens that it brought; 0 and 0 of
  /// one that did other work as well.
  void add(double seconds, int64_t tokens);

 private:
  struct Rate {
    double seconds = 0.0;
    double tokens = 0.0;
  };
  bool drafts_ = false;
  int64_t passes_ = 0;  // of the present stretch
  int64_t stretch_ = 4;
  Rate plain_, drafted_;
};

}  // namespace loopbank

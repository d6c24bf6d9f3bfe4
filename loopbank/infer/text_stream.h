#pragma once
/// The text of one completion as its tokens come: whole characters, ending before a stop string.
///
/// What is given out does not depend on how the text was cut into tokens, only when. Bytes that are
/// no character become U+FFFD (utf8_stream.h).

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/infer/utf8_stream.h"

namespace loopbank {

/// @throws Error kConfig, beginning with `where`, for a stop string that is empty or not UTF-8
void check_stop_strings(const std::vector<std::string>& stop, std::string_view where);

/// Of the stop strings the one that is complete first ends the text, and of those that end at the
/// same place the longest; it is not given out. Held back is only what may still become one.
class TextStream {
 public:
  /// @throws Error kConfig as check_stop_strings
  explicit TextStream(std::vector<std::string> stop = {});

  /// The bytes of the next token; returns the text that is sure now, which may be empty. Behind a
  /// stop string nothing is taken any more.
  [[nodiscard]] std::string push(std::string_view bytes);
  /// What was held back; ends the stream.
  [[nodiscard]] std::string finish();

  /// Whether a stop string ended the text.
  [[nodiscard]] bool stopped() const { return stopped_; }
  /// The stop string that did; empty if none.
  [[nodiscard]] const std::string& stop_string() const { return stop_string_; }

  /// Where each token pushed begins in the text, in characters (code points, as OpenAI's
  /// text_offset): at the character that its first byte is part of, or at the text's end where that
  /// was not given out. Of tokens whose first character is not complete, known after finish().
  [[nodiscard]] const std::vector<int64_t>& offsets() const { return offsets_; }
  /// Tokens whose offset is known, the first ones: what follows changes it only by a stop string.
  [[nodiscard]] size_t num_placed() const { return offsets_.size() - unplaced_.size(); }

 private:
  void take_text(const std::string& text);
  void stop_if_complete();
  [[nodiscard]] size_t undecided_bytes() const;
  [[nodiscard]] std::string release(size_t kept_bytes);

  std::vector<std::string> stop_;
  Utf8Stream characters_;
  std::string held_;  ///< characters not given out
  bool stopped_ = false;
  std::string stop_string_;
  std::vector<int64_t> offsets_;
  std::vector<std::pair<size_t, size_t>> unplaced_;  ///< token, position of its first byte
  size_t bytes_taken_ = 0;
  size_t bytes_placed_ = 0;  ///< bytes of complete characters
  int64_t characters_read_ = 0;
};

}  // namespace loopbank

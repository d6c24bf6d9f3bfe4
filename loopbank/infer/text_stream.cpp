#include "loopbank/infer/text_stream.h"

#include <algorithm>

#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

/// Bytes of the character that begins here.
size_t character_length(std::string_view text, size_t begin) {
  size_t end = begin + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    ++end;
  }
  return end - begin;
}

}  // namespace

void check_stop_strings(const std::vector<std::string>& stop, std::string_view where) {
  for (const auto& text : stop) {
    if (text.empty() || !is_valid_utf8(text)) {
      fail(ErrorCode::kConfig, "{}: \"stop\" expects texts that are not empty, in UTF-8, got {}.",
           where, text.empty() ? "an empty one" : "one with other bytes");
    }
  }
}

TextStream::TextStream(std::vector<std::string> stop) : stop_(std::move(stop)) {
  check_stop_strings(stop_, "TextStream");
  // Of two that end at the same place the longer one is found first.
  std::stable_sort(stop_.begin(), stop_.end(),
                   [](const auto& a, const auto& b) { return a.size() > b.size(); });
}

std::string TextStream::push(std::string_view bytes) {
  offsets_.push_back(characters_read_);
  if (stopped_) {
    return "";
  }
  unplaced_.emplace_back(offsets_.size() - 1, bytes_taken_);
  // Byte by byte: a stop string may end anywhere, and a character says what its bytes belong to.
  for (const char& byte : bytes) {
    ++bytes_taken_;
    take_text(characters_.push({&byte, 1}));
    if (stopped_) {
      return release(0);
    }
  }
  return release(undecided_bytes());
}

std::string TextStream::finish() {
  if (!stopped_) {
    take_text(characters_.finish());
    for (const auto& [token, position] : unplaced_) {
      offsets_[token] = characters_read_;
    }
    unplaced_.clear();
  }
  return release(0);
}

/// Takes the characters that the last byte, or the end, completed: one of several bytes, or one for
/// each byte, such as those replaced.
void TextStream::take_text(const std::string& text) {
  const size_t placed = bytes_taken_ - characters_.pending_bytes();
  const bool is_one = count_code_points(text) == 1;
  std::erase_if(unplaced_, [&](const auto& unplaced) {
    const auto [token, position] = unplaced;
    if (position >= placed) {
      return false;
    }
    offsets_[token] =
        characters_read_ + (is_one ? 0 : static_cast<int64_t>(position - bytes_placed_));
    return true;
  });
  bytes_placed_ = placed;
  for (size_t begin = 0; begin < text.size() && !stopped_;) {
    const size_t length = character_length(text, begin);
    held_.append(text, begin, length);
    begin += length;
    ++characters_read_;
    stop_if_complete();
  }
}

void TextStream::stop_if_complete() {
  const auto found = std::find_if(stop_.begin(), stop_.end(),
                                  [&](const auto& stop) { return held_.ends_with(stop); });
  if (found == stop_.end()) {
    return;
  }
  stopped_ = true;
  stop_string_ = *found;
  held_.resize(held_.size() - found->size());
  characters_read_ -= count_code_points(*found);
  for (auto& offset : offsets_) {
    offset = std::min(offset, characters_read_);
  }
  for (const auto& [token, position] : unplaced_) {
    offsets_[token] = characters_read_;
  }
  unplaced_.clear();
}

/// Bytes at the end of what is held that a stop string may begin with.
size_t TextStream::undecided_bytes() const {
  size_t most = 0;
  for (const auto& stop : stop_) {
    for (size_t length = std::min(stop.size() - 1, held_.size()); length > most; --length) {
      if (held_.ends_with(std::string_view(stop).substr(0, length))) {
        most = length;
      }
    }
  }
  return most;
}

std::string TextStream::release(size_t kept_bytes) {
  const auto text = held_.substr(0, held_.size() - kept_bytes);
  held_.erase(0, text.size());
  return text;
}

}  // namespace loopbank

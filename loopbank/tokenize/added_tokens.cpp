#include "loopbank/tokenize/added_tokens.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "loopbank/tokenize/characters.h"
#include "loopbank/tokenize/code_points.h"

namespace loopbank {
namespace {

bool is_word_character(std::optional<char32_t> character) {
  return character && word_characters_of_step().contains(*character);
}

}  // namespace

AddedTokenFinder::AddedTokenFinder(std::vector<AddedTokenPattern> patterns)
    : patterns_(std::move(patterns)), nodes_(1) {
  for (uint32_t i = 0; i < patterns_.size(); ++i) {
    uint32_t node = 0;
    for (const char c : patterns_[i].content) {
      const auto [child, is_new] = children_.try_emplace(edge(node, static_cast<unsigned char>(c)),
                                                         static_cast<uint32_t>(nodes_.size()));
      if (is_new) {
        nodes_.emplace_back();
      }
      node = child->second;
    }
    if (nodes_[node].pattern == Node::kNoPattern) {
      nodes_[node].pattern = i;
    }
    any_ordinary_ = any_ordinary_ || !patterns_[i].special;
  }
  int num_starts = 0;
  for (int byte = 0; byte < 256; ++byte) {
    const auto child = children_.find(edge(0, static_cast<unsigned char>(byte)));
    if (child != children_.end()) {
      starts_[static_cast<size_t>(byte)] = child->second;
      only_start_ = byte;
      ++num_starts;
    }
  }
  if (num_starts != 1) {
    only_start_ = -1;
  }
}

bool AddedTokenFinder::next_match(std::string_view text, size_t from, Match& match) const {
  for (size_t at = from; at < text.size(); ++at) {
    if (only_start_ >= 0) {
      const void* found = std::memchr(text.data() + at, only_start_, text.size() - at);
      if (found == nullptr) {
        return false;
      }
      at = static_cast<size_t>(static_cast<const char*>(found) - text.data());
    }
    uint32_t node = starts_[static_cast<unsigned char>(text[at])];
    if (node == 0) {
      continue;
    }
    match.pattern = nodes_[node].pattern;
    match.begin = at;
    match.end = at + 1;
    for (size_t next = at + 1; next < text.size(); ++next) {
      const auto child = children_.find(edge(node, static_cast<unsigned char>(text[next])));
      if (child == children_.end()) {
        break;
      }
      node = child->second;
      if (nodes_[node].pattern != Node::kNoPattern) {
        match.pattern = nodes_[node].pattern;
        match.end = next + 1;
      }
    }
    if (match.pattern != Node::kNoPattern) {
      return true;
    }
  }
  return false;
}

bool AddedTokenFinder::take(std::string_view text, size_t done, const Match& match,
                            bool parse_special, Found& found) const {
  const auto& pattern = patterns_[match.pattern];
  if (pattern.special && !parse_special) {
    return false;
  }
  const auto before = text.substr(0, match.begin);
  const auto behind = text.substr(match.end);
  if (pattern.single_word &&
      (is_word_character(last_character(before)) || is_word_character(first_character(behind)))) {
    return false;
  }
  found = {match.begin, match.end, pattern.id, pattern.special};
  if (pattern.lstrip) {  // but not what an earlier token took already
    const auto open = before.substr(std::min(done, match.begin));
    found.begin = std::max(match.begin - trailing_white_space(open), done);
  }
  if (pattern.rstrip) {
    found.end += leading_white_space(behind);
  }
  return true;
}

}  // namespace loopbank

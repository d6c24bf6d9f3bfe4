#pragma once
/// A tokenizer.json small enough to follow by hand, and merging as its definition says.

#include <array>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/tokenize/byte_alphabet.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank::testing {

using Json = nlohmann::json;

inline Json byte_level(bool add_prefix_space = false, bool use_regex = true) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", add_prefix_space},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

inline Json sequence(std::vector<Json> steps) {
  return {{"type", "Sequence"}, {"pretokenizers", std::move(steps)}};
}

inline Json added_token(int id, const std::string& content, bool special = true) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", special}};
}

/// Pairs of bytes that merge, in order of rank.
using Merges = std::vector<std::pair<std::string, std::string>>;

/// Ids 0 to 255 are the bytes, 256 on the merged tokens in order, the last one <|endoftext|>.
inline Json small_tokenizer(const Merges& merges) {
  Json vocab = Json::object();
  for (int byte = 0; byte < 256; ++byte) {
    vocab[spell_bytes(std::string(1, static_cast<char>(byte)))] = byte;
  }
  Json list = Json::array();
  for (const auto& [left, right] : merges) {
    list.push_back(spell_bytes(left) + " " + spell_bytes(right));
    vocab.emplace(spell_bytes(left + right), vocab.size());
  }
  const int end_of_text = static_cast<int>(vocab.size());
  vocab["<|endoftext|>"] = end_of_text;
  return {{"version", "1.0"},
          {"added_tokens", {added_token(end_of_text, "<|endoftext|>")}},
          {"normalizer", nullptr},
          {"pre_tokenizer", byte_level()},
          {"post_processor", nullptr},
          {"decoder", byte_level(true)},
          {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", list}}}};
}

/// Merges over a, b and c that overlap in every way, tokens of two spellings included.
inline Merges overlapping_merges() {
  return {{"a", "a"},  {"b", "c"},   {"aa", "a"},   {"c", "a"},   {"a", "b"},    {"ab", "c"},
          {"a", "bc"}, {"aa", "aa"}, {"bc", "ca"},  {"b", "b"},   {"abc", "aa"}, {"bb", "ca"},
          {"c", "c"},  {"cc", "cc"}, {"aaa", "bc"}, {"ca", "ca"}, {"caca", "c"}};
}

/// The word as tokens: the merge of lowest rank, leftmost first, until none is left.
inline std::vector<std::string> merge_by_definition(const std::string& word, const Merges& merges) {
  std::map<std::pair<std::string, std::string>, size_t> ranks;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    ranks.emplace(merges[rank], rank);
  }
  std::vector<std::string> tokens;
  for (const char byte : word) {
    tokens.emplace_back(1, byte);
  }
  while (true) {
    auto best = std::numeric_limits<size_t>::max();
    size_t at = 0;
    for (size_t i = 0; i + 1 < tokens.size(); ++i) {
      const auto found = ranks.find({tokens[i], tokens[i + 1]});
      if (found != ranks.end() && found->second < best) {
        best = found->second;
        at = i;
      }
    }
    if (best == std::numeric_limits<size_t>::max()) {
      return tokens;
    }
    tokens[at] += tokens[at + 1];
    tokens.erase(tokens.begin() + static_cast<std::ptrdiff_t>(at) + 1);
  }
}

/// The bytes of each token of the text.
inline std::vector<std::string> pieces(const Tokenizer& tokenizer, const std::string& text,
                                       bool parse_special = false) {
  std::vector<std::string> result;
  for (const auto id : tokenizer.encode(text, parse_special)) {
    result.emplace_back(tokenizer.token_bytes(id));
  }
  return result;
}

}  // namespace loopbank::testing

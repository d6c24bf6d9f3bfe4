#include "loopbank/dissect/token_class.h"

#include <array>
#include <string>
#include <unordered_set>
#include <utility>

#include "loopbank/data/token_source.h"
#include "loopbank/support/utf8.h"
#include "loopbank/tokenize/pretokenizer.h"

namespace loopbank {
namespace {

/// In lower case; contractions are told by their parts (is_function_word).
const std::unordered_set<std::string_view>& function_words() {
  static const std::unordered_set<std::string_view> words = {
      // Articles, determiners, quantifiers.
      "a", "an", "the", "this", "that", "these", "those", "each", "every", "either", "neither",
      "some", "any", "no", "all", "both", "half", "such", "much", "many", "more", "most", "few",
      "fewer", "less", "least", "several", "enough", "other", "another", "own", "same",
      // Pronouns and possessives.
      "i", "me", "my", "mine", "myself", "you", "your", "yours", "yourself", "yourselves", "he",
      "him", "his", "himself", "she", "her", "hers", "herself", "it", "its", "itself", "we", "us",
      "our", "ours", "ourselves", "they", "them", "their", "theirs", "themselves", "one", "oneself",
      "who", "whom", "whose", "which", "what", "whoever", "whatever", "whichever", "someone",
      "somebody", "something", "anyone", "anybody", "anything", "everyone", "everybody",
      "everything", "nobody", "nothing", "none",
      // Prepositions.
      "about", "above", "across", "after", "against", "along", "among", "around", "as", "at",
      "before", "behind", "below", "beneath", "beside", "besides", "between", "beyond", "by",
      "despite", "down", "during", "except", "for", "from", "in", "inside", "into", "like", "near",
      "of", "off", "on", "onto", "out", "outside", "over", "past", "per", "since", "than",
      "through", "throughout", "to", "toward", "towards", "under", "until", "up", "upon", "via",
      "with", "within", "without",
      // Conjunctions and question words.
      "and", "or", "but", "nor", "so", "yet", "if", "unless", "because", "although", "though",
      "while", "whereas", "whether", "when", "whenever", "where", "wherever", "why", "how", "once",
      // Auxiliaries.
      "be", "am", "is", "are", "was", "were", "been", "being", "have", "has", "had", "having", "do",
      "does", "did", "done", "doing", "will", "would", "shall", "should", "can", "could", "may",
      "might", "must", "ought", "cannot", "can't", "won't", "shan't",
      // Adverbs without a content of their own.
      "not", "too", "very", "also", "just", "only", "even", "still", "then", "thus", "there",
      "here", "again", "ever", "never", "now", "however", "therefore", "rather", "quite"};
  return words;
}

/// ASCII letters in lower case, U+2019 as '. No function word holds another letter.
std::string plain(std::string_view word) {
  constexpr std::string_view kApostrophe = "\xE2\x80\x99";
  std::string result;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word.substr(i).starts_with(kApostrophe)) {
      result += '\'';
      i += kApostrophe.size() - 1;
    } else {
      const char c = word[i];
      result += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    }
  }
  return result;
}

/// it's, they'll, I've: by what stands before the apostrophe; doesn't: by what stands before n't.
bool is_function_word(std::string_view word) {
  const auto whole = plain(word);
  const auto& words = function_words();
  if (words.contains(whole)) {
    return true;
  }
  const auto stem = whole.ends_with("n't") ? whole.substr(0, whole.size() - 3)
                                           : whole.substr(0, whole.find('\''));
  return stem.size() < whole.size() && words.contains(stem);
}

/// Classes of the bytes of a text, word after word.
class TextClasses {
 public:
  /// @param text  one document, or what a row holds of it
  [[nodiscard]] std::vector<TokenClass> of_bytes(std::string_view text) {
    classes_.clear();
    begins_sentence_ = true;
    while (!text.empty()) {
      const auto good = valid_utf8_prefix(text);
      add_text(text.substr(0, good));
      text.remove_prefix(good);
      if (!text.empty()) {
        add(text.substr(0, 1), TokenClass::kOther);
        text.remove_prefix(1);
      }
    }
    return classes_;
  }

 private:
  void add(std::string_view piece, TokenClass token_class) {
    classes_.insert(classes_.end(), piece.size(), token_class);
  }

  void add_text(std::string_view text) {
    size_t from = 0;
    while (from < text.size()) {
      const auto match = pieces_.search(text, from, matcher_);
      const auto [begin, end] = match.value_or(RegexMatch{text.size(), text.size()});
      const auto space = text.substr(from, begin - from);
      begins_sentence_ = begins_sentence_ || space.find('\n') != std::string_view::npos;
      add(space, TokenClass::kOther);
      if (begin < end) {
        const auto piece = text.substr(begin, end - begin);
        add(piece, class_of(piece));
      }
      from = end;
    }
  }

  bool begins_with(const Regex& what, std::string_view piece) {
    const auto match = what.search(piece, 0, matcher_);
    return match && match->begin == 0;
  }

  TokenClass class_of(std::string_view piece) {
    const bool is_number = begins_with(digit_, piece);
    if (!is_number && !begins_with(letter_, piece)) {
      begins_sentence_ = begins_sentence_ || piece.find_first_of(".!?:") != std::string_view::npos;
      return TokenClass::kPunctuation;
    }
    const bool first = std::exchange(begins_sentence_, false);
    if (is_number) {
      return TokenClass::kDigits;
    }
    if (is_function_word(piece)) {
      return TokenClass::kFunctionWords;
    }
    return !first && begins_with(capital_, piece) ? TokenClass::kNames : TokenClass::kOtherWords;
  }

  /// A word, a number or a sign; what lies between them is white space.
  Regex pieces_{
      "[\\p{L}\\p{M}]+(?:['\\x{2019}][\\p{L}\\p{M}]+)*"
      "|\\p{N}+(?:[.,]\\p{N}+)*"
      "|[^\\s\\p{L}\\p{M}\\p{N}]"};
  Regex letter_{"[\\p{L}\\p{M}]"};
  Regex digit_{"\\p{N}"};
  Regex capital_{"[\\p{Lu}\\p{Lt}]"};
  Regex::Matcher matcher_;
  bool begins_sentence_ = true;
  std::vector<TokenClass> classes_;  // one a byte
};

/// The class that a token of these bytes has.
TokenClass class_of_token(std::span<const TokenClass> bytes) {
  std::array<int64_t, kNumTokenClasses> counts{};
  for (const auto token_class : bytes) {
    ++counts[static_cast<size_t>(token_class)];
  }
  auto best = counts[static_cast<size_t>(TokenClass::kPunctuation)] > 0 ? TokenClass::kPunctuation
                                                                        : TokenClass::kOther;
  int64_t most = 0;
  for (const auto word : {TokenClass::kDigits, TokenClass::kNames, TokenClass::kFunctionWords,
                          TokenClass::kOtherWords}) {
    if (counts[static_cast<size_t>(word)] > most) {
      most = counts[static_cast<size_t>(word)];
      best = word;
    }
  }
  return best;
}

}  // namespace

std::string_view token_class_name(TokenClass token_class) {
  constexpr std::array<std::string_view, kNumTokenClasses> kNames = {
      "digits", "names", "function words", "punctuation", "other words", "other"};
  return kNames[static_cast<size_t>(token_class)];
}

std::vector<TokenClass> classify_tokens(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  const auto between = end_of_text_of(tokenizer);
  TextClasses text_classes;
  std::vector<TokenClass> classes;
  classes.reserve(ids.size());
  for (size_t begin = 0; begin < ids.size();) {
    size_t end = begin;
    while (end < ids.size() && ids[end] != between) {
      ++end;
    }
    const auto document = ids.subspan(begin, end - begin);
    const auto of_bytes = text_classes.of_bytes(tokenizer.decode(document));
    size_t at = 0;  // byte of the document
    for (const auto id : document) {
      const auto size = tokenizer.token_bytes(id).size();
      classes.push_back(class_of_token(std::span(of_bytes).subspan(at, size)));
      at += size;
    }
    if (end < ids.size()) {
      classes.push_back(TokenClass::kOther);  // end of text
    }
    begin = end + 1;
  }
  return classes;
}

}  // namespace loopbank

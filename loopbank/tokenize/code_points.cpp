/// Tables as of Unicode 16 and of the libraries behind `tokenizers` 0.22.2.

#include "loopbank/tokenize/code_points.h"

#include <oniguruma.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

namespace loopbank {
namespace {

constexpr char32_t kNumLow = 0x300;  // looked up without a search: Latin

struct CategoryRange {
  char32_t first;
  char32_t last;
  std::string_view category;
};

/// Letters, marks, numbers, punctuation and symbols of Unicode 15.0, 15.1 and 16.0.
constexpr CategoryRange kNewer[] = {
    {0x897, 0x897, "Mn"},     {0xCF3, 0xCF3, "Mc"},     {0xECE, 0xECE, "Mn"},
    {0x1B4E, 0x1B4F, "Po"},   {0x1B7F, 0x1B7F, "Po"},   {0x1C89, 0x1C89, "Lu"},
    {0x1C8A, 0x1C8A, "Ll"},   {0x2427, 0x2429, "So"},   {0x2FFC, 0x2FFF, "So"},
    {0x31E4, 0x31E5, "So"},   {0x31EF, 0x31EF, "So"},   {0xA7CB, 0xA7CC, "Lu"},
    {0xA7CD, 0xA7CD, "Ll"},   {0xA7DA, 0xA7DA, "Lu"},   {0xA7DB, 0xA7DB, "Ll"},
    {0xA7DC, 0xA7DC, "Lu"},   {0x105C0, 0x105F3, "Lo"}, {0x10D40, 0x10D49, "Nd"},
    {0x10D4A, 0x10D4D, "Lo"}, {0x10D4E, 0x10D4E, "Lm"}, {0x10D4F, 0x10D4F, "Lo"},
    {0x10D50, 0x10D65, "Lu"}, {0x10D69, 0x10D6D, "Mn"}, {0x10D6E, 0x10D6E, "Pd"},
    {0x10D6F, 0x10D6F, "Lm"}, {0x10D70, 0x10D85, "Ll"}, {0x10D8E, 0x10D8F, "Sm"},
    {0x10EC2, 0x10EC4, "Lo"}, {0x10EFC, 0x10EFF, "Mn"}, {0x1123F, 0x11240, "Lo"},
    {0x11241, 0x11241, "Mn"}, {0x11380, 0x11389, "Lo"}, {0x1138B, 0x1138B, "Lo"},
    {0x1138E, 0x1138E, "Lo"}, {0x11390, 0x113B5, "Lo"}, {0x113B7, 0x113B7, "Lo"},
    {0x113B8, 0x113BA, "Mc"}, {0x113BB, 0x113C0, "Mn"}, {0x113C2, 0x113C2, "Mc"},
    {0x113C5, 0x113C5, "Mc"}, {0x113C7, 0x113CA, "Mc"}, {0x113CC, 0x113CD, "Mc"},
    {0x113CE, 0x113CE, "Mn"}, {0x113CF, 0x113CF, "Mc"}, {0x113D0, 0x113D0, "Mn"},
    {0x113D1, 0x113D1, "Lo"}, {0x113D2, 0x113D2, "Mn"}, {0x113D3, 0x113D3, "Lo"},
    {0x113D4, 0x113D5, "Po"}, {0x113D7, 0x113D8, "Po"}, {0x113E1, 0x113E2, "Mn"},
    {0x116D0, 0x116E3, "Nd"}, {0x11B00, 0x11B09, "Po"}, {0x11BC0, 0x11BE0, "Lo"},
    {0x11BE1, 0x11BE1, "Po"}, {0x11BF0, 0x11BF9, "Nd"}, {0x11F00, 0x11F01, "Mn"},
    {0x11F02, 0x11F02, "Lo"}, {0x11F03, 0x11F03, "Mc"}, {0x11F04, 0x11F10, "Lo"},
    {0x11F12, 0x11F33, "Lo"}, {0x11F34, 0x11F35, "Mc"}, {0x11F36, 0x11F3A, "Mn"},
    {0x11F3E, 0x11F3F, "Mc"}, {0x11F40, 0x11F40, "Mn"}, {0x11F41, 0x11F41, "Mc"},
    {0x11F42, 0x11F42, "Mn"}, {0x11F43, 0x11F4F, "Po"}, {0x11F50, 0x11F59, "Nd"},
    {0x11F5A, 0x11F5A, "Mn"}, {0x1342F, 0x1342F, "Lo"}, {0x13440, 0x13440, "Mn"},
    {0x13441, 0x13446, "Lo"}, {0x13447, 0x13455, "Mn"}, {0x13460, 0x143FA, "Lo"},
    {0x16100, 0x1611D, "Lo"}, {0x1611E, 0x16129, "Mn"}, {0x1612A, 0x1612C, "Mc"},
    {0x1612D, 0x1612F, "Mn"}, {0x16130, 0x16139, "Nd"}, {0x16D40, 0x16D42, "Lm"},
    {0x16D43, 0x16D6A, "Lo"}, {0x16D6B, 0x16D6C, "Lm"}, {0x16D6D, 0x16D6F, "Po"},
    {0x16D70, 0x16D79, "Nd"}, {0x18CFF, 0x18CFF, "Lo"}, {0x1B132, 0x1B132, "Lo"},
    {0x1B155, 0x1B155, "Lo"}, {0x1CC00, 0x1CCEF, "So"}, {0x1CCF0, 0x1CCF9, "Nd"},
    {0x1CD00, 0x1CEB3, "So"}, {0x1D2C0, 0x1D2D3, "No"}, {0x1DF25, 0x1DF2A, "Ll"},
    {0x1E030, 0x1E06D, "Lm"}, {0x1E08F, 0x1E08F, "Mn"}, {0x1E4D0, 0x1E4EA, "Lo"},
    {0x1E4EB, 0x1E4EB, "Lm"}, {0x1E4EC, 0x1E4EF, "Mn"}, {0x1E4F0, 0x1E4F9, "Nd"},
    {0x1E5D0, 0x1E5ED, "Lo"}, {0x1E5EE, 0x1E5EF, "Mn"}, {0x1E5F0, 0x1E5F0, "Lo"},
    {0x1E5F1, 0x1E5FA, "Nd"}, {0x1E5FF, 0x1E5FF, "Po"}, {0x1F6DC, 0x1F6DC, "So"},
    {0x1F774, 0x1F776, "So"}, {0x1F77B, 0x1F77F, "So"}, {0x1F7D9, 0x1F7D9, "So"},
    {0x1F8B2, 0x1F8BB, "So"}, {0x1F8C0, 0x1F8C1, "So"}, {0x1FA75, 0x1FA77, "So"},
    {0x1FA87, 0x1FA89, "So"}, {0x1FA8F, 0x1FA8F, "So"}, {0x1FAAD, 0x1FAAF, "So"},
    {0x1FABB, 0x1FABF, "So"}, {0x1FAC6, 0x1FAC6, "So"}, {0x1FACE, 0x1FACF, "So"},
    {0x1FADA, 0x1FADC, "So"}, {0x1FADF, 0x1FADF, "So"}, {0x1FAE8, 0x1FAE9, "So"},
    {0x1FAF7, 0x1FAF8, "So"}, {0x1FBCB, 0x1FBEF, "So"}, {0x2B739, 0x2B739, "Lo"},
    {0x2EBF0, 0x2EE5D, "Lo"}, {0x31350, 0x323AF, "Lo"}};

/// Punctuation that came after the tables of the steps Punctuation and BertPreTokenizer.
constexpr CodePointRange kTooNewPunctuation[] = {
    {0x61D, 0x61D},     {0x9FD, 0x9FD},     {0xA76, 0xA76},     {0xC77, 0xC77},
    {0xC84, 0xC84},     {0x1B4E, 0x1B4F},   {0x1B7D, 0x1B7F},   {0x2E43, 0x2E4F},
    {0x2E52, 0x2E5D},   {0x10D6E, 0x10D6E}, {0x10EAD, 0x10EAD}, {0x10F55, 0x10F59},
    {0x10F86, 0x10F89}, {0x113D4, 0x113D5}, {0x113D7, 0x113D8}, {0x1144B, 0x1144F},
    {0x1145A, 0x1145B}, {0x1145D, 0x1145D}, {0x11660, 0x1166C}, {0x116B9, 0x116B9},
    {0x1183B, 0x1183B}, {0x11944, 0x11946}, {0x119E2, 0x119E2}, {0x11A3F, 0x11A46},
    {0x11A9A, 0x11A9C}, {0x11A9E, 0x11AA2}, {0x11B00, 0x11B09}, {0x11BE1, 0x11BE1},
    {0x11C41, 0x11C45}, {0x11C70, 0x11C71}, {0x11EF7, 0x11EF8}, {0x11F43, 0x11F4F},
    {0x11FFF, 0x11FFF}, {0x12FF1, 0x12FF2}, {0x16D6D, 0x16D6F}, {0x16E97, 0x16E9A},
    {0x16FE2, 0x16FE2}, {0x1E5FF, 0x1E5FF}, {0x1E95E, 0x1E95F}};

struct CategoryName {
  std::string_view name;
  std::string_view category;
};

constexpr CategoryName kCategoryNames[] = {{"letter", "L"},
                                           {"uppercaseletter", "Lu"},
                                           {"lowercaseletter", "Ll"},
                                           {"titlecaseletter", "Lt"},
                                           {"modifierletter", "Lm"},
                                           {"otherletter", "Lo"},
                                           {"mark", "M"},
                                           {"combiningmark", "M"},
                                           {"nonspacingmark", "Mn"},
                                           {"spacingmark", "Mc"},
                                           {"enclosingmark", "Me"},
                                           {"number", "N"},
                                           {"decimalnumber", "Nd"},
                                           {"letternumber", "Nl"},
                                           {"othernumber", "No"},
                                           {"punctuation", "P"},
                                           {"connectorpunctuation", "Pc"},
                                           {"dashpunctuation", "Pd"},
                                           {"openpunctuation", "Ps"},
                                           {"closepunctuation", "Pe"},
                                           {"initialpunctuation", "Pi"},
                                           {"finalpunctuation", "Pf"},
                                           {"otherpunctuation", "Po"},
                                           {"symbol", "S"},
                                           {"mathsymbol", "Sm"},
                                           {"currencysymbol", "Sc"},
                                           {"modifiersymbol", "Sk"},
                                           {"othersymbol", "So"},
                                           {"han", "Han"}};

constexpr std::string_view kCategories[] = {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc",
                                            "Me", "N",  "Nd", "Nl", "No", "P",  "Pc", "Pd", "Ps",
                                            "Pe", "Pi", "Pf", "Po", "S",  "Sm", "Sc", "Sk", "So"};

CodePointSet known(std::string_view property) {
  return code_points_of(property).value_or(CodePointSet());
}

}  // namespace

CodePointSet::CodePointSet(std::vector<CodePointRange> ranges) {
  std::sort(ranges.begin(), ranges.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& range : ranges) {
    if (!ranges_.empty() && range.first <= ranges_.back().last + 1) {
      ranges_.back().last = std::max(ranges_.back().last, range.last);
    } else {
      ranges_.push_back(range);
    }
  }
  low_.resize(kNumLow);
  for (const auto& range : ranges_) {
    for (char32_t at = range.first; at <= range.last && at < kNumLow; ++at) {
      low_[at] = true;
    }
  }
}

bool CodePointSet::contains(char32_t code_point) const {
  if (code_point < low_.size()) {
    return low_[code_point];
  }
  const auto behind =
      std::upper_bound(ranges_.begin(), ranges_.end(), code_point,
                       [](char32_t point, const auto& range) { return point < range.first; });
  return behind != ranges_.begin() && code_point <= std::prev(behind)->last;
}

CodePointSet CodePointSet::with(const CodePointSet& other) const {
  auto both = ranges_;
  both.insert(both.end(), other.ranges_.begin(), other.ranges_.end());
  return CodePointSet(std::move(both));
}

CodePointSet CodePointSet::without(const CodePointSet& other) const {
  std::vector<CodePointRange> rest;
  for (auto range : ranges_) {
    bool any = true;
    for (const auto& hole : other.ranges_) {
      if (hole.last < range.first || hole.first > range.last) {
        continue;
      }
      if (hole.first > range.first) {
        rest.push_back({range.first, hole.first - 1});
      }
      if (hole.last >= range.last) {
        any = false;
        break;
      }
      range.first = hole.last + 1;
    }
    if (any) {
      rest.push_back(range);
    }
  }
  return CodePointSet(std::move(rest));
}

std::optional<std::string> general_category(std::string_view property) {
  std::string plain;  // Oniguruma passes over case, blanks, '-' and '_'
  for (const char c : property) {
    if (c != ' ' && c != '-' && c != '_') {
      plain.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(c))));
    }
  }
  for (const auto& [name, category] : kCategoryNames) {
    if (plain == name) {
      return std::string(category);
    }
  }
  if (!plain.empty()) {
    plain[0] = static_cast<char>(std::toupper(static_cast<unsigned char>(plain[0])));
  }
  const bool is_one =
      std::find(std::begin(kCategories), std::end(kCategories), plain) != std::end(kCategories);
  return is_one ? std::optional(plain) : std::nullopt;
}

std::recursive_mutex& oniguruma_mutex() {
  static std::recursive_mutex mutex;
  return mutex;
}

std::optional<CodePointSet> code_points_of(std::string_view property) {
  const std::lock_guard lock(oniguruma_mutex());
  auto* const encoding = ONIG_ENCODING_UTF8;
  const std::string name(property);
  auto* const begin = reinterpret_cast<OnigUChar*>(const_cast<char*>(name.data()));
  const int type = encoding->property_name_to_ctype(encoding, begin, begin + name.size());
  OnigCodePoint end_of_single_bytes = 0;
  const OnigCodePoint* counted = nullptr;  // the number of ranges, then their borders
  if (type < 0 || encoding->get_ctype_code_range(static_cast<OnigCtype>(type), &end_of_single_bytes,
                                                 &counted) != ONIG_NORMAL) {
    return std::nullopt;
  }
  std::vector<CodePointRange> ranges;
  for (OnigCodePoint i = 0; i < counted[0]; ++i) {
    ranges.push_back({counted[1 + 2 * i], counted[2 + 2 * i]});
  }
  const CodePointSet known_there(std::move(ranges));
  const auto category = general_category(property);
  return category ? known_there.with(newer_code_points(*category)) : known_there;
}

CodePointSet newer_code_points(std::string_view category) {
  if (category == "Han") {
    return CodePointSet({{0x2EBF0, 0x2EE5D}, {0x31350, 0x323AF}});
  }
  std::vector<CodePointRange> ranges;
  for (const auto& newer : kNewer) {
    if (newer.category.starts_with(category)) {
      ranges.push_back({newer.first, newer.last});
    }
  }
  return CodePointSet(std::move(ranges));
}

const CodePointSet& white_space() {
  static const CodePointSet set({{0x09, 0x0D},
                                 {0x20, 0x20},
                                 {0x85, 0x85},
                                 {0xA0, 0xA0},
                                 {0x1680, 0x1680},
                                 {0x2000, 0x200A},
                                 {0x2028, 0x2029},
                                 {0x202F, 0x202F},
                                 {0x205F, 0x205F},
                                 {0x3000, 0x3000}});
  return set;
}

const CodePointSet& digits_of_step() {
  static const auto set = known("N").with(CodePointSet({{0x11DE0, 0x11DE9}, {0x16FF4, 0x16FF6}}));
  return set;
}

const CodePointSet& punctuation_of_step() {
  static const auto set =
      known("P")
          .without(CodePointSet({std::begin(kTooNewPunctuation), std::end(kTooNewPunctuation)}))
          .with(CodePointSet({{'!', '/'},
                              {':', '@'},
                              {'[', '`'},
                              {'{', '~'},
                              {0x166D, 0x166D},       // a symbol since Unicode 12
                              {0x111C9, 0x111C9}}));  // a mark since Unicode 11
  return set;
}

const CodePointSet& word_characters_of_step() {
  static const auto set = known("Alphabetic")
                              .with(newer_code_points("L"))
                              .with(known("M"))
                              .with(known("Nd"))
                              .with(known("Pc"))
                              .with(CodePointSet({{0x200C, 0x200D}}));
  return set;
}

void append_utf8(std::string& text, char32_t code_point) {
  std::array<OnigUChar, ONIGENC_CODE_TO_MBC_MAXLEN> bytes{};
  const int size = ONIGENC_CODE_TO_MBC(ONIG_ENCODING_UTF8, code_point, bytes.data());
  text.append(reinterpret_cast<const char*>(bytes.data()), static_cast<size_t>(size));
}

char32_t next_code_point(std::string_view text, size_t& at) {
  const auto byte = [&] { return static_cast<char32_t>(static_cast<unsigned char>(text[at++])); };
  const char32_t first = byte();
  if (first < 0x80) {
    return first;
  }
  const int more = first < 0xE0 ? 1 : first < 0xF0 ? 2 : 3;
  char32_t code_point = first & (0x3FU >> more);
  for (int i = 0; i < more; ++i) {
    code_point = (code_point << 6U) | (byte() & 0x3FU);
  }
  return code_point;
}

}  // namespace loopbank

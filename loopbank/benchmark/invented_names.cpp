#include "loopbank/benchmark/invented_names.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <string_view>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr std::array<std::string_view, 20> kOnsets = {"b", "d",  "f",  "g",  "h",  "j", "k",
                                                      "l", "m",  "n",  "p",  "r",  "s", "t",
                                                      "v", "br", "dr", "kr", "st", "tr"};
constexpr std::array<std::string_view, 5> kVowels = {"a", "e", "i", "o", "u"};
constexpr std::array<std::string_view, 5> kCodas = {"l", "n", "r", "s", "m"};
constexpr std::array<std::string_view, 8> kTownEndings = {"grad", "burg", "ford", "wick",
                                                          "mere", "ton",  "holm", "dale"};
constexpr std::array<std::string_view, 4> kCountryEndings = {"via", "land", "nia", "stan"};

template <size_t size>
std::string pick(const std::array<std::string_view, size>& parts, RandomStream& random) {
  return std::string(parts[random.below(size)]);
}

std::string syllable(RandomStream& random) {
  return pick(kOnsets, random) + pick(kVowels, random);
}

std::string closed_syllable(RandomStream& random) {
  return syllable(random) + pick(kCodas, random);
}

std::string invent(NameKind kind, RandomStream& random) {
  switch (kind) {
    case NameKind::kGivenName:
      return syllable(random) + syllable(random);
    case NameKind::kSurname:
      return syllable(random) + closed_syllable(random);
    case NameKind::kTown:
      return closed_syllable(random) + pick(kTownEndings, random);
    case NameKind::kRiver:
      return pick(kVowels, random) + pick(kCodas, random) + syllable(random);
    case NameKind::kCountry:
      return closed_syllable(random) + pick(kCountryEndings, random);
  }
  return "";
}

int64_t num_possible(NameKind kind) {
  constexpr int64_t kSyllables = kOnsets.size() * kVowels.size();
  constexpr int64_t kClosed = kSyllables * static_cast<int64_t>(kCodas.size());
  switch (kind) {
    case NameKind::kGivenName:
      return kSyllables * kSyllables;
    case NameKind::kSurname:
      return kSyllables * kClosed;
    case NameKind::kTown:
      return kClosed * static_cast<int64_t>(kTownEndings.size());
    case NameKind::kRiver:
      return static_cast<int64_t>(kVowels.size() * kCodas.size()) * kSyllables;
    case NameKind::kCountry:
      return kClosed * static_cast<int64_t>(kCountryEndings.size());
  }
  return 0;
}

}  // namespace

// Half of them, so that drawing again until a name is new ends soon; given names and rivers may
// meet names of another kind, which leaves room for.
int64_t max_invented_names(NameKind kind) {
  return num_possible(kind) / 2;
}

std::vector<std::string> invent_names(NameKind kind, int64_t count, RandomStream& random,
                                      std::set<std::string>& taken) {
  if (count < 0 || count > max_invented_names(kind)) {
    fail(ErrorCode::kConfig,
         "invent_names: expected from 0 to {} names of this kind, got {}. Ask for fewer.",
         max_invented_names(kind), count);
  }
  std::vector<std::string> names;
  while (static_cast<int64_t>(names.size()) < count) {
    auto name = invent(kind, random);
    name.front() = static_cast<char>(std::toupper(static_cast<unsigned char>(name.front())));
    if (taken.insert(name).second) {
      names.push_back(std::move(name));
    }
  }
  return names;
}

}  // namespace loopbank

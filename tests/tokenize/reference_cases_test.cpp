/// Ids, frames and texts as Hugging Face `tokenizers` 0.22.2 gives them: frozen in
/// reference_cases.jsonl, which reference/tokenizer_cases.py compares with the library.

#include <gtest/gtest.h>

#include <fstream>

#include "loopbank/support/error.h"
#include "loopbank/tokenize/characters.h"
#include "loopbank/tokenize/tokenizer_definition.h"
#include "loopbank/tokenize/tokenizer_json.h"
#include "tests/tokenize/small_tokenizer.h"

namespace loopbank {
namespace {

using testing::Json;
using Ids = std::vector<TokenId>;

const std::filesystem::path kTrials =
    std::filesystem::path(LOOPBANK_SOURCE_DIR) / "../shared/trials";

std::vector<Json> lines_of(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::vector<Json> lines;
  for (std::string line; std::getline(file, line);) {
    lines.push_back(Json::parse(line));
  }
  return lines;
}

/// A vocabulary of characters, with tokens for three bytes.
Json character_tokenizer() {
  Json vocab = Json::object();
  for (const std::string token : {"<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "d", "\u00E9",
                                  "ab", "\u2581a", "\u2581ab", "<0xE4>", "<0xB8>", "<0x96>"}) {
    vocab.emplace(token, vocab.size());
  }
  return {{"version", "1.0"},
          {"added_tokens", Json::array()},
          {"model",
           {{"type", "BPE"},
            {"vocab", vocab},
            {"merges", {"a b", "\u2581 a", "\u2581 ab", "\u2581a b"}}}}};
}

/// The added tokens of a case, [content, flags], as tokenizer.json has them.
Json whole_added_tokens(const Json& short_ones) {
  auto list = Json::array();
  for (const auto& token : short_ones) {
    const auto flags = token[1].get<std::string>();
    const auto has = [&](char flag) { return flags.find(flag) != std::string::npos; };
    list.push_back({{"id", list.size()},
                    {"content", token[0]},
                    {"single_word", has('w')},
                    {"lstrip", has('l')},
                    {"rstrip", has('r')},
                    {"normalized", has('n')},
                    {"special", has('s')}});
  }
  return list;
}

Tokenizer tokenizer_of(const Json& test_case) {
  auto json = test_case["base"] == "bytes" ? testing::small_tokenizer({{"a", "b"}, {"ab", "c"}})
                                           : character_tokenizer();
  json.merge_patch(test_case["patch"]);
  if (test_case["patch"].contains("added_tokens")) {
    json["added_tokens"] = whole_added_tokens(test_case["patch"]["added_tokens"]);
  }
  return Tokenizer(parse_tokenizer_json(json.dump(), "case"));
}

/// The text of ids, token by token, as it is written while a model goes on.
std::string written_one_by_one(const Tokenizer& tokenizer, const Ids& ids) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    text += i == 0 ? tokenizer.first_token_bytes(ids[i]) : tokenizer.token_bytes(ids[i]);
  }
  return text;
}

TEST(ReferenceCases, GiveTheIdsTheFrameAndTheTextOfTheReference) {
  size_t num_texts = 0;
  for (const auto& test_case : lines_of(std::filesystem::path(LOOPBANK_SOURCE_DIR) /
                                        "tests/tokenize/reference_cases.jsonl")) {
    SCOPED_TRACE(test_case["about"].get<std::string>());
    const auto tokenizer = tokenizer_of(test_case);
    for (const auto& row : test_case["texts"]) {
      SCOPED_TRACE(row[0].dump(-1, ' ', true));
      const auto ids = row[1].get<Ids>();
      EXPECT_EQ(tokenizer.encode(row[0].get<std::string>(), true), ids);
      EXPECT_EQ(tokenizer.encode_framed(row[0].get<std::string>(), true),
                row.size() > 3 ? row[3].get<Ids>() : ids);
      EXPECT_EQ(with_replacement_characters(tokenizer.decode(ids)), row[2].get<std::string>());
      EXPECT_EQ(written_one_by_one(tokenizer, ids), tokenizer.decode(ids));
      ++num_texts;
    }
  }
  EXPECT_EQ(num_texts, 68U);
}

TEST(ReferenceCases, TheTrialsGiveTheirIds) {
  if (!std::filesystem::exists(kTrials)) {
    GTEST_SKIP() << "no cases at " << kTrials;
  }
  size_t num_texts = 0;
  for (const auto& trial : lines_of(kTrials / "cases.jsonl")) {
    if (trial["kind"] == "json-lines") {
      continue;
    }
    SCOPED_TRACE(trial["id"].get<std::string>());
    const auto tokenizer = Tokenizer::load(kTrials / trial["files"][0].get<std::string>());
    const auto text = trial["text"].get<std::string>();
    const auto ids = trial["ids"].get<Ids>();
    EXPECT_EQ(tokenizer.encode(text, true), ids);
    EXPECT_EQ(tokenizer.encode_framed(text, true),
              trial.contains("ids_with_special") ? trial["ids_with_special"].get<Ids>() : ids);
    EXPECT_EQ(tokenizer.decode(ids), trial["decoded"].get<std::string>());
    ++num_texts;
  }
  EXPECT_EQ(num_texts, 72U);
}

}  // namespace
}  // namespace loopbank

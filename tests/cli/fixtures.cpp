#include "fixtures.h"

#include <array>
#include <fstream>
#include <stdexcept>
#include <string_view>

#include "loopbank/data/token_file.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/files.h"
#include "loopbank/tokenize/tokenizer.h"
#include "program.h"

namespace loopbank::testing {
namespace {

constexpr std::array<std::string_view, 6> kSentences = {
    "The harbour of Velm lies on the north coast.",
    "Ada Korin was born in Velm in 1871.",
    "Twelve and thirty make forty-two.",
    "The river Osk runs past the old mill.",
    "Nine times four is thirty-six.",
    "Her brother kept bees behind the school."};

constexpr std::string_view kRunConfig = R"(# A run of seconds.
[model]
vocab_size = 257
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 32
max_loops = 2
local_memory_slots = 4
global_memory_slots = 2

[data]
train = "train.tokens"
validation = "validation.tokens"
tokenizer = "tokenizer.json"

[training]
steps = 2
batch = 2
sequence_length = 16
precision = "fp32"
validate_every = 2
validation_rows = 2
checkpoint_every = 1
)";

void write_tokens(const std::filesystem::path& path, const std::string& hash) {
  const auto tokenizer = Tokenizer::bytes();
  TokenFileWriter writer(path, tokenizer.vocab_size(), hash);
  for (const auto sentence : kSentences) {
    auto ids = tokenizer.encode(sentence);
    ids.push_back(tokenizer.end_of_text());
    writer.append(ids);
  }
  writer.finish();
}

}  // namespace

void write_fixture(const std::filesystem::path& directory) {
  const auto tokenizer = Tokenizer::bytes();
  tokenizer.save(directory / "tokenizer.json");
  write_text(directory / "run.toml", std::string(kRunConfig));
  write_tokens(directory / "train.tokens", tokenizer.hash());
  write_tokens(directory / "validation.tokens", tokenizer.hash());
  std::string lines;
  std::string text;
  for (const auto sentence : kSentences) {
    lines += "{\"text\": \"" + std::string(sentence) + "\"}\n";
    text += std::string(sentence) + "\n";
  }
  write_text(directory / "corpus.jsonl", lines);
  write_text(directory / "corpus.txt", text);
}

void write_model(const std::filesystem::path& directory, int64_t vocab_size, uint64_t seed) {
  ModelConfig config;
  config.vocab_size = vocab_size;
  config.hidden_size = 16;
  config.intermediate_size = 32;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = kFixturePositions;
  config.max_loops = 2;
  config.local_memory_slots = 4;
  config.global_memory_slots = 2;
  LanguageModel model(config);
  model.parameters().initialize(seed);
  std::filesystem::create_directories(directory);
  save_model(model, directory);
  Tokenizer::bytes().save(directory / "tokenizer.json");
}

void write_foreign_tokens(const std::filesystem::path& path) {
  write_tokens(path, "0123456789abcdef");
}

void write_empty_tokens(const std::filesystem::path& path) {
  const auto tokenizer = Tokenizer::bytes();
  TokenFileWriter(path, tokenizer.vocab_size(), tokenizer.hash()).finish();
}

void truncate_file(const std::filesystem::path& path, uint64_t num_bytes) {
  if (std::filesystem::file_size(path) <= num_bytes) {
    throw std::runtime_error(path.string() + " is not longer than that");
  }
  std::filesystem::resize_file(path, num_bytes);
}

void replace_in_file(const std::filesystem::path& path, const std::string& from,
                     const std::string& to) {
  auto text = read_file(path);
  const auto at = text.find(from);
  if (at == std::string::npos) {
    throw std::runtime_error(path.string() + " does not hold " + from);
  }
  write_text(path, text.replace(at, from.size(), to));
}

void patch_file(const std::filesystem::path& path, uint64_t offset, const std::string& bytes) {
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(offset));
  file << bytes;
  if (!file.flush()) {
    throw std::runtime_error("cannot patch " + path.string());
  }
}

}  // namespace loopbank::testing

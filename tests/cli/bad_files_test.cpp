/// Spoiled files: models, token files, text, tokenizers. Each ends in one line that names the
/// file, what was found and what would be right.

#include <gtest/gtest.h>

#include <string>

#include "bad_input.h"
#include "fixtures.h"
#include "program.h"

namespace loopbank::testing {
namespace {

using Path = std::filesystem::path;
using Words = std::vector<std::string>;

const Words kGenerate = {"generate", "model", "--prompt", "Ada", "--max-tokens", "2"};
const Words kProbe = {"probe", "model", "--tokens", "tokens.json", "--out", "probe.safetensors"};
const Words kTrain = {"train", "run.toml", "--out", "run"};
const Words kTokenize = {"data",           "tokenize", "corpus.jsonl", "--tokenizer",
                         "tokenizer.json", "--out",    "out.tokens"};

/// A model directory that is then spoiled.
auto model_with(const std::function<void(const Path&)>& spoil) {
  return [=](const Path& directory) {
    write_model(directory / "model");
    spoil(directory / "model");
  };
}

/// A model that is in order, and a probe's token file.
auto probe_of(const std::string& tokens) {
  return [=](const Path& directory) {
    write_model(directory / "model");
    write_text(directory / "tokens.json", tokens);
  };
}

std::string row_of(int64_t count) {
  std::string row = "1";
  for (int64_t i = 1; i < count; ++i) {
    row += ", 1";
  }
  return "{\"tokens\": [[" + row + "]]}";
}

/// Two commands: quantized in the folder `bits`, before one that is refused.
void write_quantized(const Path& directory) {
  write_model(directory / "model");
  const auto result =
      run_program({"quantize", "model", "--bits", "4", "--out", "bits"}, "", directory);
  ASSERT_EQ(result.status, 0) << result.err;
}

const std::vector<BadInput> kQuantized = {
    {.name = "BitsThatAreNot",
     .arguments = {"quantize", "model", "--bits", "5", "--out", "bits"},
     .status = 2,
     .fragments = {"--bits", "5", "8"},
     .spoil = [](const Path& directory) { write_model(directory / "model"); }},
    {.name = "QuantizedTwice",
     .arguments = {"quantize", "bits", "--bits", "8", "--out", "again"},
     .status = 2,
     .fragments = {"bits: expected a model in floating point, got one of 4 bits"},
     .spoil = write_quantized},
    {.name = "QuantizedOverFiles",
     .arguments = {"quantize", "model", "--bits", "8", "--out", "model"},
     .status = 2,
     .fragments = {"--out: expected a new or empty folder, got model, which holds files."},
     .spoil = write_quantized},
    {.name = "QuantizedOverAFile",
     .arguments = {"quantize", "model", "--bits", "8", "--out", "run.toml"},
     .status = 2,
     .fragments = {"--out: expected a new or empty folder, got run.toml, which is no folder."},
     .spoil = write_quantized},
    {.name = "TrainingInEightBit",
     .arguments = {"train", "run.toml", "--out", "run", "--set", "model.quantization_bits=8"},
     .status = 2,
     .fragments = {"\"quantization_bits\" expects 0 in a model that is trained, got 8."}},
    {.name = "TrainingIntoAQuantizedModel",
     .arguments = {"train", "run.toml", "--out", "bits"},
     .status = 5,
     .fragments = {"bits"},
     .spoil = write_quantized},
};

const std::vector<BadInput> kModels = {
    {.name = "MissingModel",
     .arguments = {"generate", "absent", "--prompt", "Ada"},
     .status = 5,
     .fragments = {"absent"}},
    {.name = "MissingWeights",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "got neither"},
     .spoil = model_with([](const Path& model) { remove(model / "model.safetensors"); })},
    {.name = "TruncatedWeights",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "expected", "got"},
     .spoil = model_with([](const Path& model) {
       truncate_file(model / "model.safetensors", file_size(model / "model.safetensors") - 10);
     })},
    {.name = "TruncatedHeader",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "expected", "got"},
     .spoil =
         model_with([](const Path& model) { truncate_file(model / "model.safetensors", 100); })},
    {.name = "HeaderLongerThanTheFile",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "expected", "got"},
     .spoil = model_with([](const Path& model) {
       patch_file(model / "model.safetensors", 0, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f"));
     })},
    {.name = "HeaderThatLiesAboutAShape",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "embedding.weight", "expected", "got"},
     .spoil = model_with([](const Path& model) {
       replace_in_file(model / "model.safetensors", "[257,16]", "[957,16]");
     })},
    {.name = "WeightsOfAnotherModel",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model.safetensors", "expected", "[24, 16]", "[32, 16]"},
     .spoil = model_with([](const Path& model) {
       replace_in_file(model / "config.json", "\"intermediate_size\": 32",
                       "\"intermediate_size\": 24");
     })},
    {.name = "UnknownKeyInTheModelsConfig",
     .arguments = kGenerate,
     .status = 2,
     .fragments = {"config.json", "unknown key \"max_loop\"", "Did you mean \"max_loops\"?"},
     .spoil = model_with([](const Path& model) {
       replace_in_file(model / "config.json", "max_loops", "max_loop");
     })},
    {.name = "TokenizerLargerThanTheModel",
     .arguments = kGenerate,
     .status = 5,
     .fragments = {"model", "257", "100"},
     .spoil = [](const Path& directory) { write_model(directory / "model", 100); }},
    {.name = "PromptLongerThanTheModelsPositions",
     .arguments = {"generate", "model", "--prompt", std::string(40, 'a'), "--max-tokens", "2"},
     .status = 2,
     .fragments = {"40", "32"},
     .spoil = [](const Path& directory) { write_model(directory / "model"); }},
    {.name = "ProbeOfRowsLongerThanTheModels",
     .arguments = kProbe,
     .status = 3,
     .fragments = {"33", "32"},
     .spoil = probe_of(row_of(kFixturePositions + 1))},
    {.name = "ProbeOfATokenOutsideTheVocabulary",
     .arguments = kProbe,
     .status = 4,
     .fragments = {"tokens.json", "257", "300"},
     .spoil = probe_of(R"({"tokens": [[1, 300]]})")},
    {.name = "ProbeOfRaggedRows",
     .arguments = kProbe,
     .status = 4,
     .fragments = {"tokens.json"},
     .spoil = probe_of(R"({"tokens": [[1, 2], [3]]})")},
    {.name = "ProbeOfBrokenJson",
     .arguments = kProbe,
     .status = 4,
     .fragments = {"tokens.json"},
     .spoil = probe_of(R"({"tokens": [[1, 2)")},
    {.name = "ProbeOfListsWithoutEnd",
     .arguments = kProbe,
     .status = 4,
     .fragments = {"tokens.json", "nests at most 128 levels"},
     .spoil = probe_of(std::string(300'000, '[') + std::string(300'000, ']'))},
};

const std::vector<BadInput> kData = {
    {.name = "MissingText",
     .arguments = {"data", "tokenize", "absent.jsonl", "--tokenizer", "tokenizer.json", "--out",
                   "out.tokens"},
     .status = 4,
     .fragments = {"absent.jsonl", "No such file"}},
    {.name = "TextOfAnUnknownKind",
     .arguments = {"data", "tokenize", "train.tokens", "--tokenizer", "tokenizer.json", "--out",
                   "out.tokens"},
     .status = 4,
     .fragments = {"train.tokens: expected a text, got a token file"}},
    {.name = "BrokenJsonLine",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"corpus.jsonl:2: "},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "corpus.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\n");
         }},
    {.name = "LineWithoutText",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"corpus.jsonl:2: ", "text"},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "corpus.jsonl", "{\"text\": \"a\"}\n{\"words\": \"b\"}\n");
         }},
    {.name = "InvalidUtf8",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"corpus.jsonl:3: ", "UTF-8"},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "corpus.jsonl",
                      "{\"text\": \"a\"}\n{\"text\": \"b\"}\n{\"text\": \"\xc3(\"}\n");
         }},
    {.name = "EmptyText",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"corpus.jsonl", "expected at least one document, got none"},
     .spoil = [](const Path& directory) { write_text(directory / "corpus.jsonl", ""); }},
    {.name = "BrokenTokenizer",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"tokenizer.json"},
     .spoil =
         [](const Path& directory) { write_text(directory / "tokenizer.json", "{\"model\":"); }},
    {.name = "TokenizerOfAnUnsupportedModel",
     .arguments = kTokenize,
     .status = 4,
     .fragments = {"tokenizer.json", "WordPiece", "BPE"},
     .spoil =
         [](const Path& directory) {
           write_text(directory / "tokenizer.json",
                      R"({"model": {"type": "WordPiece", "vocab": {"a": 0}}})");
         }},
    {.name = "MissingTokenFile",
     .arguments = {"train", "run.toml", "--out", "run", "--set", "data.train=absent.tokens"},
     .status = 4,
     .fragments = {"absent.tokens", "expected the file that data.train names, got none"}},
    {.name = "TokensOfAnotherVocabulary",
     .arguments = kTrain,
     .status = 4,
     .fragments = {"train.tokens", "0123456789abcdef", "expected tokens of the vocabulary"},
     .spoil = [](const Path& directory) { write_foreign_tokens(directory / "train.tokens"); }},
    {.name = "TruncatedTokenFile",
     .arguments = kTrain,
     .status = 4,
     .fragments = {"train.tokens", "truncated"},
     .spoil = [](const Path& directory) { truncate_file(directory / "train.tokens", 200); }},
    {.name = "AnotherKindOfFileAsTokens",
     .arguments = {"train", "run.toml", "--out", "run", "--set", "data.train=corpus.jsonl"},
     .status = 4,
     .fragments = {"corpus.jsonl", "expected a token file", "loopbank data tokenize"}},
    {.name = "EmptyTokenFile",
     .arguments = kTrain,
     .status = 4,
     .fragments = {"train.tokens", "expected"},
     .spoil = [](const Path& directory) { write_empty_tokens(directory / "train.tokens"); }},
    {.name = "VocabularyLargerThanTheModels",
     .arguments = {"train", "run.toml", "--out", "run", "--set", "model.vocab_size=100"},
     .status = 2,
     .fragments = {"vocab_size", "100", "257"}},
    {.name = "EncodeOfANumberThatNoDoubleHolds",
     .arguments = {"data", "encode", "--tokenizer", "tokenizer.json"},
     .status = 4,
     .fragments = {"stdin:1:", "got 1e999 in \"text\""},
     .input = "{\"text\": 1e999}\n"},
    {.name = "DecodeOfListsWithoutEnd",
     .arguments = {"data", "decode", "--tokenizer", "tokenizer.json"},
     .status = 4,
     .fragments = {"stdin:1:", "nests at most 128 levels"},
     .input = R"({"ids": )" + std::string(300'000, '[') + std::string(300'000, ']') + "}\n"},
    {.name = "EncodeOfABrokenLine",
     .arguments = {"data", "encode", "--tokenizer", "tokenizer.json"},
     .status = 4,
     .fragments = {"2"},
     .input = "\n{\"text\": \n"},
    {.name = "UnknownTask",
     .arguments = {"eval", "model", "--tasks", "arc-eazy", "--data", "."},
     .status = 2,
     .fragments = {"arc-eazy", "Did you mean"},
     .spoil = [](const Path& directory) { write_model(directory / "model"); }},
    {.name = "UnknownVariantOfATask",
     .arguments = {"eval", "model", "--tasks", "arc_easy:mc::olmes", "--data", "."},
     .status = 2,
     .fragments = {"arc_easy:mc::olmes", "Did you mean \"arc_easy:rc::olmes\""},
     .spoil = [](const Path& directory) { write_model(directory / "model"); }},
    {.name = "EvalWithoutAModel",
     .arguments = {"eval", "--tasks", "arc_easy", "--data", "."},
     .status = 2,
     .fragments = {"loopbank eval: MODEL_DIR is required", "loopbank eval --help"}},
    {.name = "RequestsWithoutTheirShots",
     .arguments = {"eval", "--check-requests", "."},
     .status = 2,
     .fragments = {"--check-requests", "--fewshot FILE"}},
    {.name = "MissingTaskData",
     .arguments = {"eval", "model", "--tasks", "commonsense", "--data", "absent"},
     .status = 4,
     .fragments = {"absent"},
     .spoil = [](const Path& directory) { write_model(directory / "model"); }},
};

class Spoiled : public ::testing::TestWithParam<BadInput> {};

TEST_P(Spoiled, EndsInOneLineThatNamesIt) {
  expect_refused(GetParam());
}

const auto name_of = [](const auto& item) { return item.param.name; };
INSTANTIATE_TEST_SUITE_P(Model, Spoiled, ::testing::ValuesIn(kModels), name_of);
INSTANTIATE_TEST_SUITE_P(Quantized, Spoiled, ::testing::ValuesIn(kQuantized), name_of);
INSTANTIATE_TEST_SUITE_P(Data, Spoiled, ::testing::ValuesIn(kData), name_of);

}  // namespace
}  // namespace loopbank::testing

/// Every JSON file that the program reads, spoiled in each way that a parser alone takes or dies of:
/// one line that names the file, the line and the column.

#include <gtest/gtest.h>

#include <string>

#include "bad_input.h"
#include "fixtures.h"
#include "program.h"

namespace loopbank::testing {
namespace {

using Path = std::filesystem::path;
using Words = std::vector<std::string>;

/// A way to spoil JSON, and what the error says behind the place.
struct Spoiling {
  std::string name;
  std::string text;
  int column = 0;
  std::string problem;
};

const std::vector<Spoiling>& spoilings() {
  using namespace std::string_literals;
  static const std::vector<Spoiling> all = {
      {"Deep", R"({"a":)" + std::string(100'000, '[') + std::string(100'000, ']') + "}", 133,
       "expected JSON that nests at most 128 levels, got level 129."},
      {"TwiceTheSameKey", R"({"a": 1, "a": 2})", 12,
       "expected every key once in an object, got \"a\" again."},
      {"NulByte", "{}\0"s, 3, "got a NUL byte."},
      {"TextBehind", "{} {}", 4, "got broken JSON: unexpected '{'; expected end of input."}};
  return all;
}

/// A place of the program that reads JSON.
struct Reader {
  std::string name;
  Words arguments;
  int status = 4;
  std::string file;          ///< as errors name it
  bool reads_lines = false;  ///< JSON lines; the second is spoiled
  std::function<void(const Path& directory, const std::string& text)> write;
  bool reads_stdin = false;
};

auto to_file(const std::string& name, const std::function<void(const Path&)>& prepare = {}) {
  return [=](const Path& directory, const std::string& text) {
    if (prepare) {
      prepare(directory);
    }
    std::filesystem::create_directories((directory / name).parent_path());
    write_text(directory / name, text);
  };
}

void write_a_model(const Path& directory) {
  write_model(directory / "model");
}

void write_header(const Path& directory, const std::string& text) {
  write_model(directory / "model");
  std::string bytes;
  for (unsigned i = 0; i < 8; ++i) {
    bytes.push_back(static_cast<char>(text.size() >> (8 * i) & 0xFFU));
  }
  write_text(directory / "model" / "model.safetensors", bytes + text);
}

/// Results of one task with its documents in a file of its own.
void write_metrics(const Path& directory) {
  std::filesystem::create_directories(directory / "scores");
  write_text(directory / "scores/metrics.json",
             R"({"results": [{"task": "a", "metric": "acc", "predictions": "rows.jsonl"}],
                 "suites": []})");
}

/// What stands in for the interpreter of the PyTorch twin: it prints a file at the first order.
void write_twin(const Path& directory, const std::string& text) {
  write_text(directory / "answer", text + "\n");
  write_text(directory / "twin", "#!/bin/sh\nread order\ncat answer\n");
  std::filesystem::permissions(directory / "twin", std::filesystem::perms::owner_all);
  std::filesystem::create_directories(directory / "reference");
  write_text(directory / "reference/bench.py", "");
}

const std::vector<Reader>& readers() {
  const Words generate = {"generate", "model", "--prompt", "Ada", "--max-tokens", "2"};
  const Words compare = {"eval", "compare", "scores", "scores"};
  static const std::vector<Reader> all = {
      {"ModelConfig", generate, 2, "model/config.json", false,
       to_file("model/config.json", write_a_model)},
      {"Tokenizer", generate, 4, "model/tokenizer.json", false,
       to_file("model/tokenizer.json", write_a_model)},
      {"SafetensorsHeader", generate, 5, "model/model.safetensors: header", false, write_header},
      {"ProbeTokens",
       {"probe", "model", "--tokens", "tokens.json", "--out", "probe.safetensors"},
       4,
       "tokens.json",
       false,
       to_file("tokens.json", write_a_model)},
      {"Encode", {"data", "encode", "--tokenizer", "bytes"}, 4, "stdin", true, {}, true},
      {"Decode", {"data", "decode", "--tokenizer", "bytes"}, 4, "stdin", true, {}, true},
      {"ShardIndex",
       {"train", "run.toml", "--out", "run", "--set", "data.train=shards"},
       4,
       "shards/index.json",
       false,
       to_file("shards/index.json")},
      {"ShardProgress",
       {"data", "tokenize", "corpus.jsonl", "--tokenizer", "tokenizer.json", "--out", "shards/"},
       4,
       "shards/progress.json",
       false,
       to_file("shards/progress.json")},
      {"TaskRows",
       {"eval", "model", "--tasks", "arc_easy", "--data", "."},
       4,
       "arc_easy.test.jsonl",
       true,
       to_file("arc_easy.test.jsonl", write_a_model)},
      {"Scores", compare, 4, "scores/metrics.json", false, to_file("scores/metrics.json")},
      {"Predictions", compare, 4, "scores/rows.jsonl", true,
       to_file("scores/rows.jsonl", write_metrics)},
      {"PytorchTwin",
       {"bench", "train", "--config", "run.toml", "--steps", "1", "--compare-pytorch", "--python",
        "./twin"},
       2,
       "bench: the answer of \"./twin reference/bench.py\"",
       false,
       write_twin},
  };
  return all;
}

std::vector<BadInput> bad_inputs() {
  std::vector<BadInput> all;
  for (const auto& reader : readers()) {
    for (const auto& [name, text, column, problem] : spoilings()) {
      const bool is_line = reader.name == "PytorchTwin";
      const auto line = reader.reads_lines ? ":2" : is_line ? "" : ":1";
      const auto content = reader.reads_lines ? "\n" + text : text;
      BadInput input{
          .name = reader.name + name,
          .arguments = reader.arguments,
          .status = reader.status,
          .fragments = {reader.file + line + ":" + std::to_string(column) + ": ", problem}};
      if (reader.reads_stdin) {
        input.input = content;
      } else {
        input.spoil = [write = reader.write, content](const Path& directory) {
          write(directory, content);
        };
      }
      all.push_back(std::move(input));
    }
  }
  return all;
}

class BadJson : public ::testing::TestWithParam<BadInput> {};

TEST_P(BadJson, EndsInOneLineThatNamesThePlace) {
  expect_refused(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Everywhere, BadJson, ::testing::ValuesIn(bad_inputs()),
                         [](const auto& item) { return item.param.name; });

}  // namespace
}  // namespace loopbank::testing

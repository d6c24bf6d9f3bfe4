#include "loopbank/interop/export.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "loopbank/interop/twin_files.h"
#include "loopbank/model/checkpoint_files.h"
#include "loopbank/model/safetensors.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/tokenize/tokenizer.h"
#include "tests/support/test_directory.h"

namespace loopbank::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kEndOfText = 256;  // of the byte tokenizer

ModelConfig small_config() {
  ModelConfig config;
  config.vocab_size = 257;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 32;
  config.max_loops = 3;
  config.local_memory_slots = 5;
  config.global_memory_slots = 3;
  return config;
}

LanguageModel write_exportable(const fs::path& directory, int64_t bits = 0) {
  LanguageModel model(small_config());
  model.parameters().initialize(/*seed=*/11);
  fs::create_directories(directory);
  save_model(model, directory, bits);
  Tokenizer::bytes().save(directory / "tokenizer.json");
  return model;
}

json json_in(const fs::path& path) {
  return json::parse(read_file(path));
}

std::string error_of(const fs::path& model, const fs::path& out, const ExportOptions& options) {
  try {
    (void)export_to_hf(model, out, options);
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Export, WritesTheFilesThatTransformersReads) {
  const TestDirectory directory;
  const auto model = write_exportable(directory.path() / "model");
  const auto out = directory.path() / "nested" / "out";
  const auto report = export_to_hf(directory.path() / "model", out, {.longest_text = 20});
  const std::vector<std::string> expected = {"block.py",
                                             "config.json",
                                             "configuration_loopbank.py",
                                             "generation_config.json",
                                             "layers.py",
                                             "model.py",
                                             "model.safetensors",
                                             "model_config.py",
                                             "modeling_loopbank.py",
                                             "special_tokens_map.json",
                                             "tokenizer.json",
                                             "tokenizer_config.json"};
  EXPECT_EQ(report.files, expected);
  EXPECT_EQ(report.parameters, model.parameters().count());
  EXPECT_EQ(report.bytes, 4 * model.parameters().count());
  EXPECT_EQ(report.num_weight_files, 1);
  EXPECT_EQ(report.quantization_bits, 0);

  const auto config = json_in(out / "config.json");
  const auto ours = json::parse(to_json(model.config()).dump());
  for (const auto& [key, value] : ours.items()) {
    EXPECT_EQ(config.at(key), value) << key;
  }
  EXPECT_EQ(config.at("architectures"), json({"LoopbankForCausalLM"}));
  EXPECT_EQ(config.at("auto_map").at("AutoConfig"), "configuration_loopbank.LoopbankConfig");
  EXPECT_EQ(config.at("auto_map").at("AutoModelForCausalLM"),
            "modeling_loopbank.LoopbankForCausalLM");
  EXPECT_EQ(config.at("dtype"), "float32");
  for (const char* key : {"bos_token_id", "eos_token_id", "pad_token_id"}) {
    EXPECT_EQ(config.at(key), kEndOfText) << key;
    EXPECT_EQ(json_in(out / "generation_config.json").at(key), kEndOfText) << key;
  }
  const auto tokenizer = json_in(out / "tokenizer_config.json");
  EXPECT_EQ(tokenizer.at("tokenizer_class"), "PreTrainedTokenizerFast");
  EXPECT_EQ(tokenizer.at("model_max_length"), 20);
  EXPECT_EQ(tokenizer.at("model_input_names"), json({"input_ids", "attention_mask"}));
  EXPECT_EQ(tokenizer.at("clean_up_tokenization_spaces"), false);
  for (const char* key : {"bos_token", "eos_token", "pad_token"}) {
    EXPECT_EQ(tokenizer.at(key), "<|endoftext|>") << key;
    EXPECT_EQ(json_in(out / "special_tokens_map.json").at(key), "<|endoftext|>") << key;
  }
  EXPECT_EQ(read_file(out / "tokenizer.json"),
            read_file(directory.path() / "model" / "tokenizer.json"));
}

TEST(Export, HoldsThePythonFilesOfTheTwinByteForByte) {
  const TestDirectory directory;
  write_exportable(directory.path() / "model");
  const auto out = directory.path() / "out";
  export_to_hf(directory.path() / "model", out, {});
  size_t found = 0;
  for (const auto& entry :
       fs::directory_iterator(fs::path(LOOPBANK_SOURCE_DIR) / "reference/twin")) {
    if (entry.path().extension() == ".py") {
      EXPECT_EQ(read_file(out / entry.path().filename()), read_file(entry.path()))
          << entry.path().filename();
      ++found;
    }
  }
  EXPECT_EQ(found, twin_files().size());
  EXPECT_GE(found, 6U);
}

TEST(Export, IsAModelDirectoryThatComputesTheSame) {
  const TestDirectory directory;
  const auto model = write_exportable(directory.path() / "model");
  const auto tokens = at::arange(20).view({1, 20});
  const at::NoGradGuard no_grad;
  const auto expected = model.forward(tokens).logits;
  // One file, and shards that hold one parameter or several.
  for (const int64_t shard_bytes : {kShardBytes, int64_t{6000}}) {
    const auto out = directory.path() / std::to_string(shard_bytes);
    export_to_hf(directory.path() / "model", out, {.shard_bytes = shard_bytes});
    const auto again = load_model(out);
    EXPECT_TRUE(again.forward(tokens).logits.equal(expected)) << shard_bytes;
    EXPECT_EQ(again.config(), model.config());
    EXPECT_EQ(Tokenizer::load(out).hash(), Tokenizer::bytes().hash());
  }
}

TEST(Export, ShardsHoldTheirBytesAndTheIndexNamesEveryParameter) {
  const TestDirectory directory;
  const auto model = write_exportable(directory.path() / "model");
  const auto out = directory.path() / "out";
  constexpr int64_t kBytes = 6000;
  const auto report = export_to_hf(directory.path() / "model", out,
                                   {.dtype = at::kBFloat16, .shard_bytes = kBytes});
  EXPECT_GT(report.num_weight_files, 2);
  EXPECT_EQ(report.bytes, 2 * model.parameters().count());
  EXPECT_FALSE(fs::exists(out / "model.safetensors"));
  EXPECT_EQ(json_in(out / "config.json").at("dtype"), "bfloat16");
  const auto index = json_in(out / "model.safetensors.index.json");
  EXPECT_EQ(index.at("metadata").at("total_size"), report.bytes);
  EXPECT_EQ(index.at("weight_map").size(), model.parameters().all().size());
  std::map<std::string, std::string> found;
  for (int64_t i = 1; i <= report.num_weight_files; ++i) {
    const auto name = fmt::format("model-{:05}-of-{:05}.safetensors", i, report.num_weight_files);
    const auto shard = read_safetensors(out / name);
    EXPECT_EQ(shard.metadata, (std::map<std::string, std::string>{{"format", "pt"}}));
    int64_t bytes = 0;
    for (const auto& [parameter, value] : shard.tensors) {
      found[parameter] = name;
      bytes += value.nbytes();
      const auto& ours = model.parameters().get(parameter).value;
      EXPECT_EQ(value.scalar_type(), at::kBFloat16);
      EXPECT_TRUE(value.equal(ours.detach().to(at::kBFloat16))) << parameter;
    }
    EXPECT_TRUE(bytes <= kBytes || shard.tensors.size() == 1) << name << " " << bytes;
  }
  EXPECT_EQ(json(found), index.at("weight_map"));
}

TEST(Export, AQuantizedModelBecomesTheNumbersThatItsCodesStandFor) {
  const TestDirectory directory;
  write_exportable(directory.path() / "model", /*bits=*/8);
  const auto out = directory.path() / "out";
  const auto report = export_to_hf(directory.path() / "model", out, {});
  EXPECT_EQ(report.quantization_bits, 8);
  EXPECT_EQ(json_in(out / "config.json").at("quantization_bits"), 0);
  const auto source = load_model(directory.path() / "model");
  const auto again = load_model(out);
  for (const auto& parameter : source.parameters().all()) {
    EXPECT_TRUE(again.parameters().get(parameter.name).value.equal(parameter.value))
        << parameter.name;
  }
}

TEST(Export, AnImportedModelKeepsTheFilesThatItCameWith) {
  const TestDirectory directory;
  write_exportable(directory.path() / "model");
  const std::map<std::string, std::string> given = {
      {"generation_config.json", R"({"eos_token_id": [2, 3], "top_p": 0.9})"},
      {"tokenizer_config.json",
       R"({"eos_token": "<|endoftext|>", "bos_token": "<|endoftext|>", "model_max_length": 7})"},
      {"chat_template.jinja", "{{ messages }}"}};
  for (const auto& [name, text] : given) {
    write_file_atomically(directory.path() / "model" / name, text);
  }
  const auto out = directory.path() / "out";
  export_to_hf(directory.path() / "model", out, {});
  for (const auto& [name, text] : given) {
    EXPECT_EQ(read_file(out / name), text) << name;
  }
  const auto config = json_in(out / "config.json");
  EXPECT_EQ(config.at("bos_token_id"), kEndOfText);
  EXPECT_EQ(config.at("eos_token_id"), json({2, 3}));
  EXPECT_TRUE(config.at("pad_token_id").is_null());
  EXPECT_EQ(load_model(out).config(), load_model(directory.path() / "model").config());
}

TEST(Export, RefusesAFolderThatHoldsFilesAndLeavesNothingBehind) {
  const TestDirectory directory;
  write_exportable(directory.path() / "model");
  const auto out = directory.path() / "out";
  fs::create_directories(out);
  write_file_atomically(out / "mine.txt", "mine");
  EXPECT_EQ(error_of(directory.path() / "model", out, {}),
            "--out: expected a new or empty folder, got " + out.string() + ", which holds files.");
  EXPECT_EQ(read_file(out / "mine.txt"), "mine");
  EXPECT_EQ(error_of(directory.path() / "model", directory.path() / "model" / "config.json", {}),
            "--out: expected a new or empty folder, got " +
                (directory.path() / "model" / "config.json").string() + ", which is no folder.");

  fs::remove(directory.path() / "model" / "tokenizer.json");
  EXPECT_NE(error_of(directory.path() / "model", directory.path() / "other", {}), "no error");
  EXPECT_FALSE(fs::exists(directory.path() / "other"));
}

TEST(Export, RefusesAValueThatFp16DoesNotHold) {
  const TestDirectory directory;
  auto model = write_exportable(directory.path() / "model");
  {
    const at::NoGradGuard no_grad;
    auto value = model.parameters().get("layers.1.block.feed_forward.up.weight").value;
    value[2][3] = -70000.0;
  }
  save_model(model, directory.path() / "model");
  const auto out = directory.path() / "out";
  EXPECT_EQ(error_of(directory.path() / "model", out, {.dtype = at::kHalf}),
            "export: parameter \"layers.1.block.feed_forward.up.weight\": expected values up to "
            "65504, the largest of fp16, got 70000. Take bf16 or fp32.");
  EXPECT_FALSE(fs::exists(out));
  for (const auto& entry : fs::directory_iterator(directory.path())) {
    EXPECT_EQ(entry.path().filename(), "model");
  }
  export_to_hf(directory.path() / "model", out, {.dtype = at::kBFloat16});
}

}  // namespace
}  // namespace loopbank::testing

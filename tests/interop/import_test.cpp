#include "loopbank/interop/import.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <c10/util/accumulate.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

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
using HfTensors = std::map<std::string, at::Tensor>;

constexpr int64_t kVocabulary = 11;
constexpr int64_t kWidth = 8;
constexpr int64_t kInner = 12;
constexpr int64_t kLayers = 2;
constexpr int64_t kHeads = 2;
constexpr int64_t kGroups = 1;

/// What differs between the tiny models.
struct Tiny {
  std::string model_type = "llama";
  json keys = json::object();  ///< of config.json, besides the sizes
  int64_t head_dim = kWidth / kHeads;
  bool tied = false;
  bool biased = false;  ///< query, key and value
  std::string query_norm = {};
  std::string key_norm = {};
  int64_t vocabulary = kVocabulary;
};

Tiny tiny_llama() {
  return {.keys = {{"rope_scaling",
                    {{"rope_type", "llama3"},
                     {"factor", 8.0},
                     {"low_freq_factor", 1.0},
                     {"high_freq_factor", 4.0},
                     {"original_max_position_embeddings", 4}}}}};
}
Tiny tiny_qwen2() {
  return {.model_type = "qwen2", .tied = true, .biased = true};
}
Tiny tiny_qwen3() {
  return {.model_type = "qwen3", .head_dim = 6, .query_norm = "q_norm", .key_norm = "k_norm"};
}
Tiny tiny_hunyuan() {
  return {.model_type = "hunyuan_v1_dense",
          .keys = {{"rope_scaling",
                    {{"type", "dynamic"}, {"alpha", 50.0}, {"factor", 1.0}, {"mscale", 1.0}}}},
          .query_norm = "query_layernorm",
          .key_norm = "key_layernorm"};
}

json hf_config_of(const Tiny& tiny) {
  json config = {{"model_type", tiny.model_type},
                 {"vocab_size", tiny.vocabulary},
                 {"hidden_size", kWidth},
                 {"intermediate_size", kInner},
                 {"num_hidden_layers", kLayers},
                 {"num_attention_heads", kHeads},
                 {"num_key_value_heads", kGroups},
                 {"head_dim", tiny.head_dim},
                 {"max_position_embeddings", 16},
                 {"rms_norm_eps", 1e-5},
                 {"rope_theta", 100.0},
                 {"tie_word_embeddings", tiny.tied}};
  config.update(tiny.keys);
  return config;
}

/// Element i of the k-th tensor by name: ((7919 i + 10007 k) mod 1009) / 1009 - 1/2 times 1.2, in
/// norms 1 + 0.4 times it. reference/import_peer.py --frozen fills transformers' models so.
at::Tensor rule_values(const std::string& name, int64_t k, at::IntArrayRef shape) {
  const auto count = c10::multiply_integers(shape);
  auto values = at::arange(count, at::kLong).mul(7919).add(10007 * k).remainder(1009);
  auto x = values.to(at::kDouble).div(1009.0).sub(0.5);
  x = name.find("norm") != std::string::npos ? x.mul(0.4).add(1.0) : x.mul(1.2);
  return x.to(at::kFloat).reshape(shape);
}

HfTensors hf_weights_of(const Tiny& tiny) {
  std::map<std::string, std::vector<int64_t>> shapes = {
      {"model.embed_tokens.weight", {tiny.vocabulary, kWidth}}, {"model.norm.weight", {kWidth}}};
  if (!tiny.tied) {
    shapes["lm_head.weight"] = {tiny.vocabulary, kWidth};
  }
  const auto q = kHeads * tiny.head_dim;
  const auto kv = kGroups * tiny.head_dim;
  for (int64_t l = 0; l < kLayers; ++l) {
    const auto layer = fmt::format("model.layers.{}.", l);
    for (const char* norm : {"input_layernorm", "post_attention_layernorm"}) {
      shapes[layer + norm + ".weight"] = {kWidth};
    }
    const std::vector<std::pair<std::string, int64_t>> projections = {
        {"q_proj", q}, {"k_proj", kv}, {"v_proj", kv}};
    for (const auto& [name, size] : projections) {
      shapes[layer + "self_attn." + name + ".weight"] = {size, kWidth};
      if (tiny.biased) {
        shapes[layer + "self_attn." + name + ".bias"] = {size};
      }
    }
    shapes[layer + "self_attn.o_proj.weight"] = {kWidth, q};
    if (!tiny.query_norm.empty()) {
      shapes[layer + "self_attn." + tiny.query_norm + ".weight"] = {tiny.head_dim};
      shapes[layer + "self_attn." + tiny.key_norm + ".weight"] = {tiny.head_dim};
    }
    shapes[layer + "mlp.gate_proj.weight"] = {kInner, kWidth};
    shapes[layer + "mlp.up_proj.weight"] = {kInner, kWidth};
    shapes[layer + "mlp.down_proj.weight"] = {kWidth, kInner};
  }
  HfTensors tensors;
  int64_t k = 0;
  for (const auto& [name, shape] : shapes) {
    tensors[name] = rule_values(name, k++, shape);
  }
  return tensors;
}

void write_hf_json(const fs::path& path, const json& value) {
  write_file_atomically(path, value.dump());
}

NamedTensors hf_tensors(const HfTensors& tensors) {
  return {tensors.begin(), tensors.end()};
}

/// A folder of a tiny model, in one file.
void write_hf_folder(const fs::path& folder, const Tiny& tiny, const HfTensors& tensors) {
  fs::create_directories(folder);
  write_hf_json(folder / "config.json", hf_config_of(tiny));
  write_safetensors(folder / "model.safetensors", hf_tensors(tensors), {{"format", "pt"}});
}

at::Tensor logits_behind_row(const LanguageModel& model) {
  const auto tokens = at::tensor({3, 1, 4, 1, 5, 9, 2, 6}, at::kLong).view({1, 8});
  return model.forward(tokens).logits[0][-1].detach();  // [V]
}

void expect_import_error(const std::function<void()>& act, ErrorCode code,
                         const std::vector<std::string>& fragments) {
  try {
    act();
    ADD_FAILURE() << "expected an error with " << fragments.front();
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), code) << error.what();
    for (const auto& fragment : fragments) {
      EXPECT_NE(std::string(error.what()).find(fragment), std::string::npos) << error.what();
    }
  }
}

// transformers 4.57.6, PyTorch 2.11, fp32 (scripts/interop import --frozen).
TEST(HfImport, LogitsAreThoseOfTransformers) {
  const std::vector<std::pair<Tiny, std::vector<double>>> cases = {
      {tiny_llama(),
       {1.289722, -0.523991, -1.389336, 1.354148, -0.001823, 0.150450, -0.510643, -1.310513,
        0.356765, 0.077000, -0.623116}},
      {tiny_qwen2(),
       {0.615467, -0.005916, -0.686111, 0.962970, 1.653965, -1.008168, -0.926085, -0.727008,
        0.074571, 1.613068, 0.045515}},
      {tiny_qwen3(),
       {2.283047, 0.493868, -2.055493, -0.596279, 1.620120, 1.032406, -1.136616, -2.093737,
        0.841219, 1.581875, 0.541964}},
      {tiny_hunyuan(),
       {-1.020214, -0.953868, -0.190771, 0.639510, -1.023779, -0.184764, 0.666236, 0.060550,
        0.645819, -0.772459, -1.269923}},
  };
  for (const auto& [tiny, expected] : cases) {
    const TestDirectory directory;
    write_hf_folder(directory.path() / "model", tiny, hf_weights_of(tiny));
    const auto imported = load_hf_model(directory.path() / "model");
    EXPECT_EQ(imported.report.family, tiny.model_type);
    EXPECT_EQ(imported.report.stored_type, "F32");
    const auto difference =
        (logits_behind_row(imported.model) - at::tensor(expected, at::kFloat)).abs().max();
    EXPECT_LE(difference.item<float>(), 5e-6) << tiny.model_type;
  }
}

TEST(HfImport, ReadsShardsAndHalfPrecisionToTheSameValues) {
  const TestDirectory directory;
  const auto tensors = hf_weights_of(tiny_llama());
  for (const auto type : {at::kBFloat16, at::kHalf}) {
    const auto folder = directory.path() / c10::toString(type);
    fs::create_directories(folder);
    write_hf_json(folder / "config.json", hf_config_of(tiny_llama()));
    NamedTensors first;
    NamedTensors second;
    json map;
    for (const auto& [name, tensor] : tensors) {
      const bool to_first = first.size() < 7;
      (to_first ? first : second).emplace_back(name, tensor.to(type));
      map[name] = to_first ? "model-1.safetensors" : "model-2.safetensors";
    }
    write_safetensors(folder / "model-1.safetensors", first);
    write_safetensors(folder / "model-2.safetensors", second);
    write_hf_json(folder / "model.safetensors.index.json",
                  {{"metadata", {{"total_size", 1}}}, {"weight_map", map}});
    const auto imported = load_hf_model(folder);
    EXPECT_EQ(imported.report.num_files, 2);
    EXPECT_EQ(imported.report.stored_type, type == at::kHalf ? "F16" : "BF16");
    const auto& value = imported.model.parameters().get("layers.1.block.feed_forward.up.weight");
    EXPECT_TRUE(
        value.value.equal(tensors.at("model.layers.1.mlp.up_proj.weight").to(type).to(at::kFloat)));
    EXPECT_EQ(value.value.scalar_type(), at::kFloat);
  }
}

TEST(HfImport, NamesEveryTensorThatDiffers) {
  const TestDirectory directory;
  auto tensors = hf_weights_of(tiny_llama());
  tensors.erase("model.layers.1.mlp.up_proj.weight");
  tensors["model.norm.weight"] = at::ones({9});
  tensors["model.layers.0.self_attn.q_proj.bias"] = at::ones({8});
  tensors["lm_head.weight"] = tensors["lm_head.weight"].to(at::kLong);
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({2});  // says nothing
  write_hf_folder(directory.path() / "model", tiny_llama(), tensors);
  expect_import_error([&] { (void)load_hf_model(directory.path() / "model"); },
                      ErrorCode::kCheckpoint,
                      {"got 4 that differ", "\"model.layers.1.mlp.up_proj.weight\" is missing",
                       "\"model.norm.weight\" has shape [9], expected [8]",
                       "\"model.layers.0.self_attn.q_proj.bias\" [8] is not known",
                       "\"lm_head.weight\" is Long, expected F32"});
}

TEST(HfImport, TakesATiedHeadThatWasStoredOnlyWhereItIsTheEmbedding) {
  const TestDirectory directory;
  auto tensors = hf_weights_of(tiny_qwen2());
  tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"].clone();
  tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = at::ones({2});
  write_hf_folder(directory.path() / "equal", tiny_qwen2(), tensors);
  const auto imported = load_hf_model(directory.path() / "equal");
  EXPECT_EQ(imported.report.ignored_tensors,
            std::vector<std::string>{"model.layers.0.self_attn.rotary_emb.inv_freq"});
  ASSERT_EQ(imported.report.notes.size(), 1U);
  EXPECT_NE(imported.report.notes.front().find("lm_head.weight"), std::string::npos);

  tensors["lm_head.weight"] = tensors["lm_head.weight"] + 1;
  write_hf_folder(directory.path() / "other", tiny_qwen2(), tensors);
  expect_import_error([&] { (void)load_hf_model(directory.path() / "other"); },
                      ErrorCode::kCheckpoint,
                      {"\"lm_head.weight\" differs from \"model.embed_tokens.weight\""});
}

TEST(HfImport, RefusesFoldersWithoutReadableWeights) {
  const TestDirectory directory;
  const auto folder = directory.path() / "model";
  const auto load = [&] { (void)load_hf_model(folder); };
  expect_import_error(load, ErrorCode::kCheckpoint, {"no such folder", "hf download NAME"});
  write_hf_folder(folder, tiny_llama(), hf_weights_of(tiny_llama()));
  fs::rename(folder / "model.safetensors", folder / "pytorch_model.bin");
  expect_import_error(load, ErrorCode::kCheckpoint, {"pytorch_model.bin", "save_pretrained"});
  fs::remove(folder / "pytorch_model.bin");
  expect_import_error(load, ErrorCode::kCheckpoint, {"got neither"});
  write_hf_json(folder / "model.safetensors.index.json",
                {{"weight_map", {{"model.norm.weight", "../model.safetensors"}}}});
  expect_import_error(load, ErrorCode::kCheckpoint, {"the name of a file in the same folder"});
  write_hf_json(folder / "model.safetensors.index.json",
                {{"weight_map", {{"model.norm.weight", "model-1.safetensors"}}}});
  expect_import_error(load, ErrorCode::kCheckpoint, {"model-1.safetensors", "no such file"});
  write_safetensors(folder / "model-1.safetensors", {{"another", at::ones({1})}});
  expect_import_error(load, ErrorCode::kCheckpoint, {"\"another\" as well"});
  write_safetensors(folder / "model-1.safetensors", {});
  expect_import_error(load, ErrorCode::kCheckpoint,
                      {"\"model.norm.weight\", which", "1 are missing"});
}

/// A model that the byte tokenizer fits.
Tiny tiny_with_bytes() {
  auto tiny = tiny_qwen3();
  tiny.vocabulary = 260;
  return tiny;
}

TEST(HfImport, WritesAModelDirectoryWithTheTokenizer) {
  const TestDirectory directory;
  const auto source = directory.path() / "source";
  write_hf_folder(source, tiny_with_bytes(), hf_weights_of(tiny_with_bytes()));
  Tokenizer::bytes().save(source / "tokenizer.json");
  write_hf_json(source / "generation_config.json", {{"eos_token_id", 256}});
  write_file_atomically(source / "README.md", "of the source alone");
  const auto out = directory.path() / "nested" / "out";
  const auto report = import_model(source, out, {});
  EXPECT_EQ(report.added_parameters, 0);
  EXPECT_EQ(report.copied_files,
            (std::vector<std::string>{"tokenizer.json", "generation_config.json"}));
  EXPECT_EQ(read_file(out / "tokenizer.json"), read_file(source / "tokenizer.json"));
  EXPECT_FALSE(fs::exists(out / "README.md"));
  const auto model = load_model(out);
  EXPECT_TRUE(logits_behind_row(model).equal(logits_behind_row(load_hf_model(source).model)));

  // What was written is read again as a model of ours.
  const auto again = load_hf_model(out);
  EXPECT_EQ(again.report.family, "loopbank");
  EXPECT_TRUE(logits_behind_row(again.model).equal(logits_behind_row(model)));
  expect_import_error([&] { (void)import_model(source, out, {}); }, ErrorCode::kConfig,
                      {"--out: expected a new or empty folder"});
}

TEST(HfImport, WithLoopsAndMemoryItComputesWhatItDid) {
  const TestDirectory directory;
  const auto source = directory.path() / "source";
  write_hf_folder(source, tiny_with_bytes(), hf_weights_of(tiny_with_bytes()));
  Tokenizer::bytes().save(source / "tokenizer.json");
  const auto report =
      import_model(source, directory.path() / "out",
                   {.max_loops = 3, .local_slots = 4, .global_slots = 2, .gate_init = 1.0});
  EXPECT_GT(report.added_parameters, 0);
  EXPECT_EQ(report.config.most_loops(), 3);
  const auto grown = load_model(directory.path() / "out");
  EXPECT_EQ(grown.config(), report.config);
  EXPECT_EQ(grown.parameters().count(), report.read_parameters + report.added_parameters);
  const auto difference = logits_behind_row(grown) - logits_behind_row(load_hf_model(source).model);
  EXPECT_LE(difference.abs().max().item<float>(), 1e-5);
}

TEST(HfImport, LeavesNoFolderWhereAnythingIsWrong) {
  const TestDirectory directory;
  const auto source = directory.path() / "source";
  const auto out = directory.path() / "out";
  write_hf_folder(source, tiny_llama(), hf_weights_of(tiny_llama()));
  const auto import = [&] { (void)import_model(source, out, {}); };
  expect_import_error(import, ErrorCode::kData, {"expected a tokenizer.json, got none."});
  write_file_atomically(source / "tokenizer.model", "");
  expect_import_error(import, ErrorCode::kData, {"tokenizer.model alone", "AutoTokenizer"});
  Tokenizer::bytes().save(source / "tokenizer.json");
  expect_import_error(import, ErrorCode::kData, {"\"vocab_size\" 11", "a tokenizer of 257 ids"});
  expect_import_error([&] { (void)import_model(source, out, {.local_slots = 4}); },
                      ErrorCode::kData, {"\"vocab_size\" 11"});
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path()), {}), 1);
}

}  // namespace
}  // namespace loopbank::testing

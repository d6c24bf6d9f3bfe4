#include "loopbank/interop/export.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <string_view>

#include "loopbank/interop/companions.h"
#include "loopbank/interop/twin_files.h"
#include "loopbank/interop/weight_shards.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/json.h"
#include "loopbank/support/new_folder.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using nlohmann::ordered_json;

/// Ids of the tokens that begin, end and fill up a text, as they stand in config.json: a number, a
/// list of them or null.
struct RoleIds {
  ordered_json bos;
  ordered_json eos;
  ordered_json pad;
};

std::string_view torch_name(at::ScalarType dtype) {
  return dtype == at::kBFloat16 ? "bfloat16" : dtype == at::kHalf ? "float16" : "float32";
}

bool has_tokenizer_config(const fs::path& model) {
  return fs::exists(model / "tokenizer_config.json") ||
         fs::exists(model / "special_tokens_map.json");
}

/// Those of the tokenizer's files and the generation_config.json that an imported model came with; of
/// a model trained here, for whose texts the token between documents is beginning, end and padding at
/// once.
RoleIds role_ids(const fs::path& model, const Tokenizer& tokenizer) {
  const auto end = tokenizer.end_of_text();
  RoleIds ids{end, end, end};
  if (has_tokenizer_config(model)) {
    const auto named = tokenizer.special_ids();
    ids.bos = named.bos ? ordered_json(*named.bos) : ordered_json();
    ids.pad = named.pad ? ordered_json(*named.pad) : ordered_json();
  }
  const auto given = model / "generation_config.json";
  if (fs::exists(given)) {
    const auto json = read_json_file(given, {.expected = "a JSON object"});
    if (!json.is_object()) {
      fail(ErrorCode::kCheckpoint, "{}: expected a JSON object, got {}.", given.string(),
           json.type_name());
    }
    ids.bos = json.value("bos_token_id", nlohmann::json(ids.bos));
    ids.eos = json.value("eos_token_id", nlohmann::json(ids.eos));
    ids.pad = json.value("pad_token_id", nlohmann::json(ids.pad));
  }
  return ids;
}

ordered_json hf_config_json(const ModelConfig& config, const RoleIds& ids, at::ScalarType dtype) {
  auto json = to_json(config);
  json["architectures"] = {"LoopbankForCausalLM"};
  json["auto_map"] = {{"AutoConfig", "configuration_loopbank.LoopbankConfig"},
                      {"AutoModelForCausalLM", "modeling_loopbank.LoopbankForCausalLM"}};
  json["dtype"] = torch_name(dtype);
  json["torch_dtype"] = torch_name(dtype);  // read by transformers before 4.56
  json["bos_token_id"] = ids.bos;
  json["eos_token_id"] = ids.eos;
  json["pad_token_id"] = ids.pad;
  return json;
}

/// The files that say what text and tokens mean, by name.
std::map<std::string, std::string> text_files(const fs::path& model, const Tokenizer& tokenizer,
                                              const RoleIds& ids, int64_t longest_text) {
  std::map<std::string, std::string> files;
  for (const char* name : kCompanions) {
    if (fs::exists(model / name)) {
      files[name] = read_file(model / name, ErrorCode::kCheckpoint);
    }
  }
  if (!has_tokenizer_config(model)) {
    const std::string end(tokenizer.token_bytes(tokenizer.end_of_text()));
    const ordered_json roles = {{"bos_token", end}, {"eos_token", end}, {"pad_token", end}};
    ordered_json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                           {"model_max_length", longest_text},
                           {"model_input_names", {"input_ids", "attention_mask"}},
                           {"clean_up_tokenization_spaces", false}};
    config.update(roles);
    files["tokenizer_config.json"] = config.dump(2) + "\n";
    files["special_tokens_map.json"] = roles.dump(2) + "\n";
  }
  const ordered_json generation = {
      {"bos_token_id", ids.bos}, {"eos_token_id", ids.eos}, {"pad_token_id", ids.pad}};
  files.emplace("generation_config.json", generation.dump(2) + "\n");
  return files;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(folder)) {
    names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

ExportReport export_to_hf(const fs::path& model, const fs::path& out,
                          const ExportOptions& options) {
  const auto target = expect_new_folder(out);
  const auto loaded = load_model(model);
  const auto tokenizer = Tokenizer::load(model);
  auto config = loaded.config();
  config.quantization_bits = 0;
  const auto ids = role_ids(model, tokenizer);
  auto files =
      text_files(model, tokenizer, ids,
                 options.longest_text > 0 ? options.longest_text : config.max_position_embeddings);
  for (const auto& twin : twin_files()) {
    files.emplace(twin.name, twin.text);
  }
  files["config.json"] = hf_config_json(config, ids, options.dtype).dump(2) + "\n";

  if (target.has_parent_path()) {
    create_directories(target.parent_path(), ErrorCode::kCheckpoint);
  }
  AtomicDirectory folder(target);
  const auto weights =
      write_weights(loaded.parameters(), folder.path(), options.dtype, options.shard_bytes);
  write_files_atomically(folder.path(), files, ErrorCode::kCheckpoint);
  auto names = names_in(folder.path());
  folder.commit();
  return {.parameters = loaded.parameters().count(),
          .bytes = weights.bytes,
          .num_weight_files = static_cast<int64_t>(weights.files.size()),
          .quantization_bits = loaded.config().quantization_bits,
          .files = std::move(names)};
}

}  // namespace loopbank

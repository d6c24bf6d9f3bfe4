#include "loopbank/serve/api/model_answers.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <optional>

#include "loopbank/infer/utf8_stream.h"
#include "loopbank/serve/api/answer_json.h"
#include "loopbank/serve/api/completion_request.h"
#include "loopbank/support/json.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson model_json(const ServedModel& served) {
  const auto& config = served.model.config();
  auto layers = OrderedJson::array();
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    layers.push_back(std::max<int64_t>(config.loops(l), 1));
  }
  auto policies = OrderedJson::array();
  for (const auto* policy : key_value_policies()) {
    policies.push_back(policy->name());
  }
  return {{"id", served.id},
          {"object", "model"},
          {"created", served.created},
          {"owned_by", "loopbank"},
          {"max_model_len", config.max_position_embeddings},
          {"vocab_size", config.vocab_size},
          {"layers", std::move(layers)},
          {"local_memory_slots", config.local_memory_slots},
          {"global_memory_slots", config.global_memory_slots},
          {"exits", {"all", "cdf:Q", "router:P", "change:E", "accel:E", "budget:N"}},
          {"kv", std::move(policies)},
          {"chat", served.chat.has_value()}};
}

/// Reads `model`, which may stand in any body.
void expect_fields(const JsonBody& json, const std::string& field, const ServedModel& served,
                   const std::vector<Field>& more, const std::vector<UndoneField>& undone) {
  std::vector<std::string> known = {field, "model"};
  for (const auto& name : more) {
    known.push_back(name.name);
  }
  json.expect_known(known, undone);
  std::string model;
  json.read({Field("model", &model, "")});
  json.read(more);
  if (json.find("model") != nullptr) {
    expect_model(model, served);
  }
}

OrderedJson text_or_null(const Tokenizer& tokenizer, std::optional<TokenId> id) {
  return id ? OrderedJson(tokenizer.token_bytes(*id)) : OrderedJson();
}

}  // namespace

std::string list_models(const ServedModel& served) {
  return write_line({{"object", "list"}, {"data", OrderedJson::array({model_json(served)})}});
}

std::string describe_model(const std::string& id, const ServedModel& served) {
  expect_model(id, served);
  return write_line(model_json(served));
}

std::string tokenize(std::string_view body, const ServedModel& served) {
  const JsonBody json(body, "tokenize");
  bool add_special_tokens = true;  // as vLLM
  expect_fields(json, "prompt", served, {Field("add_special_tokens", &add_special_tokens, "")},
                {{"messages", {}}, {"return_token_strs", {false}}});
  const auto& prompt = json.at("prompt", "a text");
  if (!prompt.is_string()) {
    json.refuse("prompt", "a text", show_json(prompt));
  }
  const auto& text = prompt.get_ref<const std::string&>();
  const auto& tokenizer = served.tokenizer;
  const auto ids = add_special_tokens ? tokenizer.encode_framed(text, /*parse_special=*/true)
                                      : tokenizer.encode(text, /*parse_special=*/true);
  // Without a tree of JSON: megabytes of text are as many ids.
  return fmt::format("{{\"tokens\":[{}],\"count\":{},\"max_model_len\":{}}}", fmt::join(ids, ","),
                     ids.size(), served.model.config().max_position_embeddings);
}

std::string detokenize(std::string_view body, const ServedModel& served) {
  const JsonBody json(body, "detokenize");
  expect_fields(json, "tokens", served, {}, {});
  const auto& tokens = json.at("tokens", "a list of token ids");
  if (!tokens.is_array()) {
    json.refuse("tokens", "a list of token ids", show_json(tokens));
  }
  const auto ids = parse_ids(tokens, json, "tokens", served.tokenizer.vocab_size());
  Utf8Stream characters;
  auto text = characters.push(served.tokenizer.decode(ids));
  text += characters.finish();
  return write_line({{"prompt", std::move(text)}});
}

std::string tokenizer_info(const ServedModel& served) {
  const auto& tokenizer = served.tokenizer;
  const auto special = tokenizer.special_ids();
  const auto& prefix = tokenizer.text_prefix();
  return write_line(
      {{"tokenizer_class", "PreTrainedTokenizerFast"},
       {"vocab_size", tokenizer.vocab_size()},
       {"model_max_length", served.model.config().max_position_embeddings},
       {"bos_token", text_or_null(tokenizer, special.bos)},
       {"eos_token", tokenizer.token_bytes(tokenizer.end_of_text())},
       {"pad_token", text_or_null(tokenizer, special.pad)},
       {"add_bos_token", special.bos && !prefix.empty() && prefix.front() == *special.bos},
       {"chat_template", served.chat ? OrderedJson(served.chat->as_jinja()) : OrderedJson()}});
}

}  // namespace loopbank

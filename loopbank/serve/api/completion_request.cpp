#include "loopbank/serve/api/completion_request.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <utility>

#include "loopbank/infer/draft.h"
#include "loopbank/serve/api/parse_messages.h"
#include "loopbank/support/json.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPromptForms =
    "a text, a list of token ids, a list of texts or a list of lists of token ids";

std::vector<Prompt> parse_prompts(const JsonBody& json, int64_t num_ids) {
  const auto& value = json.at("prompt", kPromptForms);
  if (value.is_string()) {
    return {value.get<std::string>()};
  }
  if (!value.is_array() || value.empty()) {
    json.refuse("prompt", kPromptForms, value.is_array() ? "an empty list" : show_json(value));
  }
  if (value.front().is_number()) {
    return {parse_ids(value, json, "prompt", num_ids)};
  }
  if (value.size() > kMostPrompts) {
    json.refuse("prompt", fmt::format("at most {} prompts", kMostPrompts),
                fmt::format("{}", value.size()));
  }
  std::vector<Prompt> prompts;
  for (const auto& prompt : value) {
    if (prompt.type() != value.front().type() || !(prompt.is_string() || prompt.is_array())) {
      json.refuse("prompt", kPromptForms, fmt::format("{} in the list", show_json(prompt)));
    }
    prompts.push_back(prompt.is_string() ? Prompt(prompt.get<std::string>())
                                         : Prompt(parse_ids(prompt, json, "prompt", num_ids)));
  }
  return prompts;
}

std::vector<UndoneField> undone_fields(const JsonBody& json, bool chat) {
  auto undone = BodyFields::undone(chat);
  if (!chat) {
    const auto* n = json.find("n");
    undone.push_back({"best_of", {1, n != nullptr ? *n : Json(1)}});
  }
  return undone;
}

std::vector<std::string> known_names(BodyFields& body) {
  std::vector<std::string> names = {body.body.chat ? "messages" : "prompt"};
  for (const auto& field : body.fields()) {
    names.push_back(field.name);
  }
  names.emplace_back("stream_options");
  return names;
}

void read_stream_options(const JsonBody& json, BodyFields& into) {
  const auto* options = json.find("stream_options");
  if (options == nullptr) {
    return;
  }
  const JsonBody inner(*options, json.where() + ": stream_options", "stream_options");
  std::vector<std::string> known;
  for (const auto& field : into.stream_fields()) {
    known.push_back(field.name);
  }
  inner.expect_known(known, BodyFields::undone_of_stream());
  inner.read(into.stream_fields());
}

/// Whether the text may stand in an error of one line.
bool is_one_word(const std::string& text) {
  return std::all_of(text.begin(), text.end(), [](char byte) { return byte > ' ' && byte <= '~'; });
}

/// What the ranges of the fields do not say.
void check_options(const JsonBody& json, const ServedModel& served,
                   const GenerateOptions& options) {
  const auto where = json.where();
  const auto& config = served.model.config();
  json.check("stop", [&] { check_stop_strings(options.stop, where); });
  const bool is_long = std::any_of(options.stop.begin(), options.stop.end(), [](const auto& text) {
    return count_code_points(text) > kLongestStopString;
  });
  if (options.stop.size() > kMostStopStrings || is_long) {
    json.refuse("stop",
                fmt::format("at most {} texts of at most {} characters", kMostStopStrings,
                            kLongestStopString),
                is_long ? "a longer one" : fmt::format("{}", options.stop.size()));
  }
  json.check("logit_bias",
             [&] { options.sampling.check_ids(served.tokenizer.vocab_size(), where); });
  for (const auto& [name, text] :
       {std::pair("exit", &options.inference.exit), std::pair("draft", &options.draft)}) {
    if (!is_one_word(*text)) {
      json.refuse(name, "the name of a rule, as in docs/serving.md", show_json(Json(*text)));
    }
  }
  InferenceOptions inference;
  DraftOptions draft;
  json.check("exit", [&] { inference = options.inference.options(where); });
  json.check("draft", [&] {
    draft = DraftOptions::parse(options.draft, fmt::format("{}: \"draft\"", where));
  });
  const auto check_loops = [&](const char* name, int64_t loops) {
    json.check(
        name, [&] { (void)config.budget_loops(loops, fmt::format("{}: \"{}\"", where, name)); },
        422, "too_many_loops");
  };
  check_loops("max_loops", inference.max_loops);
  check_loops("exit", inference.exit.budget());
  check_loops("draft", draft.loops);
}

/// A seed for who gives none: such a request draws another text each time.
int64_t random_seed() {
  std::random_device device;
  return static_cast<int64_t>(device());
}

void read_fields(const JsonBody& json, const ServedModel& served, BodyFields& into) {
  json.expect_known(known_names(into), undone_fields(json, into.body.chat));
  json.read(into.fields());
  if (json.find("model") != nullptr) {
    expect_model(into.model, served);
  }
  auto& body = into.body;
  read_stream_options(json, into);
  body.loops_by_token = into.loops == "tokens";
  const auto* alternatives = json.find(body.chat ? "top_logprobs" : "logprobs");
  body.tells_logprobs = alternatives != nullptr;
  if (body.chat && json.find("logprobs") != nullptr) {
    body.tells_logprobs = into.logprobs;
  }
  if (!body.tells_logprobs) {
    body.options.sampling.logprobs = 0;
  }
  if (json.find("seed") == nullptr) {
    body.options.seed = random_seed();
  }
  check_options(json, served, body.options);
}

void expect_few_choices(const JsonBody& json, const CompletionBody& body) {
  const auto choices = static_cast<int64_t>(body.prompts.size()) * body.n;
  if (choices > kMostChoices) {
    json.refuse("n", fmt::format("at most {} completions of all prompts together", kMostChoices),
                fmt::format("{} of {} prompts", body.n, body.prompts.size()));
  }
}

}  // namespace

void expect_model(const std::string& id, const ServedModel& served) {
  if (id != served.id) {
    throw ApiError(404,
                   fmt::format("model: expected \"{}\", the model that is served, got {}.",
                               served.id, show_json(Json(id))),
                   "model", "model_not_found");
  }
}

std::vector<TokenId> parse_ids(const Json& list, const JsonBody& json, const std::string& name,
                               int64_t num_ids) {
  std::vector<TokenId> ids;
  ids.reserve(list.size());
  for (const auto& id : list) {
    // As in fields of whole numbers, 16.0 counts as 16.
    const auto number = id.is_number() ? id.get<double>() : -1.0;
    if (number < 0.0 || number >= static_cast<double>(num_ids) || number != std::floor(number)) {
      json.refuse(name, fmt::format("token ids from 0 to {}", num_ids - 1), show_json(id));
    }
    ids.push_back(static_cast<TokenId>(number));
  }
  return ids;
}

CompletionBody parse_completion_body(std::string_view body, const ServedModel& served) {
  const JsonBody json(body, "completions");
  BodyFields fields(/*chat=*/false, served);
  read_fields(json, served, fields);
  fields.body.prompts = parse_prompts(json, served.tokenizer.vocab_size());
  expect_few_choices(json, fields.body);
  return std::move(fields.body);
}

CompletionBody parse_chat_body(std::string_view body, const ServedModel& served) {
  const JsonBody json(body, "chat");
  BodyFields fields(/*chat=*/true, served);
  read_fields(json, served, fields);
  if (json.find("max_completion_tokens") != nullptr) {
    fields.body.options.max_tokens = fields.max_completion_tokens;
  }
  const auto messages = parse_messages(json);
  if (!served.chat) {
    throw ApiError(400, served.why_no_chat, "messages", "no_chat_template");
  }
  fields.body.prompts = {served.chat->prompt_of(messages, served.tokenizer)};
  auto& stop = fields.body.options.stop;
  stop.insert(stop.end(), served.chat->stop.begin(), served.chat->stop.end());
  return std::move(fields.body);
}

}  // namespace loopbank

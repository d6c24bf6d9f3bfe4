/// What a body may hold: the fields of completions and chats, and those of the OpenAI API that are
/// not done.

#include <algorithm>

#include "loopbank/serve/api/completion_request.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;

constexpr int64_t kDefaultMaxTokens = 16;  // OpenAI's

}  // namespace

BodyFields::BodyFields(bool chat, const ServedModel& served) {
  body.chat = chat;
  auto& options = body.options;
  options.max_tokens = chat ? served.model.config().max_position_embeddings : kDefaultMaxTokens;
  options.sampling.temperature = 1.0;
  options.sampling.top_p = 1.0;
  options.inference = served.inference;
}

std::vector<Field> BodyFields::fields() {
  auto fields = body.options.fields();
  fields.insert(fields.begin(),
                Field("model", &model, "the id of the model, as GET /v1/models tells it"));
  fields.insert(
      fields.end(),
      {Field("n", &body.n, "completions of each prompt, each with draws of its own")
           .range(1.0, static_cast<double>(kMostOfAPrompt)),
       Field("stream", &body.stream, "whether the answer comes as events, one a token"),
       Field("user", &body.user, "a name of the client's own user; changes nothing"),
       Field("loops", &loops, "loops of the answer: their mean, or by token as well")
           .choices({"mean", "tokens"}),
       Field("inside", &body.inside, "whether to tell what each token did inside the model")});
  if (!body.chat) {
    fields.push_back(
        Field("echo", &body.echo, "whether the prompt stands before the text, with its scores"));
    return fields;
  }
  for (auto& field : fields) {
    if (field.name == "logprobs") {
      field.name = "top_logprobs";
    }
  }
  fields.push_back(Field("safety_identifier", &body.user, "the newer name of user"));
  fields.push_back(Field(
      "logprobs", &logprobs,
      "whether to tell the log probability of each token; absent: where top_logprobs is there"));
  fields.push_back(
      Field("max_completion_tokens", &max_completion_tokens,
            "most tokens to generate, the newer name of max_tokens, which it goes before")
          .minimum(0.0));
  return fields;
}

std::vector<Field> BodyFields::stream_fields() {
  return {Field("include_usage", &body.include_usage,
                "whether a last event before [DONE] tells the usage")};
}

const std::vector<UndoneField>& BodyFields::undone_of_stream() {
  static const std::vector<UndoneField> fields = {{"include_obfuscation", {false}}};
  return fields;
}

const std::vector<UndoneField>& BodyFields::undone(bool chat) {
  // best_of is read beside n.
  static const std::vector<UndoneField> of_completions = {{"suffix", {""}}};
  static const std::vector<UndoneField> of_chats = {
      {"audio", {}},
      {"function_call", {"auto", "none"}},
      {"functions", {Json::array()}},
      {"metadata", {Json::object()}},
      {"modalities", {Json::array({"text"})}},
      {"moderation", {}},
      {"parallel_tool_calls", {false, true}},
      {"prediction", {}},
      {"prompt_cache_key", {}},
      {"prompt_cache_options", {}},
      {"prompt_cache_retention", {"in_memory"}},
      {"reasoning_effort", {"none"}},
      {"response_format", {Json{{"type", "text"}}}},
      {"service_tier", {"auto", "default"}},
      {"store", {false}},
      {"tool_choice", {"auto", "none"}},
      {"tools", {Json::array()}},
      {"verbosity", {"medium"}},
      {"web_search_options", {}},
  };
  return chat ? of_chats : of_completions;
}

}  // namespace loopbank

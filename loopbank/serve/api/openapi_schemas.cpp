/// The schemas of bodies and answers in the OpenAPI document.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <type_traits>
#include <utility>

#include "loopbank/serve/api/completion_request.h"
#include "loopbank/serve/api/openapi.h"
#include "loopbank/support/setting_values.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson or_null(const std::string& type) {
  return {{"type", {type, "null"}}};
}

OrderedJson reference(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}};
}

/// One of several, null among them.
OrderedJson any_or_null(std::vector<OrderedJson> forms) {
  forms.push_back({{"type", "null"}});
  return {{"anyOf", forms}};
}

OrderedJson list_of(OrderedJson items) {
  return {{"type", "array"}, {"items", std::move(items)}};
}

/// An object that has all of these keys and no other, but those in `optional` perhaps.
OrderedJson object_of(const OrderedJson& properties,
                      const std::vector<std::string>& optional = {}) {
  auto required = OrderedJson::array();
  for (const auto& [name, schema] : properties.items()) {
    if (std::find(optional.begin(), optional.end(), name) == optional.end()) {
      required.push_back(name);
    }
  }
  return {{"type", "object"},
          {"properties", properties},
          {"required", std::move(required)},
          {"additionalProperties", false}};
}

OrderedJson bound(double value) {
  return value == std::floor(value) && std::abs(value) < 1e15
             ? OrderedJson(static_cast<int64_t>(value))
             : OrderedJson(value);
}

void add_bounds(const Field& field, OrderedJson& schema) {
  const auto& allowed = field.allowed;
  if (std::isfinite(allowed.low)) {
    schema[allowed.excludes_low ? "exclusiveMinimum" : "minimum"] = bound(allowed.low);
  }
  if (std::isfinite(allowed.high)) {
    schema[allowed.excludes_high ? "exclusiveMaximum" : "maximum"] = bound(allowed.high);
  }
}

OrderedJson schema_of_stop() {
  const OrderedJson text = {
      {"type", "string"}, {"minLength", 1}, {"maxLength", kLongestStopString}};
  auto list = list_of(text);
  list["maxItems"] = kMostStopStrings;
  return any_or_null({text, list});
}

/// Of a field by its type and range; null counts as absent.
OrderedJson schema_of(const Field& field) {
  auto schema = std::visit(
      [&](const auto* target) -> OrderedJson {
        using T = std::decay_t<decltype(*target)>;
        if constexpr (std::is_same_v<T, bool>) {
          return or_null("boolean");
        } else if constexpr (std::is_same_v<T, int64_t>) {
          auto number = or_null("integer");
          number["maximum"] = std::numeric_limits<int64_t>::max();
          add_bounds(field, number);
          return number;
        } else if constexpr (std::is_same_v<T, double>) {
          auto number = or_null("number");
          add_bounds(field, number);
          return number;
        } else if constexpr (std::is_same_v<T, NumberById>) {
          OrderedJson number = {{"type", "number"}};
          add_bounds(field, number);
          return {{"type", {"object", "null"}}, {"additionalProperties", std::move(number)}};
        } else if constexpr (std::is_same_v<T, std::vector<std::string>>) {
          return schema_of_stop();
        } else {
          if (field.allowed.choices.empty()) {
            return or_null("string");
          }
          OrderedJson choices = field.allowed.choices;
          choices.push_back(nullptr);
          return {{"enum", std::move(choices)}};
        }
      },
      field.target);
  schema["description"] = field.doc;
  return schema;
}

/// Of the whole numbers from 0 to `most`, as keys are written.
std::string pattern_of_ids(int64_t most) {
  const auto digits = fmt::format("{}", most);
  std::string pattern = "^(0";
  for (size_t length = 1; length < digits.size(); ++length) {
    pattern += fmt::format("|[1-9][0-9]{{{}}}", length - 1);
  }
  // As long as the largest one: equal up to a digit that is smaller.
  for (size_t i = 0; i < digits.size(); ++i) {
    const char lowest = i == 0 ? '1' : '0';
    if (digits[i] > lowest) {
      pattern += fmt::format("|{}[{}-{}][0-9]{{{}}}", digits.substr(0, i), lowest,
                             static_cast<char>(digits[i] - 1), digits.size() - i - 1);
    }
  }
  return pattern + "|" + digits + ")$";
}

/// What this model takes of a field beyond its range.
void add_what_the_model_takes(const std::string& name, const ServedModel& served,
                              OrderedJson& schema) {
  const auto loops = std::max<int64_t>(1, served.model.config().most_loops());
  std::string counts = "1";
  for (int64_t n = 2; n <= loops; ++n) {
    counts += fmt::format("|{}", n);
  }
  if (name == "max_loops") {
    schema["maximum"] = loops;
  } else if (name == "exit") {
    schema["pattern"] = fmt::format(
        "^(all|(cdf|router):(0(\\.[0-9]{{1,9}})?|1)|(change|accel):[0-9]{{1,6}}(\\.[0-9]{{1,9}})?|"
        "budget:({}))(,hard)?$",
        counts);
    schema["examples"] = {"all", "cdf:0.9", "router:0.5,hard", "budget:1"};
  } else if (name == "draft") {
    schema["pattern"] = fmt::format("^(none|lookup|loops:({}))(,[1-8])?$", counts);
    schema["examples"] = {"none", "lookup", "lookup,8"};
  } else if (name == "logit_bias") {
    schema["propertyNames"]["pattern"] = pattern_of_ids(served.tokenizer.vocab_size() - 1);
  } else if (name == "model") {
    schema["enum"] = {served.id, nullptr};
  }
}

void add_default(const Field& field, OrderedJson& schema) {
  for (const auto* without : {"model", "user", "safety_identifier", "seed", "stop", "logit_bias",
                              "max_completion_tokens"}) {
    if (field.name == without) {
      return;
    }
  }
  schema["default"] = value_of(field);
}

OrderedJson schema_of_undone(const UndoneField& field) {
  auto values = OrderedJson::array({nullptr});
  for (const auto& value : field.taken) {
    values.push_back(OrderedJson::parse(value.dump()));
  }
  return {
      {"enum", std::move(values)},
      {"description", "of the OpenAI API, not done here: values that ask for nothing are taken"}};
}

OrderedJson schema_of_prompt(const ServedModel& served) {
  const OrderedJson id = {
      {"type", "integer"}, {"minimum", 0}, {"maximum", served.tokenizer.vocab_size() - 1}};
  auto ids = list_of(id);
  ids["minItems"] = 1;
  auto texts = list_of({{"type", "string"}});
  auto lists = list_of(list_of(id));
  for (auto* many : {&texts, &lists}) {
    (*many)["minItems"] = 1;
    (*many)["maxItems"] = kMostPrompts;
  }
  return {{"anyOf", {{{"type", "string"}}, ids, texts, lists}},
          {"description",
           "a text, ids, or a list of either, which run together; each at most "
           "max_model_len tokens, one more with max_tokens 0"}};
}

OrderedJson schema_of_messages(const ChatTemplate& chat) {
  auto roles = OrderedJson::array({"user"});
  if (!chat.system.empty()) {
    roles.push_back("system");
    roles.push_back("developer");
  }
  if (!chat.assistant.empty()) {
    roles.push_back("assistant");
  }
  auto parts = list_of(object_of({{"type", {{"const", "text"}}}, {"text", {{"type", "string"}}}}));
  parts["minItems"] = 1;
  auto messages =
      list_of(object_of({{"role", {{"enum", std::move(roles)}}},
                         {"content", {{"anyOf", {{{"type", "string"}}, std::move(parts)}}}},
                         {"name", or_null("string")},
                         {"type", {{"enum", {"text", nullptr}}}}},
                        {"name", "type"}));
  messages["minItems"] = 1;
  return messages;
}

OrderedJson schema_of_body(bool chat, const ServedModel& served) {
  BodyFields body(chat, served);
  OrderedJson properties;
  const std::string first = chat ? "messages" : "prompt";
  properties[first] = chat ? schema_of_messages(*served.chat) : schema_of_prompt(served);
  for (const auto& field : body.fields()) {
    auto& schema = properties[field.name] = schema_of(field);
    add_default(field, schema);
    add_what_the_model_takes(field.name, served, schema);
  }
  OrderedJson stream;
  for (const auto& field : body.stream_fields()) {
    stream[field.name] = schema_of(field);
  }
  for (const auto& field : BodyFields::undone_of_stream()) {
    stream[field.name] = schema_of_undone(field);
  }
  properties["stream_options"] = {{"type", {"object", "null"}},
                                  {"description", "of a stream; else without effect"},
                                  {"properties", std::move(stream)},
                                  {"additionalProperties", false}};
  for (const auto& field : BodyFields::undone(chat)) {
    properties[field.name] = schema_of_undone(field);
  }
  if (!chat) {
    properties["logprobs"]["default"] = nullptr;
    properties["best_of"] = schema_of_undone({"best_of", {1}});
  }
  return {{"type", "object"},
          {"properties", std::move(properties)},
          {"required", {first}},
          {"additionalProperties", false}};
}

OrderedJson schema_of_inside() {
  const OrderedJson number = {{"type", "number"}};
  const auto read = object_of({{"layer", {{"type", "integer"}}},
                               {"bank", {{"enum", {"local", "global"}}}},
                               {"gate", number},
                               {"top", list_of({{"type", "array"},
                                                {"prefixItems", {{{"type", "integer"}}, number}},
                                                {"minItems", 2},
                                                {"maxItems", 2}})}});
  auto inside = object_of({{"loops", list_of(number)},
                           {"halting", list_of(list_of(number))},
                           {"reads", list_of(read)}});
  inside["description"] =
      "what the pass that a token was drawn from did: loops by layer, the probability to stop "
      "after "
      "each, and of each memory bank the gate and the slots of most weight";
  return inside;
}

/// A choice of an answer, with its text in `text` or `message`.
OrderedJson schema_of_choice(const std::string& text_key, OrderedJson text, OrderedJson logprobs) {
  return object_of(
      {{"index", {{"type", "integer"}, {"minimum", 0}}},
       {text_key, std::move(text)},
       {"logprobs", any_or_null({std::move(logprobs)})},
       {"finish_reason", {{"enum", {"stop", "length", nullptr}}}},
       {"stop_reason", or_null("string")},
       {"loops", object_of({{"mean", {{"type", "number"}}}, {"tokens", list_of(or_null("number"))}},
                           {"mean", "tokens"})},
       {"inside", list_of(any_or_null({reference("Inside")}))}},
      {"loops", "inside"});
}

OrderedJson schema_of_answer(const std::string& object, OrderedJson choice) {
  return object_of({{"id", {{"type", "string"}}},
                    {"object", {{"const", object}}},
                    {"created", {{"type", "integer"}}},
                    {"model", {{"type", "string"}}},
                    {"choices", list_of(std::move(choice))},
                    {"usage", any_or_null({reference("Usage")})}},
                   {"usage"});
}

OrderedJson schema_of_chat_logprobs() {
  const OrderedJson entry = {{"token", {{"type", "string"}}},
                             {"logprob", {{"type", "number"}}},
                             {"bytes", list_of({{"type", "integer"}})}};
  auto token = entry;
  token["top_logprobs"] = list_of(object_of(entry));
  return object_of({{"content", list_of(object_of(token))}});
}

void add_answers(OrderedJson& schemas) {
  const OrderedJson text = {{"type", "string"}};
  const OrderedJson count = {{"type", "integer"}, {"minimum", 0}};
  schemas["Usage"] = object_of({{"prompt_tokens", count},
                                {"completion_tokens", count},
                                {"total_tokens", count},
                                {"loops_mean", {{"type", "number"}}}});
  schemas["Inside"] = schema_of_inside();
  const auto logprobs = object_of(
      {{"tokens", list_of(text)},
       {"token_logprobs", list_of(or_null("number"))},
       {"top_logprobs",
        list_of({{"type", {"object", "null"}}, {"additionalProperties", {{"type", "number"}}}})},
       {"text_offset", list_of(count)}});
  schemas["Completion"] =
      schema_of_answer("text_completion", schema_of_choice("text", text, logprobs));
  const OrderedJson role = {{"const", "assistant"}};
  schemas["ChatCompletion"] = schema_of_answer(
      "chat.completion", schema_of_choice("message", object_of({{"role", role}, {"content", text}}),
                                          schema_of_chat_logprobs()));
  schemas["ChatCompletionChunk"] = schema_of_answer(
      "chat.completion.chunk",
      schema_of_choice("delta", object_of({{"role", role}, {"content", text}}, {"role", "content"}),
                       schema_of_chat_logprobs()));
  schemas["Error"] = object_of({{"error", object_of({{"message", text},
                                                     {"type", text},
                                                     {"param", or_null("string")},
                                                     {"code", or_null("string")}})}});
}

void add_model(const ServedModel& served, OrderedJson& schemas) {
  const OrderedJson text = {{"type", "string"}};
  const OrderedJson count = {{"type", "integer"}, {"minimum", 0}};
  const OrderedJson id = {
      {"type", "integer"}, {"minimum", 0}, {"maximum", served.tokenizer.vocab_size() - 1}};
  schemas["Model"] = object_of({{"id", text},
                                {"object", {{"const", "model"}}},
                                {"created", count},
                                {"owned_by", text},
                                {"max_model_len", count},
                                {"vocab_size", count},
                                {"layers", list_of(count)},
                                {"local_memory_slots", count},
                                {"global_memory_slots", count},
                                {"exits", list_of(text)},
                                {"kv", list_of(text)},
                                {"chat", {{"type", "boolean"}}}});
  schemas["ModelList"] =
      object_of({{"object", {{"const", "list"}}}, {"data", list_of(reference("Model"))}});
  const OrderedJson model = {{"enum", {served.id, nullptr}}};
  schemas["TokenizeRequest"] =
      object_of({{"prompt", text}, {"model", model}, {"add_special_tokens", or_null("boolean")}},
                {"model", "add_special_tokens"});
  schemas["TokenizeAnswer"] =
      object_of({{"tokens", list_of(id)}, {"count", count}, {"max_model_len", count}});
  schemas["DetokenizeRequest"] = object_of({{"tokens", list_of(id)}, {"model", model}}, {"model"});
  schemas["DetokenizeAnswer"] = object_of({{"prompt", text}});
  schemas["TokenizerInfo"] = object_of({{"tokenizer_class", text},
                                        {"vocab_size", count},
                                        {"model_max_length", count},
                                        {"bos_token", or_null("string")},
                                        {"eos_token", text},
                                        {"pad_token", or_null("string")},
                                        {"add_bos_token", {{"type", "boolean"}}},
                                        {"chat_template", or_null("string")}});
}

}  // namespace

OrderedJson openapi_schemas(const ServedModel& served) {
  OrderedJson schemas;
  schemas["CompletionRequest"] = schema_of_body(/*chat=*/false, served);
  if (served.chat) {
    schemas["ChatCompletionRequest"] = schema_of_body(/*chat=*/true, served);
  }
  add_answers(schemas);
  add_model(served, schemas);
  return schemas;
}

}  // namespace loopbank

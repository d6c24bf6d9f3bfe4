#include "loopbank/serve/api/openapi.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "loopbank/serve/api/answer_json.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;

struct ApiPath {
  std::string method;
  std::string path;
  std::string summary;
  std::string answer{};  ///< a schema of components; empty: of any form
  std::string content_type = "application/json";
  std::vector<int> errors{};  ///< statuses beside 200 and those that every path may have
  bool is_open = false;       ///< asks for no key
  std::string request{};      ///< a schema of components
  OrderedJson examples{};     ///< bodies by name
};

const char* meaning_of(int status) {
  switch (status) {
    case 400:
      return "malformed, or a value out of range: error.param names the field";
    case 401:
      return "no API key, or another";
    case 403:
      return "from a page of another origin, or for a name that is not this machine's";
    case 404:
      return "no such model";
    case 405:
      return "another method: the header Allow has those that there are";
    case 413:
      return "a body of more than 8 MiB";
    case 414:
      return "a path that is too long";
    case 422:
      return "well-formed, and never possible on this server: more loops than the model has, more "
             "keys and values than its cache holds";
    case 429:
      return "the queue is full";
    case 500:
      return "a fault of the server";
    default:
      return "the server shuts down, or has too many connections";
  }
}

OrderedJson headers_of(int status) {
  OrderedJson headers = {
      {"x-request-id",
       {{"description", "the client's own, or a new one"}, {"schema", {{"type", "string"}}}}}};
  if (status == 429 || status == 503) {
    headers["Retry-After"] = {{"description", "seconds"},
                              {"schema", {{"type", "integer"}, {"minimum", 0}}}};
  }
  return headers;
}

OrderedJson schema_named(const std::string& name) {
  return {{"$ref", "#/components/schemas/" + name}};
}

OrderedJson answers_of(const ApiPath& path, bool asks_for_key) {
  OrderedJson content;
  auto& form = content[path.content_type];
  form = OrderedJson::object();
  if (!path.answer.empty()) {
    form["schema"] = schema_named(path.answer);
  } else if (path.content_type == "application/json") {
    form["schema"] = {{"type", "object"}};
  }
  if (path.path.ends_with("completions")) {
    content["text/event-stream"] = OrderedJson::object();
  }
  OrderedJson answers;
  answers["200"] = {
      {"description", path.summary}, {"headers", headers_of(200)}, {"content", std::move(content)}};
  auto errors = path.errors;
  errors.insert(errors.end(), {403, 405, 503});
  if (asks_for_key && !path.is_open) {
    errors.push_back(401);
  }
  std::sort(errors.begin(), errors.end());
  for (const int status : errors) {
    answers[std::to_string(status)] = {
        {"description", meaning_of(status)},
        {"headers", headers_of(status)},
        {"content", {{"application/json", {{"schema", schema_named("Error")}}}}}};
  }
  return answers;
}

OrderedJson operation_of(const ApiPath& path, bool asks_for_key) {
  OrderedJson operation = {{"summary", path.summary}};
  if (path.path.find("{id}") != std::string::npos) {
    operation["parameters"] = OrderedJson::array(
        {{{"name", "id"}, {"in", "path"}, {"required", true}, {"schema", {{"type", "string"}}}}});
  }
  if (!path.request.empty()) {
    OrderedJson examples;
    for (const auto& [name, value] : path.examples.items()) {
      examples[name] = {{"value", value}};
    }
    operation["requestBody"] = {
        {"required", true},
        {"content",
         {{"application/json",
           {{"schema", schema_named(path.request)}, {"examples", std::move(examples)}}}}}};
  }
  operation["responses"] = answers_of(path, asks_for_key);
  if (asks_for_key && !path.is_open) {
    operation["security"] = OrderedJson::array({{{"key", OrderedJson::array()}}});
  }
  return operation;
}

std::vector<ApiPath> paths_of_texts() {
  return {
      {.method = "post",
       .path = "/v1/completions",
       .summary = "Goes on with texts. With \"stream\": true events follow, each `data: {...}` of "
                  "the same form with the new piece in text, and `data: [DONE]` behind the last.",
       .answer = "Completion",
       .errors = {400, 404, 413, 422, 429, 500},
       .request = "CompletionRequest",
       .examples = {{"text", {{"prompt", "Once upon a time"}, {"max_tokens", 8}}},
                    {"scores",
                     {{"prompt", "Once upon a time"},
                      {"max_tokens", 0},
                      {"echo", true},
                      {"logprobs", 1},
                      {"loops", "tokens"}}}}},
      {.method = "post",
       .path = "/v1/chat/completions",
       .summary = "Answers a chat, where the model has a chat template. With \"stream\": true "
                  "events follow, of the schema ChatCompletionChunk.",
       .answer = "ChatCompletion",
       .errors = {400, 404, 413, 422, 429, 500},
       .request = "ChatCompletionRequest",
       .examples = {{"chat",
                     {{"messages", {{{"role", "user"}, {"content", "Hello"}}}},
                      {"max_tokens", 8}}}}},
      {.method = "post",
       .path = "/tokenize",
       .summary = "The ids of a text",
       .answer = "TokenizeAnswer",
       .errors = {400, 404, 413},
       .request = "TokenizeRequest",
       .examples = {{"text", {{"prompt", "Once upon a time"}}}}},
      {.method = "post",
       .path = "/detokenize",
       .summary = "The text of ids",
       .answer = "DetokenizeAnswer",
       .errors = {400, 404, 413},
       .request = "DetokenizeRequest",
       .examples = {{"ids", {{"tokens", {1, 2, 3}}}}}},
  };
}

std::vector<ApiPath> paths_to_read(bool has_slots) {
  std::vector<ApiPath> paths = {
      {.method = "get",
       .path = "/v1/models",
       .summary = "The model that is served, in a list",
       .answer = "ModelList"},
      {.method = "get",
       .path = "/v1/models/{id}",
       .summary = "The model that is served",
       .answer = "Model",
       .errors = {404, 414}},
      {.method = "get",
       .path = "/tokenizer_info",
       .summary = "What clients must know of the tokenizer",
       .answer = "TokenizerInfo"},
      {.method = "get",
       .path = "/health",
       .summary = "Whether the server takes requests",
       .is_open = true},
      {.method = "get",
       .path = "/metrics",
       .summary = "Counts and times, as Prometheus reads them",
       .content_type = "text/plain"},
      {.method = "get", .path = "/openapi.json", .summary = "This document", .is_open = true},
      {.method = "get",
       .path = "/",
       .summary = "The page",
       .content_type = "text/html",
       .is_open = true},
      {.method = "get",
       .path = "/page.js",
       .summary = "The page's program",
       .content_type = "text/javascript",
       .is_open = true},
      {.method = "get",
       .path = "/page.css",
       .summary = "The page's looks",
       .content_type = "text/css",
       .is_open = true},
  };
  if (has_slots) {
    paths.push_back({.method = "get",
                     .path = "/slots.json",
                     .summary = "What activates the slots of the memory banks"});
  }
  return paths;
}

}  // namespace

std::string openapi_document(const ServedModel& served, const OpenApiOptions& options) {
  OrderedJson document = {
      {"openapi", "3.1.0"},
      {"info",
       {{"title", "loopbank serve"},
        {"version", options.version},
        {"description",
         "OpenAI's API over a model whose layers loop, with what it did inside. What is no "
         "request of HTTP/1.1, or too slow, gets 400, 408, 413, 414, 417, 431, 501 or 505 in the "
         "form of Error."}}},
      {"servers", OrderedJson::array({{{"url", "/"}}})}};
  auto& paths = document["paths"];
  for (const auto& group : {paths_of_texts(), paths_to_read(options.has_slots)}) {
    for (const auto& path : group) {
      if (path.request == "ChatCompletionRequest" && !served.chat) {
        continue;  // every chat is refused
      }
      paths[path.path][path.method] = operation_of(path, options.asks_for_key);
    }
  }
  document["components"]["schemas"] = openapi_schemas(served);
  if (options.asks_for_key) {
    document["components"]["securitySchemes"]["key"] = {{"type", "http"}, {"scheme", "bearer"}};
  }
  return write_line(document);
}

}  // namespace loopbank

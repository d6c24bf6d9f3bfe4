#include "loopbank/serve/api/openapi.h"

#include <gtest/gtest.h>

#include <functional>
#include <nlohmann/json.hpp>
#include <regex>
#include <set>
#include <string>

#include "loopbank/serve/api/completion_request.h"
#include "tests/serve/small_served_model.h"

namespace loopbank {
namespace {

using Json = nlohmann::json;
using testing::api_error_of_action;
using testing::small_served_model;

ServedModel chatting_model() {
  auto served = small_served_model();
  served.chat = ChatTemplate{.system = "S{content}", .user = "{content}"};
  return served;
}

Json document(const OpenApiOptions& options = {.version = "1"}) {
  return Json::parse(openapi_document(chatting_model(), options));
}

/// Calls `visit` with every object within a value.
void for_each_object(const Json& json, const std::function<void(const Json&)>& visit) {
  if (json.is_object()) {
    visit(json);
  }
  if (json.is_structured()) {
    for (const auto& value : json) {
      for_each_object(value, visit);
    }
  }
}

TEST(OpenApi, EveryReferenceHasItsSchema) {
  const auto json = document();
  std::set<std::string> used;
  for_each_object(json, [&](const Json& object) {
    if (object.contains("$ref")) {
      used.insert(object["$ref"].get<std::string>());
    }
  });
  EXPECT_GE(used.size(), 12U);
  for (const auto& reference : used) {
    ASSERT_TRUE(reference.starts_with("#/")) << reference;
    EXPECT_TRUE(json.contains(Json::json_pointer(reference.substr(1)))) << reference;
  }
}

TEST(OpenApi, HasThePathsOfTheApi) {
  const auto json = document({.version = "1", .has_slots = true});
  std::set<std::string> paths;
  for (const auto& [path, methods] : json["paths"].items()) {
    for (const auto& [method, operation] : methods.items()) {
      paths.insert(method + " " + path);
      EXPECT_TRUE(operation["responses"].contains("200")) << path;
    }
  }
  EXPECT_EQ(paths, (std::set<std::string>{
                       "get /", "get /health", "get /metrics", "get /openapi.json", "get /page.css",
                       "get /page.js", "get /slots.json", "get /tokenizer_info", "get /v1/models",
                       "get /v1/models/{id}", "post /detokenize", "post /tokenize",
                       "post /v1/chat/completions", "post /v1/completions"}));
  EXPECT_FALSE(document()["paths"].contains("/slots.json"));
  const auto without_chat = Json::parse(openapi_document(small_served_model(), {.version = "1"}));
  EXPECT_FALSE(without_chat["paths"].contains("/v1/chat/completions"));
}

TEST(OpenApi, AsksForTheKeyWhereTheServerDoes) {
  const auto with_key = document({.version = "1", .asks_for_key = true})["paths"];
  EXPECT_TRUE(with_key["/v1/completions"]["post"]["responses"].contains("401"));
  EXPECT_TRUE(with_key["/metrics"]["get"].contains("security"));
  EXPECT_FALSE(with_key["/health"]["get"].contains("security"));
  EXPECT_FALSE(document()["paths"]["/metrics"]["get"]["responses"].contains("401"));
}

/// A value that the schema of a field says is taken, and the reader must take.
Json value_of_schema(const Json& schema) {
  if (schema.contains("examples")) {
    return schema["examples"].back();
  }
  if (schema.contains("enum")) {
    return schema["enum"].front();
  }
  if (schema.contains("anyOf")) {
    return schema["anyOf"][0]["type"] == "string" ? Json("x") : Json();
  }
  const auto type = schema["type"].is_array() ? schema["type"][0] : schema["type"];
  if (type == "integer" || type == "number") {
    return schema.value("minimum", Json(1));
  }
  return type == "boolean" ? Json(true) : type == "string" ? Json("x") : Json::object();
}

TEST(OpenApi, EachFieldOfABodyIsReadAsItsSchemaSays) {
  const auto served = chatting_model();
  const auto schemas = document()["components"]["schemas"];
  for (const bool chat : {false, true}) {
    const auto& properties =
        schemas[chat ? "ChatCompletionRequest" : "CompletionRequest"]["properties"];
    EXPECT_GT(properties.size(), 25U);
    const Json least =
        chat ? Json{{"messages", {{{"role", "user"}, {"content", "a"}}}}} : Json{{"prompt", "a"}};
    const auto read = [&](const Json& body) {
      return api_error_of_action([&] {
        const auto text = body.dump();
        (void)requests_of(
            chat ? parse_chat_body(text, served) : parse_completion_body(text, served), served);
      });
    };
    for (const auto& [name, schema] : properties.items()) {
      auto body = least;
      if (!body.contains(name)) {
        body[name] = value_of_schema(schema);
      }
      const auto taken = read(body);
      EXPECT_EQ(taken.status(), 0) << body << ": " << taken.what();
      if (schema.contains("maximum") && schema["maximum"] < 1000000) {
        body[name] = schema["maximum"].get<double>() + 1;
        if (schema["type"][0] == "integer") {
          body[name] = schema["maximum"].get<int64_t>() + 1;
        }
        EXPECT_NE(read(body).status(), 0) << body;
      }
    }
    EXPECT_EQ(read(least).status(), 0);
  }
}

TEST(OpenApi, TheKeysOfABiasAreTheIdsThatThereAre) {
  const auto schema = document()["components"]["schemas"]["CompletionRequest"]["properties"];
  const std::regex pattern(schema["logit_bias"]["propertyNames"]["pattern"].get<std::string>());
  for (int id = 0; id < 3000; ++id) {
    EXPECT_EQ(std::regex_match(std::to_string(id), pattern), id < 257) << id;
  }
  for (const auto* key : {"", "-1", "00", "01", "1.0", "a"}) {
    EXPECT_FALSE(std::regex_match(key, pattern)) << key;
  }
}

TEST(OpenApi, TheExamplesAreTaken) {
  const auto json = document();
  const auto served = small_served_model();
  const auto& examples = json["paths"]["/v1/completions"]["post"]["requestBody"]["content"]
                             ["application/json"]["examples"];
  EXPECT_EQ(examples.size(), 2U);
  for (const auto& example : examples) {
    EXPECT_EQ(parse_completion_body(example["value"].dump(), served).prompts.size(), 1U);
  }
}

}  // namespace
}  // namespace loopbank

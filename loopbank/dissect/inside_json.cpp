/// The inner life of a model as JSON: the "inside" object of docs/formats.md.

#include <cmath>
#include <nlohmann/json.hpp>

#include "loopbank/dissect/inside.h"
#include "loopbank/support/json_members.h"

namespace loopbank {
namespace {

using Json = nlohmann::ordered_json;

const MembersForm kInsideForm = {.expected = "what a model does within",
                                 .remedy = "Remove the file to measure it anew."};

/// Four decimals: a token's figures are read by people, and there are many of them.
double to_four_decimals(double value) {
  constexpr double kScale = 1e4;
  return std::round(value * kScale) / kScale;
}

InsideOfToken to_four_decimals(InsideOfToken token) {
  token.loss = to_four_decimals(token.loss);
  for (auto* values : {&token.expected_loops, &token.local_gate, &token.global_gate}) {
    for (auto& value : *values) {
      value = to_four_decimals(value);
    }
  }
  return token;
}

void class_member(JsonWriter& by, TokenClass token_class) {
  by("name", token_class_name(token_class));
}

void class_member(const JsonReader& by, TokenClass& token_class) {
  std::string name;
  by("name", name);
  for (int64_t i = 0; i < kNumTokenClasses; ++i) {
    if (token_class_name(static_cast<TokenClass>(i)) == name) {
      token_class = static_cast<TokenClass>(i);
      return;
    }
  }
  fail(ErrorCode::kData, "{}: expected a kind of token, got \"{}\".", by.where(), name);
}

/// The tokens one by one, an object of their own.
struct ShownTokens {
  std::vector<InsideOfToken> tokens;
};

}  // namespace

void members(auto& by, Either<GateStatistics> auto& gate) {
  by("mean", gate.mean);
  by("spread", gate.spread);
}

void members(auto& by, Either<InsideOfClass> auto& found) {
  class_member(by, found.token_class);
  by("tokens", found.tokens);
  by("share", found.share);
  by("loss", found.loss);
  by("expected_loops", found.expected_loops);
  by.unless_empty("local_gate", found.local_gate);
  by.unless_empty("global_gate", found.global_gate);
}

void members(auto& by, Either<InsideOfBudget> auto& budget) {
  by("max_loops", budget.max_loops);
  by("loss", budget.loss);
  by("bpb", budget.bpb);
  by("flops_per_token", budget.flops_per_token);
}

void members(auto& by, Either<InsideOfExit> auto& exit) {
  by("exit", exit.exit);
  by("kv", exit.kv);
  by("loss", exit.loss);
  by("bpb", exit.bpb);
  by("loops", exit.loops);
  by("flops_per_token", exit.flops_per_token);
}

void members(auto& by, Either<InsideOfToken> auto& token) {
  by("text", token.text);
  by("loss", token.loss);
  by("expected_loops", token.expected_loops);
  by.unless_empty("local_gate", token.local_gate);
  by.unless_empty("global_gate", token.global_gate);
}

void members(auto& by, Either<ShownTokens> auto& view) {
  by.list("tokens", view.tokens);
}

/// But for the token view.
void members(auto& by, Either<Inside> auto& inside) {
  by("tokens", inside.tokens);
  by("layers", inside.layers);
  by("loops", inside.loops);
  by("expected_loops", inside.expected_loops);
  by("expected_loops_spread", inside.expected_loops_spread);
  by("halting", inside.halting);
  by("loop_scale", inside.loop_scale);
  by("state_norm", inside.state_norm);
  by("state_change", inside.state_change);
  by.object("local_gate", inside.local_gate);
  by.object("global_gate", inside.global_gate);
  by.list("token_classes", inside.token_classes);
  by.list("bpb_by_loops", inside.bpb_by_loops);
  by.object("exit", inside.exit);
}

Json to_json(const Inside& inside) {
  auto json = JsonWriter::write(inside);
  ShownTokens view;
  for (const auto& token : inside.token_view) {
    view.tokens.push_back(to_four_decimals(token));
  }
  json["token_view"] = JsonWriter::write(view);
  return json;
}

Inside inside_from_json(const Json& json, const std::string& where) {
  Inside inside;
  ShownTokens view;
  const JsonReader from(json, where, kInsideForm);
  from.read(inside);
  from.object("token_view", view);
  inside.token_view = std::move(view.tokens);
  if (inside.expected_loops.empty()) {
    fail(ErrorCode::kData, "{}: expected {}, got no \"expected_loops\". {}", where,
         kInsideForm.expected, kInsideForm.remedy);
  }
  return inside;
}

}  // namespace loopbank

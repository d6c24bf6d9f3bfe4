#include "report_sample.h"

#include <fmt/format.h>

#include <array>
#include <cmath>
#include <vector>

namespace loopbank::testing {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kLayers = 4;

/// A fixed number in [-1, 1] for a name.
double noise(const std::string& name) {
  unsigned hash = 2166136261U;
  for (const char c : name) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 16777619U;
  }
  return static_cast<double>(hash % 20011U) / 10005.0 - 1.0;
}

struct Recipe {
  const char* name;
  const char* label;
  const char* group;
  const char* family;
  int layers;
  int loops;
  int local_slots;
  int global_slots;
  double ponder_weight;
  std::array<double, 3> paper;  // CS Acc, CS BPB, Math BPB; 0 outside the paper
};

const std::vector<Recipe> kRecipes = {
    {"isopar", "IsoPar", "paper", "dense", 4, 0, 0, 0, 0, {0.477, 0.859, 2.163}},
    {"loop3", "Loop-3", "paper", "loops", 4, 3, 0, 0, 0, {0.501, 0.813, 1.687}},
    {"loop5", "Loop-5", "paper", "loops", 4, 5, 0, 0, 0, {0.503, 0.823, 1.737}},
    {"loop7", "Loop-7", "paper", "loops", 4, 7, 0, 0, 0, {0.498, 0.832, 1.659}},
    {"isoflop", "IsoFLOP", "paper", "dense", 12, 0, 0, 0, 0, {0.523, 0.780, 1.801}},
    {"isopar-m", "IsoPar-M", "paper", "dense", 4, 0, 0, 0, 0, {0.459, 0.823, 2.108}},
    {"mem-gm3", "Mem (g0=-3)", "paper", "memory", 4, 3, 256, 128, 0, {0.472, 0.810, 1.619}},
    {"mem-g0", "Mem (g0=0)", "paper", "memory", 4, 3, 256, 128, 0, {0.481, 0.810, 1.662}},
    {"mem-g3", "Mem (g0=3)", "paper", "memory", 4, 3, 256, 128, 0, {0.511, 0.794, 1.616}},
    {"isoflop-m", "IsoFLOP-M", "paper", "dense", 12, 0, 0, 0, 0, {0.535, 0.749, 1.761}},
    {"grid-1-0", "1 loop", "grid", "loops", 4, 1, 0, 0, 0, {}},
    {"grid-1-64", "1 loop, 64 + 32", "grid", "memory", 4, 1, 64, 32, 0, {}},
    {"grid-1-256", "1 loop, 256 + 128", "grid", "memory", 4, 1, 256, 128, 0, {}},
    {"grid-3-64", "3 loops, 64 + 32", "grid", "memory", 4, 3, 64, 32, 0, {}},
    {"grid-5-64", "5 loops, 64 + 32", "grid", "memory", 4, 5, 64, 32, 0, {}},
    {"grid-5-256", "5 loops, 256 + 128", "grid", "memory", 4, 5, 256, 128, 0, {}},
    {"ponder-1", "Loop-3, ponder 0.001", "ponder", "loops", 4, 3, 0, 0, 0.001, {}},
    {"ponder-2", "Loop-3, ponder 0.01", "ponder", "loops", 4, 3, 0, 0, 0.01, {}},
    {"ponder-3", "Loop-3, ponder 0.1", "ponder", "loops", 4, 3, 0, 0, 0.1, {}},
};

bool is_deep(const Recipe& recipe) {
  return recipe.layers > kLayers;
}

double slots(const Recipe& recipe) {
  return recipe.local_slots + recipe.global_slots;
}

/// A score that loops, depth and memory improve by made-up amounts.
double score(const Recipe& recipe, const std::string& column, double scale) {
  const double loops = std::log(1.0 + recipe.loops) / (1 + 20 * recipe.ponder_weight);
  const double memory = std::log(1.0 + slots(recipe) / 64.0);
  const double reasoning = 0.30 * loops + 0.03 * memory + (is_deep(recipe) ? 0.30 : 0.0);
  const double knowledge = 0.05 * loops + 0.06 * memory + (is_deep(recipe) ? 0.22 : 0.0);
  const double own = 0.01 * noise(recipe.name + column);
  if (column.ends_with("accuracy")) {
    const double gain = column.starts_with("reasoning") ? reasoning : knowledge;
    return 0.42 + 0.5 * gain + own;
  }
  return column.starts_with("reasoning") || column.starts_with("math")
             ? scale * (2.1 - reasoning + own)
             : scale * (0.92 - knowledge + own);
}

constexpr const char* kBenchmarkColumns = R"([
{"key": "facts_accuracy", "title": "facts accuracy", "kind": "knowledge", "metric": "accuracy",
 "lower_is_better": false, "paper_key": "commonsense_accuracy", "paper_title": "CS Acc", "chance": 0.25},
{"key": "facts_bpb", "title": "facts BPB", "kind": "knowledge", "metric": "bpb",
 "lower_is_better": true, "paper_key": "commonsense_bpb", "paper_title": "CS BPB"},
{"key": "reasoning_bpb", "title": "reasoning BPB", "kind": "reasoning", "metric": "bpb",
 "lower_is_better": true, "paper_key": "math_bpb", "paper_title": "Math BPB"},
{"key": "reasoning_accuracy", "title": "reasoning accuracy", "kind": "reasoning", "metric": "accuracy",
 "lower_is_better": false, "chance": 0.25}])";

constexpr const char* kTextColumns = R"([
{"key": "commonsense_accuracy", "title": "commonsense accuracy", "kind": "knowledge", "metric": "accuracy",
 "lower_is_better": false, "paper_key": "commonsense_accuracy", "paper_title": "CS Acc"},
{"key": "commonsense_bpb", "title": "commonsense BPB", "kind": "knowledge", "metric": "bpb",
 "lower_is_better": true, "paper_key": "commonsense_bpb", "paper_title": "CS BPB"},
{"key": "math_bpb", "title": "math BPB", "kind": "reasoning", "metric": "bpb",
 "lower_is_better": true, "paper_key": "math_bpb", "paper_title": "Math BPB"}])";

Json interval(double difference, double half, double seeds_half) {
  const auto within = [&](double half_width) -> Json {
    return {{"difference", difference},
            {"low", difference - half_width},
            {"high", difference + half_width},
            {"p", std::abs(difference) > half_width ? 0.0004 : 0.31}};
  };
  auto json = within(half);
  json["seeds"] = within(seeds_half);
  return json;
}

Json difficulty(const Recipe& recipe) {
  auto rows = Json::array();
  for (const char* kind : {"sum", "chain", "lookup"}) {
    for (int steps = 1; steps <= 6; ++steps) {
      const double loops = std::log(1.0 + recipe.loops) + (is_deep(recipe) ? 1.2 : 0.0);
      const double ease = std::exp(-steps / (1.4 + 1.6 * loops + 0.2 * noise(kind)));
      rows.push_back({{"kind", kind}, {"difficulty", steps}, {"instances", 40}});
      rows.back()["accuracy"] = 0.25 + 0.72 * ease;
      rows.back()["bpb"] = 3.1 - 2.6 * ease;
    }
  }
  return rows;
}

void add_scores(Json& json, const Recipe& recipe, bool text) {
  for (const auto& column : Json::parse(text ? kTextColumns : kBenchmarkColumns)) {
    const auto key = column["key"].get<std::string>();
    const double value = score(recipe, key, text ? 0.8 : 1.0);
    auto by_seed = Json::array();
    for (int seed = 0; seed < 3; ++seed) {
      by_seed.push_back(value + 0.012 * (seed - 1) +
                        0.004 * noise(recipe.name + key + std::to_string(seed)));
    }
    json["scores"][key] = {
        {"mean", value}, {"spread", 0.012}, {"standard_error", 0.009}, {"by_seed", by_seed}};
    for (const auto& base : {kRecipes[0], kRecipes[4]}) {
      if (std::string(base.name) != recipe.name && std::string(recipe.group) == "paper") {
        json["against"][base.name][key] =
            interval(value - score(base, key, text ? 0.8 : 1.0), 0.02, 0.06);
      }
    }
  }
}

Json system_json(const Recipe& recipe, bool text) {
  const double width = std::string(recipe.name).ends_with("-m") ? 1.4 : 1.0;
  const double parameters = (0.9e6 * recipe.layers / kLayers + 128 * slots(recipe) * 5) * width;
  const double loops = recipe.loops == 0 ? 1 : recipe.loops;
  const double mean = recipe.loops == 0 ? 1.0
                                        : 1 + (loops - 1) * (0.42 + 0.05 * noise(recipe.name)) /
                                                  (1 + 30 * recipe.ponder_weight);
  Json json = {{"name", recipe.name},
               {"label", recipe.label},
               {"group", recipe.group},
               {"family", recipe.family},
               {"layers", recipe.layers},
               {"loops", recipe.loops},
               {"local_slots", recipe.local_slots},
               {"global_slots", recipe.global_slots},
               {"ponder_weight", recipe.ponder_weight},
               {"parameters", parameters},
               {"flops_per_token", 2 * parameters * loops},
               {"training_flops_per_token", 6 * parameters * loops},
               {"expected_flops_per_token", 2 * parameters * mean},
               {"tokens_per_second", 41000 / loops / (is_deep(recipe) ? 3 : 1)},
               {"seconds", 120 * loops},
               {"steps", 2000},
               {"tokens", 4.096e6},
               {"mean_loops", mean},
               {"validation_loss", 1.9 - 0.2 * std::log(loops)},
               {"seeds", {1, 2, 3}}};
  json["mean_loops_spread"] = 0.04;
  add_scores(json, recipe, text);
  if (text) {
    for (const char* task : {"algebra", "counting_and_probability", "geometry", "number_theory",
                             "prealgebra", "precalculus", "arc_easy", "hellaswag"}) {
      const double value = score(recipe, "math_bpb", 0.8) + 0.2 * noise(task);
      json["tasks"].push_back({{"task", task}, {"accuracy", 0.4}, {"bpb", value}});
    }
  } else {
    json["difficulty"] = difficulty(recipe);
  }
  if (recipe.paper[0] > 0) {
    json["paper"] = {{"commonsense_accuracy", recipe.paper[0]},
                     {"commonsense_bpb", recipe.paper[1]},
                     {"math_bpb", recipe.paper[2]}};
  }
  if (std::string(recipe.name) == "isoflop") {
    json["matches"] = {
        {"system", "loop3"}, {"by", "flops"}, {"parameters", 0.81}, {"flops", -0.01}};
  }
  return json;
}

template <typename F>
Json by_layer(F f) {
  auto row = Json::array();
  for (int layer = 0; layer < kLayers; ++layer) {
    row.push_back(f(layer));
  }
  return row;
}

/// f(layer, loop) as [L][num_loops].
template <typename F>
Json by_layer_and_loop(int num_loops, F f) {
  return by_layer([&](int layer) {
    auto row = Json::array();
    for (int loop = 0; loop < num_loops; ++loop) {
      row.push_back(f(layer, loop));
    }
    return row;
  });
}

double loops_of_layer(const Recipe& recipe, int layer) {
  return 1 + (recipe.loops - 1) * (0.15 + 0.17 * layer + 0.03 * noise(recipe.name));
}

Json token_view(const Recipe& recipe) {
  const std::vector<std::string> words = {
      " Mara", " keeps", " 14",    " red",   " boats", " in", " Velor", ".",     "\n",
      " Of",   " these", " she",   " sells", " 5",     ",",   " then",  " buys", " 2",
      " more", ":",      " 14",    " -",     " 5",     " +",  " 2",     " =",    " 11",
      ".",     " Who",   " keeps", " 11",    " boats", "?",   " Mara",  ".",     " </script>"};
  auto tokens = Json::array();
  for (int i = 0; i < 250; ++i) {
    const auto& word = words[static_cast<size_t>(i) % words.size()];
    const double odd = 0.5 + 0.5 * noise(word + std::to_string(i));
    Json token = {{"text", word}, {"loss", 3.5 * odd * odd}};
    token["expected_loops"] =
        by_layer([&](int layer) { return 1 + (loops_of_layer(recipe, layer) - 1) * (0.5 + odd); });
    if (slots(recipe) > 0) {
      token["local_gate"] = by_layer([&](int layer) { return 0.1 + 0.1 * layer + 0.3 * odd; });
      token["global_gate"] = by_layer([&](int layer) { return 0.2 + 0.05 * layer + 0.1 * odd; });
    }
    tokens.push_back(token);
  }
  return {{"tokens", tokens}};
}

Json token_classes(const Recipe& recipe) {
  auto classes = Json::array();
  double lift = 0.30;
  for (const char* name :
       {"digits", "names", "function words", "punctuation", "other words", "other"}) {
    Json row = {{"name", name}, {"tokens", 2000}, {"share", 0.16}, {"loss", 1.5}};
    row["expected_loops"] =
        by_layer([&](int layer) { return loops_of_layer(recipe, layer) + lift; });
    if (slots(recipe) > 0) {
      row["local_gate"] = by_layer([&](int layer) { return 0.2 + 0.1 * layer + 0.3 * lift; });
      row["global_gate"] = by_layer([&](int layer) { return 0.25 + 0.02 * layer + 0.1 * lift; });
    }
    classes.push_back(row);
    lift -= 0.09;
  }
  return classes;
}

Json inside(const Recipe& recipe) {
  const int loops = recipe.loops;
  Json json = {{"tokens", 16384}, {"layers", kLayers}, {"loops", loops}};
  json["expected_loops"] = by_layer([&](int layer) { return loops_of_layer(recipe, layer); });
  json["expected_loops_spread"] = by_layer([](int layer) { return 0.2 + 0.1 * layer; });
  json["halting"] = by_layer_and_loop(loops, [&](int layer, int loop) {
    const double stop = 0.7 - 0.14 * layer;
    return loop + 1 < loops ? stop * std::pow(1 - stop, loop) : std::pow(1 - stop, loop);
  });
  json["loop_scale"] =
      by_layer_and_loop(loops, [](int layer, int loop) { return 1.0 / (1 + loop) + 0.1 * layer; });
  json["state_norm"] = by_layer_and_loop(
      loops + 1, [](int layer, int loop) { return 0.4 + 0.6 * layer + 0.3 * std::sqrt(loop); });
  json["state_change"] = by_layer_and_loop(
      loops, [](int layer, int loop) { return (0.9 - 0.1 * layer) / (1 + 1.5 * loop); });
  if (slots(recipe) > 0) {
    const auto gate = [&](double base, double rise) {
      return Json{{"mean", by_layer_and_loop(loops,
                                             [&](int layer, int loop) {
                                               return base + rise * layer + 0.03 * loop;
                                             })},
                  {"spread", by_layer_and_loop(loops, [](int, int) { return 0.08; })}};
    };
    json["local_gate"] = gate(0.22, 0.1);
    json["global_gate"] = gate(0.26, 0.015);
  }
  json["token_classes"] = token_classes(recipe);
  for (int most = 1; most <= loops; ++most) {
    const double bpb = 0.8 + 0.5 / most + 0.02 * noise(recipe.name);
    json["bpb_by_loops"].push_back(
        {{"max_loops", most}, {"loss", 2 * bpb}, {"bpb", bpb}, {"flops_per_token", 1e6 * most}});
  }
  json["token_view"] = token_view(recipe);
  return json;
}

Json curve(const Recipe& recipe, int seed) {
  Json json = {{"seed", seed}};
  for (int step = 100; step <= 2000; step += 100) {
    const double loss = 1.4 + 4.2 * std::exp(-step / 420.0) - 0.08 * recipe.loops +
                        0.01 * noise(recipe.name + std::to_string(step + seed));
    const double grown = 1 / (1 + std::exp(4.0 * (loss - 2.6)));
    json["step"].push_back(step);
    json["validation_loss"].push_back(loss);
    json["validation_bpb"].push_back(loss / 2.2);
    json["mean_loops"].push_back(recipe.loops == 0 ? 1 : 1 + 0.5 * (recipe.loops - 1) * grown);
    if (recipe.loops > 0) {
      json["loops_by_layer"].push_back(
          by_layer([&](int layer) { return 1 + (loops_of_layer(recipe, layer) - 1) * grown; }));
    }
    if (slots(recipe) > 0) {
      json["local_gates"].push_back(by_layer([&](int layer) { return 0.2 + 0.1 * layer * grown; }));
    }
  }
  return json;
}

Json claim(int question, const char* text, const char* column, const char* better,
           const char* worse, double ours, double paper) {
  return {{"question", question}, {"text", text}, {"column", column}, {"better", better},
          {"worse", worse},       {"ours", ours}, {"paper", paper}};
}

Json part(const char* name, const char* title, bool text) {
  Json json = {{"name", name},
               {"title", title},
               {"seeds", {1, 2, 3}},
               {"data", {{"recipe", "</script><b>"}, {"documents", 12000}, {"tokens", 1500000}}},
               {"settings", "[model]\nvocab_size = 1024\n\n[training]\nsteps = 2000\n"},
               {"columns", Json::parse(text ? kTextColumns : kBenchmarkColumns)}};
  for (const auto& recipe : kRecipes) {
    json["systems"].push_back(system_json(recipe, text));
    for (int seed = 1; seed <= 3; ++seed) {
      json["curves"][recipe.name].push_back(curve(recipe, seed));
    }
    if (recipe.loops > 0 && std::string(recipe.group) != "ponder") {
      json["inside"][recipe.name] = inside(recipe);
      json["exits"][recipe.name] = sample_exits(3);
    }
  }
  const char* reasoning = text ? "math_bpb" : "reasoning_bpb";
  const char* knowledge = text ? "commonsense_bpb" : "facts_bpb";
  json["claims"] = {
      claim(1, "Loops beat the plain model", reasoning, "loop3", "isopar", -0.19, -0.22),
      claim(1, "Loops beat the deeper model", reasoning, "loop3", "isoflop", 0.03, -0.063),
      claim(2, "The deeper model knows more", knowledge, "isoflop", "loop3", -0.2, -0.04),
      claim(2, "Memory gives loops knowledge", knowledge, "mem-g3", "loop3", -0.13, -0.023),
      claim(2, "Memory beats the wider model", knowledge, "mem-g3", "isopar-m", 0.06, -0.035)};
  for (const auto& one : json["claims"]) {
    for (auto& system : json["systems"]) {
      if (system["name"] == one["better"]) {
        system["against"][one["worse"].get<std::string>()].emplace(
            one["column"].get<std::string>(), interval(one["ours"], 0.04, 0.04));
      }
    }
  }
  return json;
}

}  // namespace

Json results_without_curves_of_scores() {
  Json json = {{"scale", "small"},
               {"title", "Think harder or know more?"},
               {"command", "loopbank study --scale small --out runs/small"},
               {"machine", "Intel Xeon, 2 cores"},
               {"date", "2026-11-25"},
               {"threads", 1},
               {"finished", true}};
  json["parts"] = {part("benchmark", "Embedded benchmark", false),
                   part("text", "Web text and OLMES tasks", true)};
  json["systems"] = json["parts"][0]["systems"];
  return json;
}

Json poor_results() {
  auto json = results_without_curves_of_scores();
  json["finished"] = false;
  json["parts"].erase(1);
  auto& only = json["parts"][0];
  only["seeds"] = {1};
  for (const char* key : {"claims", "curves", "inside", "exits"}) {
    only.erase(key);
  }
  only["systems"] = {only["systems"][0], only["systems"][5]};
  for (auto& system : only["systems"]) {
    system["seeds"] = {1};
    system.erase("against");
    system.erase("difficulty");
    for (auto& [key, value] : system["scores"].items()) {
      value.erase("spread");
      value["by_seed"] = {value["mean"]};
    }
  }
  return json;
}

}  // namespace loopbank::testing

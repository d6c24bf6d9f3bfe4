#include <fmt/format.h>

#include <cmath>
#include <string>
#include <vector>

#include "report_sample.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kBpbOfAll = 0.8;

Json interval_of(double difference, double half) {
  return {{"difference", difference},
          {"low", difference - half},
          {"high", difference + half},
          {"p", std::abs(difference) > half ? 0.001 : 0.4}};
}

/// A difference with its intervals over rows and, from two on, over seeds.
Json compared(double difference, double half, int num_seeds) {
  auto json = interval_of(difference, half);
  if (num_seeds > 1) {
    json["seeds"] = interval_of(difference, 1.5 * half);
  }
  return json;
}

struct SampleRule {
  const char* name;
  double saved;  // of the FLOPs
  double rise;   // of bits per byte, a share
};

Json result_of(const SampleRule& rule, const char* where, const char* kv, double rise,
               int num_seeds) {
  Json json = {{"name", rule.name},
               {"kv", kv},
               {"where", where},
               {"mean_loops", 3 - 2 * rule.saved},
               {"flops_per_token", 1e6 * (1 - rule.saved)},
               {"bpb", kBpbOfAll * (1 + rise)},
               {"bpb_of_all", kBpbOfAll},
               {"bpb_difference", compared(kBpbOfAll * rise, 0.0002, num_seeds)}};
  for (int seed = 0; seed < num_seeds; ++seed) {
    json["rules"].push_back(fmt::format("{}:{}", std::string(rule.name).substr(0, 3), seed));
    json["flops_saved_share_by_seed"].push_back(rule.saved + 0.01 * (rule.saved > 0 ? seed : 0));
    if (std::string(kv) == "full") {
      const double share = std::string(where) == "decode" ? 0.5 : 0.9;
      json["time_saved_share_by_seed"].push_back(share * rule.saved +
                                                 0.01 * (rule.saved > 0 ? seed : 0));
    }
  }
  return json;
}

}  // namespace

Json sample_exits(int num_seeds) {
  const std::vector<SampleRule> rules = {{"all", 0, 0},
                                         {"budget 2", 0.1, 0.0},
                                         {"budget 1", 0.6, 0.04},
                                         {"cdf 3/4", 0.2, 5e-4},
                                         {"cdf 1/2", 0.4, 0.004},
                                         {"cdf 1/4", 0.5, 0.02},
                                         {"change 3/4", 0.2, 2e-3},
                                         {"change 1/2", 0.4, 0.01},
                                         {"change 1/4", 0.5, 0.03}};
  Json json = {{"rows", 12}, {"scored_tokens", 1024}};
  for (int seed = 1; seed <= num_seeds; ++seed) {
    json["seeds"].push_back(seed);
    json["chosen"].push_back(
        {{"rule", "cdf:0.9"}, {"flops_saved_share", 0.4}, {"time_saved_share", 0.36}});
  }
  for (const char* where : {"decode", "scoring"}) {
    for (const auto& rule : rules) {
      json["results"].push_back(result_of(rule, where, "full", rule.rise, num_seeds));
    }
  }
  for (const char* where : {"decode", "everywhere"}) {
    for (const char* kv : {"copy", "first"}) {
      const double more = std::string(kv) == "copy" ? 0.001 : 0.02;
      json["results"].push_back(result_of(rules[4], where, kv, rules[4].rise + more, num_seeds));
    }
  }
  for (const char* where : {"scoring", "decode"}) {
    for (const char* share : {"3/4", "1/2"}) {
      json["gate"].push_back({{"gate", fmt::format("cdf {}", share)},
                              {"without", fmt::format("change {}", share)},
                              {"where", where},
                              {"flops_per_token", 8e5},
                              {"flops_per_token_without", 8.1e5},
                              {"bpb", 0.803},
                              {"bpb_without", 0.806},
                              {"bpb_difference", compared(-0.003, 0.001, num_seeds)}});
    }
  }
  for (const char* column : {"facts_bpb", "reasoning_bpb"}) {
    json["questions"][column] = compared(0.004, 0.002, num_seeds);
    json["questions"][column]["value"] = 0.804;
    json["questions"][column]["value_of_all"] = 0.8;
  }
  return json;
}

}  // namespace loopbank::testing

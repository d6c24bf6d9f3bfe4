/// Looks inside a model on a device that is no CPU (tests/device/stand_in_device.h).

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "inside_case.h"
#include "loopbank/dissect/memory_inspector.h"
#include "loopbank/dissect/memory_report.h"
#include "loopbank/dissect/probe.h"
#include "memory_model.h"
#include "tests/device/model_on_device.h"
#include "tests/device/stand_in_device.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

ModelConfig looked_into() {
  ModelConfig config;
  config.vocab_size = 61;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 2;
  config.max_position_embeddings = 12;
  config.max_loops = 3;
  config.local_memory_slots = 4;
  config.global_memory_slots = 2;
  return config;
}

TEST(ProbeOnAnotherDevice, GivesTheValuesOfTheCpu) {
  LanguageModel here(looked_into());
  LanguageModel there(looked_into(), testing::stand_in_device());
  here.parameters().initialize(9);
  there.parameters().initialize(9);
  const auto tokens = at::arange(20).view({2, 10});
  const ProbeOptions options{.gradients = true};
  const auto expected = probe(here, tokens, options);
  const auto named = probe(there, tokens, options);
  const std::map<std::string, at::Tensor> values(named.begin(), named.end());
  ASSERT_EQ(values.size(), expected.size());
  for (const auto& [name, tensor] : expected) {
    const auto off = (values.at(name) - tensor).abs().max().item<double>();
    EXPECT_LE(off, 1e-5 * std::max(1.0, tensor.abs().max().item<double>())) << name;
  }
}

/// The first place where two reports differ by more than rounding; empty where they do not.
std::string first_difference(const nlohmann::json& a, const nlohmann::json& b,
                             const std::string& place = "") {
  if (a.is_number() && b.is_number()) {
    const auto expected = b.get<double>();
    const bool near =
        std::abs(a.get<double>() - expected) <= 1e-4 * std::max(1.0, std::abs(expected));
    return near ? "" : place + ": " + a.dump() + " and " + b.dump();
  }
  if (a.type() != b.type() || a.size() != b.size()) {
    return place + ": of other kinds or sizes";
  }
  if (!a.is_structured()) {
    return a == b ? "" : place + ": " + a.dump() + " and " + b.dump();
  }
  for (const auto& [key, value] : a.items()) {
    const auto& other = b.is_array() ? b[std::stoul(key)] : b.value(key, nlohmann::json());
    if (auto found = first_difference(value, other, place + "/" + key); !found.empty()) {
      return found;
    }
  }
  return "";
}

TEST(InsideOnAnotherDevice, GivesTheValuesOfTheCpu) {
  const auto here = testing::model_of({2, 0, 3}, 4, 2);
  const auto there = testing::on_device(here, testing::stand_in_device());
  const auto rows = testing::some_rows();
  EXPECT_EQ(first_difference(nlohmann::json(to_json(testing::measured(there, rows))),
                             nlohmann::json(to_json(testing::measured(here, rows)))),
            "");
}

TEST(InspectOnAnotherDevice, GivesTheReportOfTheCpu) {
  const testing::TestDirectory directory;
  const auto text = directory.write("t.txt", "abcdabcdabcdabcdbb");
  const auto model = testing::letter_model(50.0, 2);
  InferenceModel here{.model = testing::on_device(model, at::kCPU),
                      .tokenizer = Tokenizer::bytes()};
  InferenceModel there{.model = testing::on_device(model, testing::stand_in_device()),
                       .tokenizer = Tokenizer::bytes()};
  const InspectOptions options{.num_slots = 2};
  EXPECT_EQ(first_difference(nlohmann::json(to_json(inspect_memory(there, text, options))),
                             nlohmann::json(to_json(inspect_memory(here, text, options)))),
            "");
}

}  // namespace
}  // namespace loopbank

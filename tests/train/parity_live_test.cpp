/// Our model against the PyTorch twin on configs that the golden files leave out: the twin runs
/// during the test, where LOOPBANK_PYTHON has PyTorch (Debian: python3-torch).

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

#include "../support/test_directory.h"
#include "parity_case.h"

namespace loopbank::testing {
namespace {

using Json = nlohmann::json;

constexpr const char* kPython = LOOPBANK_PYTHON;

/// A layer of one loop behind a scale of 0.0009 has gradients that are small differences of large
/// sums: they keep a digit less than those of the ten systems. That of its loop_scale is off the
/// twin's in fp64 by 1.1e-4 in PyTorch 1.13, 3.6e-4 in 2.6 and 2.5e-4 in ours on LibTorch 2.6.
/// AdamW's first steps, which divide by the root of such gradients, carry that into weights and
/// losses (measured: 3.6e-3, 1.4e-5).
constexpr ParityTolerance kOddCaseTolerance{.logits = 1e-5,
                                            .loss = 1e-5,
                                            .gradients = 1e-3,
                                            .losses = 3e-5,
                                            .trained = 6e-3,
                                            .zero_gradient = 1e-6};

int run_python(const std::string& arguments) {
  // PyTorch 1.13 fails in bf16 where oneDNN is kept from it: the limit is for loopbank alone.
  constexpr const char* kEnvironment = "env -u ONEDNN_MAX_CPU_ISA PYTHONDONTWRITEBYTECODE=1";
  return std::system(fmt::format("{} {} {}", kEnvironment, kPython, arguments).c_str());
}

Json small_config() {
  return {{"model_type", "loopbank"},      {"vocab_size", 37},       {"hidden_size", 24},
          {"intermediate_size", 20},       {"num_hidden_layers", 3}, {"num_attention_heads", 6},
          {"max_position_embeddings", 11}, {"ponder_weight", 0.3},   {"rope_theta", 100.0},
          {"rms_norm_eps", 1e-3}};
}

Json with(Json config, const Json& changes) {
  config.update(changes);
  return config;
}

/// Odd sizes and every option that the ten systems do not use.
Json odd_cases() {
  const auto small = small_config();
  const Json grouped = {{"num_key_value_heads", 2}, {"tie_word_embeddings", true}};
  const Json banks = {{"local_memory_slots", 5}, {"global_memory_slots", 3}};
  return {{{"path", "everything"},
           {"config_json", with(with(with(small, grouped), banks),
                                {{"max_loops", {2, 4, 1}}, {"first_loop_scale_init", 0.5413}})}},
          {{"path", "budget"},
           {"config_json", with(with(small, banks), {{"max_loops", 4}})},
           {"max_loops", 2}},
          {{"path", "ponder-warmup"},
           {"config_json", with(small, {{"max_loops", 4}, {"router_bias_init", -1.5}})},
           {"ponder_warmup_fraction", 0.6}},
          {{"path", "dense-layers-between"},
           {"config_json", with(with(small, banks), {{"max_loops", {0, 3, 0}},
                                                     {"depth_scale", "inverse_sqrt"},
                                                     {"num_key_value_heads", 1}})}},
          {{"path", "dense"},
           {"config_json", with(with(small, grouped), {{"depth_scale", "inverse"}})}},
          {{"path", "local-bank-only"},
           {"config_json", with(small, {{"max_loops", 2}, {"local_memory_slots", 1}})}},
          {{"path", "global-bank-only"},
           {"config_json", with(small, {{"max_loops", 2}, {"global_memory_slots", 7}})}}};
}

TEST(ParityLive, OptionsAndOddSizesThatTheTenSystemsLeaveOut) {
  if (run_python("-c 'import torch' 2>/dev/null") != 0) {
    GTEST_SKIP() << kPython << " has no torch (Debian: python3-torch)";
  }
  const TestDirectory directory;
  auto cases = odd_cases();
  int seed = 4321;
  for (auto& one : cases) {
    one["path"] = (directory.path() / (one["path"].get<std::string>() + ".safetensors")).string();
    one["seed"] = seed++;
    one["batch"] = 3;
    one["num_tokens"] = 11;
  }
  const auto file = directory.write("cases.json", cases.dump());
  ASSERT_EQ(
      run_python(fmt::format("{}/reference/make_case.py {}", LOOPBANK_SOURCE_DIR, file.string())),
      0);
  for (const auto& one : cases) {
    const auto twin = read_parity_case(one["path"].get<std::string>());
    SCOPED_TRACE(twin.name);
    expect_same_outputs(twin, at::kFloat, kOddCaseTolerance);
    expect_same_training(twin, at::kFloat, kOddCaseTolerance);
  }
}

}  // namespace
}  // namespace loopbank::testing

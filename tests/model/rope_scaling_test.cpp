/// Scaled rotary angles against what transformers 4.57.6 computes for the same settings
/// (modeling_rope_utils, in fp32), and the settings themselves.

#include "loopbank/model/rope_scaling.h"

#include <ATen/core/Tensor.h>
#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>
#include <vector>

#include "loopbank/support/error.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;

/// The frequencies come from fp32.
constexpr double kFromFp32 = 3e-7;

ModelConfig scaled_config(int64_t head_dim, double theta, int64_t positions, RopeScaling scaling) {
  ModelConfig config;
  config.head_dim = head_dim;
  config.rope_theta = theta;
  config.max_position_embeddings = positions;
  config.rope_scaling = std::move(scaling);
  config.validate();
  return config;
}

void expect_frequencies(const ModelConfig& config, const std::vector<double>& expected,
                        double amplitude) {
  const auto frequencies = rotary_frequencies(config, at::kCPU);
  ASSERT_EQ(frequencies.radians.size(0), std::ssize(expected));
  for (size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(frequencies.radians.data_ptr<double>()[i] / expected[i], 1.0, kFromFp32) << i;
  }
  EXPECT_NEAR(frequencies.amplitude, amplitude, 1e-12);
}

TEST(RopeScaling, LinearDividesEveryFrequency) {
  expect_frequencies(scaled_config(16, 10000.0, 2048, {.rope_type = "linear", .factor = 4.0}),
                     {0.25, 0.079056941, 0.0250000004, 0.00790569466, 0.00249999994, 0.000790569466,
                      0.000250000012, 7.90569466e-05},
                     1.0);
}

TEST(RopeScaling, Llama3KeepsHighFrequenciesAndDividesLowOnes) {
  // Llama 3.2 1B.
  expect_frequencies(scaled_config(64, 500000.0, 131072,
                                   {.rope_type = "llama3",
                                    .factor = 32.0,
                                    .low_freq_factor = 1.0,
                                    .high_freq_factor = 4.0,
                                    .original_max_position_embeddings = 8192}),
                     {1.0,
                      0.663601279,
                      0.440366626,
                      0.292227834,
                      0.193922758,
                      0.128687382,
                      0.0853971019,
                      0.0566696189,
                      0.0376060307,
                      0.0249554086,
                      0.0165604409,
                      0.0109895291,
                      0.00729266508,
                      0.00483942125,
                      0.00321144611,
                      0.00129054801,
                      0.000429556705,
                      9.70828623e-05,
                      1.94616387e-05,
                      1.29147675e-05,
                      8.57025589e-06,
                      5.68723226e-06,
                      3.77405445e-06,
                      2.50446715e-06,
                      1.66196742e-06,
                      1.10288363e-06,
                      7.31874934e-07,
                      4.85673127e-07,
                      3.22293289e-07,
                      2.1387423e-07,
                      1.41927202e-07,
                      9.41830649e-08},
                     1.0);
  expect_frequencies(
      scaled_config(16, 10000.0, 131072,
                    {.rope_type = "llama3", .factor = 8.0, .original_max_position_embeddings = 64}),
      {1.0, 0.244384587, 0.0130422562, 0.00395284733, 0.00124999997, 0.000395284733, 0.000125000006,
       3.95284733e-05},
      1.0);
}

TEST(RopeScaling, YarnMixesByThePairAndMakesThemLonger) {
  expect_frequencies(
      scaled_config(32, 10000.0, 2048,
                    {.rope_type = "yarn", .factor = 4.0, .original_max_position_embeddings = 512}),
      {1.0, 0.562341332, 0.282346219, 0.139721945, 0.0678571388, 0.0321337879, 0.0146820042,
       0.00635099784, 0.00249999994, 0.00140585331, 0.000790569466, 0.000444569858, 0.000250000012,
       0.000140585325, 7.90569466e-05, 4.44569851e-05},
      1.138629436111989);
  // Without the original length that of the model.
  expect_frequencies(
      scaled_config(32, 10000.0, 2048, {.rope_type = "yarn", .factor = 4.0}),
      {1.0, 0.562341332, 0.316227764, 0.177827939, 0.100000001, 0.0502090417, 0.02484647,
       0.0120668961, 0.00571428565, 0.0026108704, 0.00112938497, 0.000444569858, 0.000250000012,
       0.000140585325, 7.90569466e-05, 4.44569851e-05},
      1.138629436111989);
  const auto attention = scaled_config(16, 10000.0, 2048,
                                       {.rope_type = "yarn",
                                        .factor = 8.0,
                                        .original_max_position_embeddings = 128,
                                        .attention_factor = 1.5});
  expect_frequencies(attention,
                     {1.0, 0.223994657, 0.0416666642, 0.00395284733, 0.00124999997, 0.000395284733,
                      0.000125000006, 3.95284733e-05},
                     1.5);
  const auto table = ops::rotary_table(2, 1, rotary_frequencies(attention, at::kCPU));
  EXPECT_NEAR(table.cosines[0][0].item<double>(), 1.5 * std::cos(2.0), 2e-7);
  EXPECT_NEAR(table.sines[0][1].item<double>(), 1.5 * std::sin(2.0 * 0.223994657), 2e-7);
}

TEST(RopeScaling, YarnTakesScalesOfTheLengthAndBordersBetweenPairs) {
  expect_frequencies(
      scaled_config(32, 10000.0, 2048,
                    {.rope_type = "yarn",
                     .factor = 40.0,
                     .original_max_position_embeddings = 4096,
                     .mscale = 1.0,
                     .mscale_all_dim = 0.707}),
      {1.0, 0.562341332, 0.316227764, 0.177827939, 0.100000001, 0.0562341288, 0.0272181761,
       0.0128290169, 0.00582142826, 0.00249036867, 0.000959977158, 0.000292145909, 2.49999994e-05,
       1.40585325e-05, 7.90569447e-06, 4.44569832e-06},
      1.0857263992561355);
  // gpt-oss.
  expect_frequencies(
      scaled_config(32, 150000.0, 131072,
                    {.rope_type = "yarn",
                     .factor = 32.0,
                     .original_max_position_embeddings = 4096,
                     .truncate = false}),
      {1.0, 0.47478205, 0.225418001, 0.107024416, 0.0508132726, 0.0193350017, 0.00679495931,
       0.00209379266, 0.000456483918, 3.83088118e-05, 1.8188337e-05, 8.63549576e-06, 4.09997847e-06,
       1.94659629e-06, 9.24208962e-07, 4.38797855e-07},
      1.3465735902799727);
}

TEST(RopeScaling, ConfigJsonHoldsTheKeysOfItsType) {
  const auto yarn = scaled_config(
      32, 10000.0, 2048,
      {.rope_type = "yarn", .factor = 4.0, .original_max_position_embeddings = 512, .mscale = 0.5});
  const auto json = to_json(yarn);
  EXPECT_EQ(json.at("rope_scaling").dump(),
            R"({"rope_type":"yarn","factor":4.0,"original_max_position_embeddings":512,)"
            R"("beta_fast":32.0,"beta_slow":1.0,"mscale":0.5,"truncate":true})");
  EXPECT_EQ(config_from_json(nlohmann::json::parse(json.dump()), "here"), yarn);
  EXPECT_FALSE(to_json(ModelConfig()).contains("rope_scaling"));
}

ModelConfig with_scaling(const std::string& key, const std::string& scaling) {
  return config_from_json(
      nlohmann::json::parse(R"({"model_type": "loopbank", ")" + key + "\": " + scaling + "}"),
      "config.json");
}

TEST(RopeScaling, IsReadAsTransformersWritesIt) {
  const auto linear = with_scaling("rope_scaling", R"({"rope_type": "linear", "factor": 2})");
  EXPECT_EQ(linear.rope_scaling, (RopeScaling{.rope_type = "linear", .factor = 2.0}));
  // Before 4.43; with both keys, as some versions write; and since 5.
  EXPECT_EQ(with_scaling("rope_scaling", R"({"type": "linear", "factor": 2.0})"), linear);
  EXPECT_EQ(with_scaling("rope_scaling", R"({"type": "x", "rope_type": "linear", "factor": 2.0})"),
            linear);
  const auto five = with_scaling("rope_parameters",
                                 R"({"rope_type": "linear", "factor": 2.0, "rope_theta": 1234.0})");
  EXPECT_EQ(five.rope_scaling, linear.rope_scaling);
  EXPECT_EQ(five.rope_theta, 1234.0);
  EXPECT_EQ(with_scaling("rope_scaling", "null"),
            with_scaling("rope_parameters", R"({"rope_type": "default"})"));
}

TEST(RopeScaling, MistakesAreNamed) {
  const auto error = [](const std::string& scaling) {
    return error_of(ErrorCode::kConfig, [&] { (void)with_scaling("rope_scaling", scaling); });
  };
  EXPECT_EQ(error(R"({"rope_type": "linear", "factr": 2.0})"),
            "config.json: rope_scaling: unknown key \"factr\". Did you mean \"factor\"?");
  expect_contains(error(R"({"rope_type": "longrope", "factor": 2.0})"), "\"longrope\"");
  expect_contains(error(R"({"rope_type": "linear", "factor": 0.5})"), "got 0.5. Nearest: 1");
  expect_contains(error("[1]"), "rope_scaling: expected a JSON object, got array.");
  EXPECT_EQ(error(R"({"rope_type": "linear", "factor": 2.0, "beta_fast": 20.0})"),
            "config.json: model.rope_scaling: \"beta_fast\" expects its default, 32.0, where "
            "\"rope_type\" is \"linear\", which does not read it, got 20.0.");
  expect_contains(error(R"({"rope_type": "default", "factor": 2.0})"), "\"factor\"");
  expect_contains(error(R"({"rope_type": "llama3", "factor": 2.0})"),
                  "\"original_max_position_embeddings\" expects a whole number above 0");
  expect_contains(error(R"({"rope_type": "llama3", "original_max_position_embeddings": 8,
                "low_freq_factor": 4.0})"),
                  "\"high_freq_factor\" expects more than \"low_freq_factor\" 4, got 4.");
  expect_contains(error(R"({"rope_type": "yarn", "beta_slow": 40.0})"),
                  "\"beta_fast\" expects at least \"beta_slow\" 40, got 32.");
}

}  // namespace
}  // namespace loopbank

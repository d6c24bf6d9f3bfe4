#include "loopbank/model/training_memory.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

namespace loopbank {
namespace {

ModelConfig paper(int64_t layers, int64_t width, int64_t loops, bool memory) {
  ModelConfig config;  // V 50304, D 768, H 12 are the defaults
  config.num_hidden_layers = layers;
  config.intermediate_size = width;
  config.max_loops = loops;
  config.local_memory_slots = memory ? 1024 : 0;
  config.global_memory_slots = memory ? 512 : 0;
  return config;
}

std::map<std::string, double> by_name(const CostByPart& cost) {
  return {cost.parts.begin(), cost.parts.end()};
}

TEST(TrainingMemory, ExactPartsFollowFromTheParameters) {
  const auto config = paper(12, 2048, 3, false);
  const double parameters = model_cost(config, 64).parameters.total();
  const auto full = by_name(training_memory(config, {.sequences = 2, .sequence_length = 64}));
  EXPECT_EQ(full.at("weights"), 4 * parameters);
  EXPECT_EQ(full.at("low_precision_weights"), 0);
  EXPECT_EQ(full.at("optimizer"), 8 * parameters);
  EXPECT_FALSE(full.contains("buckets"));
  const auto half = by_name(
      training_memory(config, {.sequences = 2, .sequence_length = 64, .low_precision = true}));
  EXPECT_EQ(half.at("low_precision_weights"), 2 * parameters);
}

TEST(TrainingMemory, RanksShareTheMomentsAndHoldTheGradientsThatTheyExchange) {
  const auto config = paper(12, 2048, 3, true);
  const double parameters = model_cost(config, 64).parameters.total();
  const auto memory = [&](int64_t ranks, bool shards) {
    return training_memory(config, {.sequences = 1,
                                    .sequence_length = 4096,
                                    .low_precision = true,
                                    .ranks = ranks,
                                    .shards_optimizer = shards});
  };
  EXPECT_EQ(by_name(memory(8, true)).at("optimizer"), parameters);
  EXPECT_EQ(by_name(memory(8, false)).at("optimizer"), 8 * parameters);
  EXPECT_EQ(by_name(memory(8, true)).at("buckets"), 8 * parameters);
  EXPECT_NEAR(memory(8, false).total() - memory(8, true).total(), 7 * parameters, 1.0);
}

TEST(TrainingMemory, AGpuKeepsNeitherWeightsOfAttentionNorAllLogits) {
  // Linear in T: twice the tokens keep twice as much, and not four times.
  const auto activations = [](int64_t length) {
    return by_name(
        training_memory(paper(12, 2048, 0, false),
                        {.sequences = 1, .sequence_length = length, .low_precision = true}));
  };
  EXPECT_EQ(activations(16384).at("activations"), 2 * activations(8192).at("activations"));
  EXPECT_EQ(activations(16384).at("logits"), activations(8192).at("logits"));
}

TEST(TrainingMemory, ActivationsGrowWithLoopsAndLinearlyWithSequences) {
  // Of as many tokens that the peak is in the backward pass.
  const auto activations = [](int64_t loops, int64_t sequences) {
    return by_name(training_memory(paper(12, 2048, loops, true),
                                   {.sequences = sequences, .sequence_length = 4096}))
        .at("activations");
  };
  EXPECT_EQ(activations(3, 4), 4 * activations(3, 1));
  EXPECT_GT(activations(3, 1), 2.5 * activations(1, 1));
}

TEST(TrainingMemory, FusedOpsKeepLessAndWhatIsComputedAgainIsNotKept) {
  const auto activations = [](bool fused, Recompute recompute) {
    return by_name(training_memory(paper(12, 2048, 3, true), {.sequences = 32,
                                                              .sequence_length = 512,
                                                              .low_precision = true,
                                                              .fused = fused,
                                                              .recompute = recompute}))
        .at("activations");
  };
  const double all = activations(true, Recompute::kNone);
  EXPECT_LT(all, activations(false, Recompute::kNone));
  // 36 states of 768 in fp32 and the values of one loop; 12 states and those of three loops.
  EXPECT_LT(activations(true, Recompute::kLoop), all / 5);
  EXPECT_LT(activations(true, Recompute::kLayer), all / 5);
  EXPECT_GT(activations(true, Recompute::kLoop), 36.0 * 4 * 768 * 32 * 512);
}

TEST(TrainingMemory, ThePeakIsAMomentAndNotTheSumOfAll) {
  const auto dense = paper(12, 2048, 0, false);
  const double parameters = model_cost(dense, 512).parameters.total();
  const auto parts = [&](int64_t sequences, bool accumulates) {
    return by_name(training_memory(dense, {.sequences = sequences,
                                           .sequence_length = 512,
                                           .low_precision = true,
                                           .fused = true,
                                           .accumulates = accumulates}));
  };
  // Few tokens: all gradients, when the weights take their step. Many: the start of the backward
  // pass, when there is the head's gradient and that of the last layer.
  const auto few = parts(1, false);
  const double rows = 2 * 512.0 - 50304;  // of the embedding: those of the batch, twice
  EXPECT_EQ(few.at("gradients"), 4 * (parameters + rows * 768));
  const auto many = parts(64, false);
  EXPECT_LT(many.at("gradients"), 0.5 * 4 * parameters);
  EXPECT_GT(many.at("activations"), 0.5 * many.at("weights"));
  EXPECT_EQ(few.at("activations"), 0);
  // The gradients of the passes before are there from the start.
  EXPECT_GT(parts(64, true).at("gradients"), many.at("gradients"));
  for (const auto& each : {few, many}) {
    EXPECT_EQ(each.at("weights"), 4 * parameters);
    EXPECT_EQ(each.at("optimizer"), 8 * parameters);
  }
}

}  // namespace
}  // namespace loopbank

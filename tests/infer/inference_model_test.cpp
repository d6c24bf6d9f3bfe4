#include "loopbank/infer/inference_model.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <gtest/gtest.h>

#include "loopbank/model/weights.h"
#include "tests/eval/bigram_model.h"
#include "tests/support/test_directory.h"

namespace loopbank {
namespace {

using testing::error_of;
using testing::expect_contains;
using testing::TestDirectory;

TEST(InferenceModel, IsTheModelThatWasSaved) {
  const TestDirectory directory;
  const auto model = testing::random_model();
  save_model(model, directory.path());
  Tokenizer::bytes().save(directory.path() / "tokenizer.json");
  const auto loaded = load_inference_model(directory.path());
  const auto tokens = at::arange(8).view({1, 8});
  EXPECT_TRUE(at::equal(loaded.model.forward(tokens).logits, model.forward(tokens).logits));
  EXPECT_EQ(loaded.tokenizer.hash(), Tokenizer::bytes().hash());
}

TEST(InferenceModel, ATokenizerOfAnotherModelIsRefused) {
  const TestDirectory directory;
  auto config = testing::bigram_config();
  config.vocab_size = 100;
  LanguageModel model(config);
  model.parameters().initialize(/*seed=*/1);
  save_model(model, directory.path());
  Tokenizer::bytes().save(directory.path() / "tokenizer.json");
  expect_contains(
      error_of(ErrorCode::kCheckpoint, [&] { (void)load_inference_model(directory.path()); }),
      "expected a tokenizer of at most 100 ids (the model's vocab_size), got 257");
}

}  // namespace
}  // namespace loopbank

#include "loopbank/infer/inference_model.h"

#include <utility>

#include "loopbank/model/weights.h"
#include "loopbank/support/error.h"

namespace loopbank {

InferenceModel load_inference_model(const std::filesystem::path& directory, at::Device device) {
  auto model = load_model(directory, device);
  auto tokenizer = Tokenizer::load(directory);
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kCheckpoint,
         "{}: expected a tokenizer of at most {} ids (the model's vocab_size), got {}. Put the "
         "tokenizer.json there that the model was trained with.",
         directory.string(), model.config().vocab_size, tokenizer.vocab_size());
  }
  return {.model = std::move(model), .tokenizer = std::move(tokenizer)};
}

}  // namespace loopbank

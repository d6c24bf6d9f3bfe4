/// What loops are worth to a trained model, and a text from it: loop_budgets runs/example

#include <fmt/format.h>

#include "loopbank/dissect/scored_text.h"
#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"

int main(int, char** argv) {
  const auto [model, tokenizer] = loopbank::load_inference_model(argv[1]);
  const auto ids = tokenizer.encode("Where does Ada live? Ada lives in Orlen.");
  const auto text = loopbank::scored_text_of(ids, tokenizer, /*row_tokens=*/64);
  for (int64_t loops = 1; loops <= model.config().most_loops(); ++loops) {
    const auto nats = loopbank::nats_of(model, text.rows.front(), {.max_loops = loops});
    fmt::print("{} loops: {:.3f} bits per byte\n", loops, loopbank::bits_per_byte({nats}, text));
  }
  loopbank::Generator generator(model, tokenizer);
  fmt::print("{}\n", generator.generate("Ada lives in", {.max_tokens = 16}).text);
}

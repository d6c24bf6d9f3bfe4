/// A program of somebody else's: loads a model directory, scores a text and goes on with it.
#include <loopbank/loopbank.h>

#include <cstdio>

int main(int argc, char** argv) {
  const auto loaded = loopbank::load_inference_model(argv[argc - 1]);
  const std::string text = "Where does Ada live? Ada lives in";
  const auto scored = loopbank::scored_text_of(loaded.tokenizer.encode(text), loaded.tokenizer, 64);
  const auto nats = loopbank::nats_of(loaded.model, scored.rows.front(), {});
  std::fprintf(stderr, "%.4f bits a byte\n", loopbank::bits_per_byte({nats}, scored));
  loopbank::Generator generator(loaded.model, loaded.tokenizer);
  const auto generated =
      generator.generate(text, {.max_tokens = 12, .sampling = {.temperature = 0.0}});
  std::printf("%s\n", generated.text.c_str());
}

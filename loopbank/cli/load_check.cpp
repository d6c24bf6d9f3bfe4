#include "loopbank/cli/load_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>

#include "loopbank/infer/generator.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/error.h"

namespace loopbank::cli {
namespace {

constexpr double kLogProbabilityTolerance = 1e-6;  // as JSON writes them

[[noreturn]] void refuse_answer(uint64_t seed, const LoadPrompt& prompt, const std::string& how) {
  fail(ErrorCode::kData,
       "bench serve: expected the answer that the model gives alone, got another one for seed {} "
       "({} tokens of prompt, {} asked for): {}.",
       seed, prompt.ids.size(), prompt.max_tokens, how);
}

/// Whether the answer came to its end, so that all of it has to be there.
bool is_whole(const LoadAnswer& answer) {
  return answer.end == LoadEnd::kWhole;
}

void compare_answer(const LoadPair& pair, const LoadPrompt& prompt, const Generation& alone,
                    LoadChecked& checked) {
  const auto& answer = pair.answer;
  const auto& got = answer.log_probabilities;
  auto expected = alone.log_probabilities;
  if (alone.end_token) {  // has an entry as well, behind those of the text
    expected.push_back(alone.end_token->draw.log_probability);
  }
  if (got.size() > expected.size() || (is_whole(answer) && got.size() != expected.size())) {
    refuse_answer(pair.seed, prompt,
                  fmt::format("{} tokens instead of {}", got.size(), expected.size()));
  }
  for (size_t i = 0; i < got.size(); ++i) {
    const double difference = std::abs(got[i] - expected[i]);
    if (!(difference <= kLogProbabilityTolerance)) {
      refuse_answer(
          pair.seed, prompt,
          fmt::format("log probability {} of token {} instead of {}", got[i], i, expected[i]));
    }
    checked.largest_difference = std::max(checked.largest_difference, difference);
  }
  const auto text = std::string_view(alone.text);
  if (is_whole(answer) ? answer.text != text : !text.starts_with(answer.text)) {
    refuse_answer(pair.seed, prompt, fmt::format("\"{}\" instead of \"{}\"", answer.text, text));
  }
  ++checked.answers;
  checked.tokens += static_cast<int64_t>(got.size());
}

}  // namespace

LoadChecked check_load_answers(const LoadCheckSettings& settings, const LoadOptions& options,
                               const std::vector<LoadPair>& answers) {
  const auto loaded = load_inference_model(settings.model);
  Generator generator(loaded.model, loaded.tokenizer, {.compute_dtype = settings.compute_dtype});
  LoadChecked checked;
  for (const auto& pair : answers) {
    const auto prompt = load_prompt(options, pair.seed);
    // Of one that was cut off no more is computed than came.
    const auto tokens = static_cast<int64_t>(pair.answer.log_probabilities.size());
    GenerateOptions generate{.max_tokens = is_whole(pair.answer) ? prompt.max_tokens : tokens + 1,
                             .sampling = {.temperature = 0.0, .top_p = 1.0}};
    generate.inference = settings.inference;
    if (options.barred) {
      generate.sampling.logit_bias = {{*options.barred, kBarredBias}};
    }
    generate.max_tokens = std::min(generate.max_tokens, prompt.max_tokens);
    compare_answer(pair, prompt, generator.generate(prompt.ids, generate), checked);
  }
  return checked;
}

}  // namespace loopbank::cli

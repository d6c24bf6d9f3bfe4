#include "loopbank/infer/generator.h"

#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>

#include <optional>

#include "loopbank/infer/text_stream.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

/// The model over one growing text.
class Reader {
 public:
  Reader(const LanguageModel& model, const GenerateOptions& options)
      : model_(model),
        options_{.compute_dtype = options.compute_dtype,
                 .max_loops = options.max_loops,
                 .cache = &cache_,
                 .recorder = nullptr} {}
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  /// Reads on and gives the logits of what follows, [V].
  at::Tensor read(const std::vector<TokenId>& tokens) {
    const auto row = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
    const auto hidden = model_.hidden(row.unsqueeze(0).to(model_.device()), options_);
    const auto loops = hidden.expected_loops.mean(0).squeeze(0).to(at::kCPU, at::kDouble);  // [T]
    loops_ += loops.sum().item<double>();
    last_loops_ = loops[-1].item<double>();
    // The head sees the last position alone: [1, D] to [1, V].
    return model_.head(hidden.states.select(1, -1), options_).squeeze(0);
  }
  /// Of the last token read, mean over layers.
  [[nodiscard]] double last_loops() const { return last_loops_; }
  [[nodiscard]] int64_t length() const { return cache_.length(); }
  [[nodiscard]] double mean_loops() const { return loops_ / static_cast<double>(length()); }

 private:
  const LanguageModel& model_;
  KeyValueCache cache_;
  ForwardOptions options_;
  double loops_ = 0.0;
  double last_loops_ = 0.0;
};

void add(const Sampler::Draw& draw, double loops, Generation& result) {
  result.tokens.push_back(draw.token);
  result.log_probabilities.push_back(draw.log_probability);
  result.loops.push_back(loops);
  if (!draw.top.empty()) {
    result.top.push_back(draw.top);
  }
}

}  // namespace

std::vector<Field> GenerateOptions::fields() {
  auto fields = sampling.fields();
  fields.insert(fields.begin(),
                Field("max_tokens", &max_tokens, "most tokens to generate").minimum(0.0));
  fields.insert(fields.end(),
                {Field("stop", &stop, "texts that end the generated text, not part of it"),
                 Field("seed", &seed, "seed of the draws").minimum(0.0),
                 Field("max_loops", &max_loops, "loop budget; 0, the default: each layer's own N")
                     .range(0.0, kMaxLoops)});
  return fields;
}

std::string_view stop_reason_name(StopReason reason) {
  switch (reason) {
    case StopReason::kEndOfText:
      return "end_of_text";
    case StopReason::kMaxTokens:
      return "max_tokens";
    case StopReason::kStopString:
      return "stop_string";
    case StopReason::kContextFull:
      return "context_full";
    case StopReason::kCancelled:
      break;
  }
  return "cancelled";
}

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer)
    : model_(model), tokenizer_(tokenizer), end_of_text_(tokenizer.end_of_text()) {
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kConfig,
         "Generator: expected a tokenizer of at most {} ids (the model's vocab_size), got {}.",
         model.config().vocab_size, tokenizer.vocab_size());
  }
}

std::vector<TokenId> Generator::encode_prompt(const Prompt& prompt, std::string_view where) const {
  const auto* text = std::get_if<std::string>(&prompt);
  auto tokens = text != nullptr ? tokenizer_.encode(*text) : std::get<1>(prompt);
  if (tokens.empty()) {
    tokens.push_back(end_of_text_);
  }
  const int64_t most = model_.config().max_position_embeddings;
  if (static_cast<int64_t>(tokens.size()) > most) {
    fail(ErrorCode::kConfig,
         "{}: expected a prompt of at most {} tokens (max_position_embeddings), got {}. "
         "Shorten the prompt.",
         where, most, tokens.size());
  }
  const int64_t vocab_size = model_.config().vocab_size;
  for (const auto token : tokens) {
    if (token < 0 || token >= vocab_size) {
      fail(ErrorCode::kConfig,
           "{}: expected token ids from 0 to {} (the model's vocab_size) in the prompt, got {}.",
           where, vocab_size - 1, token);
    }
  }
  return tokens;
}

void Generator::check_options(const GenerateOptions& options, std::string_view where) const {
  auto copy = options;  // fields point to what they may also change
  check_fields(copy.fields(), where);
  (void)model_.config().budget_loops(options.max_loops, where);
  check_stop_strings(options.stop, where);
  options.sampling.check_ids(tokenizer_.vocab_size(), where);
}

Generation Generator::generate(const Prompt& prompt, const GenerateOptions& options,
                               const TakeText& take_text) const {
  check_options(options);
  const at::NoGradGuard no_grad;
  auto next = encode_prompt(prompt);
  Generation result;
  result.prompt_tokens = static_cast<int64_t>(next.size());
  Reader reader(model_, options);
  Sampler sampler(options.sampling,
                  completion_seed(static_cast<uint64_t>(options.seed), options.completion),
                  tokenizer_.vocab_size(), next);
  TextStream text(options.stop);
  const auto give = [&](const std::string& piece) {
    result.text += piece;
    return piece.empty() || !take_text || take_text(piece);
  };
  const auto stop = [&]() -> std::optional<StopReason> {
    if (text.stopped()) {
      return StopReason::kStopString;
    }
    if (static_cast<int64_t>(result.tokens.size()) == options.max_tokens) {
      return StopReason::kMaxTokens;
    }
    if (reader.length() == model_.config().max_position_embeddings) {
      return StopReason::kContextFull;
    }
    return std::nullopt;
  };
  std::optional<StopReason> reason;
  while (!(reason = stop())) {
    const auto draw = sampler.next(reader.read(next));
    if (draw.token == end_of_text_) {
      reason = StopReason::kEndOfText;
      break;
    }
    sampler.accept(draw.token);
    add(draw, reader.last_loops(), result);
    next = {draw.token};
    if (!give(text.push(tokenizer_.token_bytes(draw.token)))) {
      reason = StopReason::kCancelled;
      break;
    }
  }
  result.stop_reason = *reason;
  if (reason != StopReason::kCancelled) {
    give(text.finish());
  }
  result.text_offsets = text.offsets();
  result.mean_loops = reader.length() > 0 ? reader.mean_loops() : 0.0;
  return result;
}

}  // namespace loopbank

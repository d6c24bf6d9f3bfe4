#include "loopbank/infer/generator.h"

#include <fmt/format.h>

#include "loopbank/infer/engine_text.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

EngineOptions with_ids_of(const Tokenizer& tokenizer, const LanguageModel& model,
                          EngineOptions options) {
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    fail(ErrorCode::kConfig,
         "Generator: expected a tokenizer of at most {} ids (the model's vocab_size), got {}.",
         model.config().vocab_size, tokenizer.vocab_size());
  }
  options.num_ids = tokenizer.vocab_size();
  return options;
}

}  // namespace

std::vector<Field> GenerateOptions::fields() {
  auto fields = sampling.fields();
  fields.insert(fields.begin(),
                Field("max_tokens", &max_tokens, "most tokens to generate").minimum(0.0));
  fields.insert(fields.end(),
                {Field("stop", &stop, "texts that end the generated text, not part of it"),
                 Field("seed", &seed, "seed of the draws").minimum(0.0),
                 Field("draft", &draft,
                       "guesses at what comes next, which save time where they are right: none, "
                       "lookup or loops:n, with \",k\" behind it for k guesses a pass")});
  for (const auto& field : inference.fields()) {
    fields.push_back(field);
  }
  return fields;
}

Request request_of(const Prompt& prompt, const GenerateOptions& options, const ModelConfig& config,
                   const Tokenizer& tokenizer, std::string_view where) {
  auto copy = options;  // fields point to what they may also change
  check_fields(copy.fields(), where);
  check_stop_strings(options.stop, where);
  options.sampling.check_ids(tokenizer.vocab_size(), where);
  const auto* text = std::get_if<std::string>(&prompt);
  Request request{.prompt = text != nullptr ? tokenizer.encode_prompt(*text) : std::get<1>(prompt),
                  .max_tokens = options.max_tokens,
                  .sampling = options.sampling,
                  .seed = static_cast<uint64_t>(options.seed),
                  .inference = options.inference.options(where),
                  .draft = DraftOptions::parse(options.draft, fmt::format("{}: \"draft\"", where)),
                  .end_tokens = {tokenizer.end_of_text()}};
  if (request.prompt.empty()) {
    request.prompt.push_back(tokenizer.end_of_text());
  }
  check_request(request, config, where);
  return request;
}

Generator::Generator(const LanguageModel& model, const Tokenizer& tokenizer,
                     const EngineOptions& options)
    : model_(model),
      tokenizer_(tokenizer),
      engine_(model, with_ids_of(tokenizer, model, options)) {}

RequestId Generator::add(Request request, const std::vector<std::string>& stop,
                         TakeText take_text) {
  Asked asked;
  asked.take_text = std::move(take_text);
  asked.left = static_cast<size_t>(request.completions);
  if (request.score_from) {
    asked.prompt_scores = std::make_shared<std::vector<ScoredToken>>();
  }
  Generation blank;
  blank.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  blank.prompt = std::make_shared<const std::vector<TokenId>>(request.prompt);
  blank.prompt_scores = asked.prompt_scores;
  blank.request = engine_.add(std::move(request));
  for (size_t c = 0; c < asked.left; ++c) {
    blank.completion = static_cast<int64_t>(c);
    asked.completions.push_back({.text = TextStream(stop), .result = blank});
  }
  asked_.emplace(blank.request, std::move(asked));
  return blank.request;
}

RequestId Generator::add(const Prompt& prompt, const GenerateOptions& options, int64_t completions,
                         TakeText take_text) {
  auto request = request_of(prompt, options);
  request.completions = completions;
  return add(std::move(request), options.stop, std::move(take_text));
}

bool Generator::cancel(RequestId id) {
  asked_.erase(id);
  return engine_.cancel(id);
}

bool Generator::give(const Asked& asked, Writing& writing, std::string_view piece) {
  writing.result.text += piece;
  return !asked.take_text || asked.take_text(writing.result, piece);
}

bool Generator::take(const Asked& asked, Writing& writing, GeneratedToken&& token) const {
  auto& result = writing.result;
  result.tokens.push_back(token.draw.token);
  result.log_probabilities.push_back(token.draw.log_probability);
  result.loops.push_back(token.loops);
  result.mean_loops = token.mean_loops;
  if (!token.draw.top.empty()) {
    result.top.push_back(std::move(token.draw.top));
  }
  if (token.inside) {
    result.inside.push_back(std::move(token.inside));
  }
  const auto piece = writing.text.push(
      result.tokens.size() == 1 ? tokenizer_.token_bytes_behind(*result.prompt, token.draw.token)
                                : tokenizer_.token_bytes(token.draw.token));
  result.text_offsets.push_back(writing.text.offsets().back());
  if (!give(asked, writing, piece)) {
    result.stop_reason = StopReason::kCancelled;
    return false;
  }
  if (writing.text.stopped()) {
    result.stop_reason = StopReason::kStopString;
    return false;
  }
  return true;
}

Generation Generator::finish(AskedById::iterator asked, FinishedCompletion&& finished) {
  auto& writing = asked->second.completions[static_cast<size_t>(finished.completion)];
  writing.ended = true;
  if (finished.reason != StopReason::kCancelled) {
    const auto piece = writing.text.finish();
    const bool brings_scores = writing.result.tokens.empty() && asked->second.prompt_scores;
    if (!piece.empty() || brings_scores) {
      give(asked->second, writing, piece);
    }
  }
  auto result = std::move(writing.result);
  result.stop_reason = finished.reason;
  result.stop_string = writing.text.stop_string();
  result.end_token = std::move(finished.end_token);
  result.text_offsets = writing.text.offsets();
  result.mean_loops = finished.mean_loops;
  if (--asked->second.left == 0) {
    asked_.erase(asked);
  }
  return result;
}

std::vector<Generation> Generator::step() {
  auto output = engine_.step();
  std::vector<Generation> ended;
  for (auto& scored : output.scored) {
    const auto asked = asked_.find(scored.request);
    if (asked != asked_.end() && asked->second.prompt_scores) {
      asked->second.prompt_scores->push_back(std::move(scored));
    }
  }
  for (auto& token : output.generated) {
    const auto asked = asked_.find(token.request);
    if (asked == asked_.end()) {
      continue;
    }
    auto& writing = asked->second.completions[static_cast<size_t>(token.completion)];
    if (!writing.ended && !take(asked->second, writing, std::move(token))) {
      engine_.cancel(token.request, token.completion);
      ended.push_back(finish(asked, {.request = token.request,
                                     .completion = token.completion,
                                     .reason = writing.result.stop_reason,
                                     .mean_loops = token.mean_loops}));
    }
  }
  for (auto& finished : output.finished) {
    const auto asked = asked_.find(finished.request);
    if (asked != asked_.end() &&
        !asked->second.completions[static_cast<size_t>(finished.completion)].ended) {
      ended.push_back(finish(asked, std::move(finished)));
    }
  }
  return ended;
}

Generation Generator::generate(const Prompt& prompt, const GenerateOptions& options,
                               const std::function<bool(std::string_view piece)>& take_text) {
  add(prompt, options, /*completions=*/1, [&](const Generation&, std::string_view piece) {
    return !take_text || piece.empty() || take_text(piece);
  });
  while (true) {
    auto ended = step();
    if (!ended.empty()) {
      return std::move(ended.front());
    }
  }
}

}  // namespace loopbank

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
  Request request{.prompt = text != nullptr ? tokenizer.encode(*text) : std::get<1>(prompt),
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
  const auto prompt_tokens = static_cast<int64_t>(request.prompt.size());
  const auto completions = request.completions;
  const auto id = engine_.add(std::move(request));
  for (int64_t c = 0; c < completions; ++c) {
    Generation blank;
    blank.request = id;
    blank.completion = c;
    blank.prompt_tokens = prompt_tokens;
    writing_.emplace(Key{id, c}, Writing{TextStream(stop), take_text, blank});
  }
  return id;
}

RequestId Generator::add(const Prompt& prompt, const GenerateOptions& options, int64_t completions,
                         TakeText take_text) {
  auto request = request_of(prompt, options);
  request.completions = completions;
  return add(std::move(request), options.stop, std::move(take_text));
}

bool Generator::cancel(RequestId id) {
  std::erase_if(writing_, [&](const auto& entry) { return entry.first.first == id; });
  return engine_.cancel(id);
}

bool Generator::give(Writing& writing, const std::string& piece) {
  writing.result.text += piece;
  return piece.empty() || !writing.take_text || writing.take_text(writing.result.completion, piece);
}

bool Generator::take(Writing& writing, const GeneratedToken& token) {
  auto& result = writing.result;
  result.tokens.push_back(token.draw.token);
  result.log_probabilities.push_back(token.draw.log_probability);
  result.loops.push_back(token.loops);
  if (!token.draw.top.empty()) {
    result.top.push_back(token.draw.top);
  }
  if (!give(writing, writing.text.push(tokenizer_.token_bytes(token.draw.token)))) {
    result.stop_reason = StopReason::kCancelled;
    return false;
  }
  if (writing.text.stopped()) {
    result.stop_reason = StopReason::kStopString;
    return false;
  }
  return true;
}

Generation Generator::finish(Key key, StopReason reason, double mean_loops) {
  auto entry = writing_.extract(key);
  auto& writing = entry.mapped();
  if (reason != StopReason::kCancelled) {
    give(writing, writing.text.finish());
  }
  auto result = std::move(writing.result);
  result.stop_reason = reason;
  result.text_offsets = writing.text.offsets();
  result.mean_loops = mean_loops;
  return result;
}

std::vector<Generation> Generator::step() {
  const auto output = engine_.step();
  std::vector<Generation> ended;
  for (const auto& token : output.generated) {
    const Key key{token.request, token.completion};
    const auto writing = writing_.find(key);
    if (writing != writing_.end() && !take(writing->second, token)) {
      engine_.cancel(token.request, token.completion);
      ended.push_back(finish(key, writing->second.result.stop_reason, token.mean_loops));
    }
  }
  for (const auto& finished : output.finished) {
    const Key key{finished.request, finished.completion};
    if (writing_.contains(key)) {
      ended.push_back(finish(key, finished.reason, finished.mean_loops));
    }
  }
  return ended;
}

Generation Generator::generate(const Prompt& prompt, const GenerateOptions& options,
                               const std::function<bool(std::string_view piece)>& take_text) {
  add(prompt, options, /*completions=*/1,
      [&](int64_t, std::string_view piece) { return !take_text || take_text(piece); });
  while (true) {
    auto ended = step();
    if (!ended.empty()) {
      return std::move(ended.front());
    }
  }
}

}  // namespace loopbank

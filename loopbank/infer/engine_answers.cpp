/// What the engine makes of a row of logits: scores of a prompt's tokens, the next token of a text.

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <utility>

#include "loopbank/infer/candidates.h"
#include "loopbank/infer/engine_batch.h"
#include "loopbank/infer/sampler_kernels.h"

namespace loopbank {
namespace {

/// log softmax(logits)[id], and whether the token is the most probable, the first of equals.
/// @param best  tokens to tell of beside it, of ids under `num_ids`
ScoredToken score(const float* logits, int64_t vocab, TokenId id, int64_t best, int64_t num_ids) {
  const auto size = static_cast<size_t>(vocab);
  const auto scan = scan_row(logits, size);
  const double largest = scan.largest;
  if (!scan.is_finite) {
    return {.log_probability = std::numeric_limits<double>::quiet_NaN()};
  }
  const double log_sum = largest + std::log(sum_of_exponentials(logits, size, largest));
  const auto at = static_cast<int64_t>(id);
  ScoredToken scored{
      .log_probability = static_cast<double>(logits[at]) - log_sum,
      .greedy = std::find(logits, logits + vocab, static_cast<float>(largest)) - logits == at};
  auto candidates =
      most_probable(std::span(logits, static_cast<size_t>(num_ids)), static_cast<size_t>(best));
  std::sort(candidates.begin(), candidates.end(), comes_before);
  for (const auto& candidate : candidates) {
    scored.top.push_back({candidate.token, candidate.logit - log_sum});
  }
  return scored;
}

}  // namespace

void Engine::read_row(EngineText& text, int64_t position, const float* logits, StepOutput& output) {
  const auto& job = *text.job;
  const auto next = position + 1;
  if (next < job.prompt_size()) {
    score_token(text, next, logits, output);
  } else if (next == job.prompt_size()) {
    finish_prompt(text, logits, output);
  } else {
    draw(text, logits, output);
  }
}

void Engine::score_token(EngineText& text, int64_t place, const float* logits,
                         StepOutput& output) const {
  const auto& request = text.job->request;
  const auto vocab = model_.config().vocab_size;
  auto scored = score(logits, vocab, text.tokens[static_cast<size_t>(place)],
                      request.sampling.logprobs, num_ids());
  scored.request = text.job->id;
  scored.place = place;
  scored.loops = text.loops[static_cast<size_t>(place - 1)];
  scored.inside = text.inside;
  output.scored.push_back(std::move(scored));
  if (request.on_logits) {
    request.on_logits(place, {logits, static_cast<size_t>(vocab)});
  }
}

void Engine::finish_prompt(EngineText& text, const float* logits, StepOutput& output) {
  auto& job = *text.job;
  if (text.cache.slots() == PageSlots::kBoth) {
    make_room_until([&] { return text.cache.reduce(); });
  }
  for (auto& other : job.texts) {
    if (other.get() != &text) {
      other->cache = text.cache.fork();
      other->loops = text.loops;
      other->inside = text.inside;
      other->waits = false;
    }
  }
  for (auto& each : job.texts) {
    if (!each->finished) {
      draw(*each, logits, output);
    }
  }
}

void Engine::draw(EngineText& text, const float* logits, StepOutput& output) {
  const auto& request = text.job->request;
  const auto generated = static_cast<int64_t>(text.tokens.size() - request.prompt.size());
  if (!request.forced.empty()) {
    const auto place = static_cast<int64_t>(text.tokens.size());
    text.tokens.push_back(request.forced[static_cast<size_t>(generated)]);
    score_token(text, place, logits, output);
    if (generated + 1 == request.max_tokens) {
      finish(text, StopReason::kMaxTokens, output);
    }
    return;
  }
  auto draw = text.sampler->next({logits, static_cast<size_t>(model_.config().vocab_size)});
  const auto token = draw.token;
  GeneratedToken given{.request = text.job->id,
                       .completion = text.completion,
                       .draw = std::move(draw),
                       .loops = text.loops[text.tokens.size() - 1],
                       .mean_loops = text.mean_loops(),
                       .inside = text.inside};
  ++counts_.generated;
  if (std::find(request.end_tokens.begin(), request.end_tokens.end(), token) !=
      request.end_tokens.end()) {
    finish(text, StopReason::kEndOfText, output);
    output.finished.back().end_token = std::move(given);
    return;
  }
  text.sampler->accept(token);
  text.tokens.push_back(token);
  output.generated.push_back(std::move(given));
  if (generated + 1 == request.max_tokens) {
    finish(text, StopReason::kMaxTokens, output);
  } else if (text.cache.length() == model_.config().max_position_embeddings) {
    finish(text, StopReason::kContextFull, output);
  }
}

void Engine::finish(EngineText& text, StopReason reason, StepOutput& output) {
  text.finished = true;
  output.finished.push_back({.request = text.job->id,
                             .completion = text.completion,
                             .reason = reason,
                             .tokens_read = static_cast<int64_t>(text.loops.size()),
                             .mean_loops = text.mean_loops()});
}

}  // namespace loopbank

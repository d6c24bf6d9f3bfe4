#include "loopbank/infer/engine_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "loopbank/support/error.h"
#include "loopbank/support/rounding.h"

namespace loopbank {
namespace {

void check_ids(const std::vector<TokenId>& ids, const ModelConfig& config, std::string_view what,
               std::string_view where) {
  const auto bad = std::find_if(ids.begin(), ids.end(), [&](TokenId id) {
    return id < 0 || static_cast<int64_t>(id) >= config.vocab_size;
  });
  if (bad != ids.end()) {
    fail(ErrorCode::kConfig,
         "{}: expected ids from 0 to {} (vocab_size {}), got {} at place {} of the {}.", where,
         config.vocab_size - 1, config.vocab_size, *bad, bad - ids.begin(), what);
  }
}

}  // namespace

double EngineText::mean_loops() {
  const auto read = std::min(loops.size(), tokens.size());
  // The last may have been read as a guess, and be read again.
  for (; loops_summed + 1 < read; ++loops_summed) {
    sum_of_loops += loops[loops_summed];
  }
  const double sum = loops_summed < read ? sum_of_loops + loops[read - 1] : sum_of_loops;
  return read == 0 ? 0.0 : sum / static_cast<double>(read);
}

TokenId EngineText::at(int64_t position) const {
  const auto place = static_cast<size_t>(position);
  return place < tokens.size() ? tokens[place] : draft[place - tokens.size()];
}

int64_t EngineJob::most_guesses(const EngineText& text, int64_t max_length) const {
  const auto size = static_cast<int64_t>(text.tokens.size());
  const bool writes = text.cache.length() >= prompt_size() && !text.finished;
  // With one slot a layer the tokens of a pass would have to wait for each other.
  const bool in_step =
      slots() == PageSlots::kEveryLoop || request.inference.policy->reads_in_step();
  if (!writes || !in_step || request.draft.kind == DraftOptions::Kind::kNone) {
    return 0;
  }
  const auto left = prompt_size() + request.max_tokens - size - 1;
  return std::clamp<int64_t>(std::min(left, max_length - size), 0, request.draft.tokens);
}

PageSlots EngineJob::slots() const {
  return request.inference.policy->keeps_every_loop() ? PageSlots::kEveryLoop : PageSlots::kOne;
}

PageSlots EngineJob::slots_of_prompt() const {
  return slots() == PageSlots::kOne && !request.inference.policy_in_prompt ? PageSlots::kBoth
                                                                           : slots();
}

const KeyValuePolicy& EngineJob::policy_at(int64_t position) const {
  const auto& inference = request.inference;
  const bool as_full = position < prompt_size() && !inference.policy_in_prompt &&
                       inference.policy->keeps_every_loop();
  return as_full ? full_policy() : *inference.policy;
}

bool EngineJob::reads_in_chunks() const {
  return slots_of_prompt() != PageSlots::kOne || request.inference.policy->reads_in_step();
}

int64_t most_bytes(const Request& request, const PageStore& store, int64_t max_length) {
  EngineJob job;
  job.request.inference = request.inference;
  const auto prompt = static_cast<int64_t>(request.prompt.size());
  const auto pages_of = [](int64_t tokens) { return divide_up(tokens, ops::kPageTokens); };
  const auto length = std::min(prompt + request.max_tokens, max_length);
  const auto page = store.page_bytes(job.slots());
  // The last page of the prompt is each completion's own, and one more while it is copied.
  const auto own = pages_of(length) - prompt / ops::kPageTokens + 1;
  auto bytes = page * (prompt / ops::kPageTokens + request.completions * own);
  if (job.slots_of_prompt() == PageSlots::kBoth) {
    bytes += store.page_bytes(PageSlots::kBoth) * (pages_of(prompt) + 1);
  }
  return bytes;
}

void check_request(const Request& request, const ModelConfig& config, std::string_view where) {
  const auto size = static_cast<int64_t>(request.prompt.size());
  if (size == 0) {
    fail(ErrorCode::kConfig, "{}: expected a prompt of at least one token, got none.", where);
  }
  const auto most = config.max_position_embeddings + (request.max_tokens == 0 ? 1 : 0);
  if (size > most) {
    fail(ErrorCode::kConfig,
         "{}: expected a prompt of at most {} tokens (max_position_embeddings), got {}. "
         "Shorten the prompt.",
         where, most, size);
  }
  check_ids(request.prompt, config, "prompt", where);
  check_ids(request.forced, config, "forced tokens", where);
  const auto forced = static_cast<int64_t>(request.forced.size());
  if (forced > 0 &&
      (request.completions != 1 || size + forced > config.max_position_embeddings + 1)) {
    fail(ErrorCode::kConfig,
         "{}: expected forced tokens in one completion and at most {} tokens with the prompt "
         "(max_position_embeddings + 1), got {} completions and {} tokens.",
         where, config.max_position_embeddings + 1, request.completions, size + forced);
  }
  if (request.max_tokens < 0) {
    fail(ErrorCode::kConfig, "{}: expected max_tokens of 0 or more, got {}.", where,
         request.max_tokens);
  }
  if (request.completions < 1) {
    fail(ErrorCode::kConfig, "{}: expected at least one completion, got {}.", where,
         request.completions);
  }
  if (request.score_from && *request.score_from < 1) {
    fail(ErrorCode::kConfig,
         "{}: expected scores from the prompt's token 1 on or later, got {}. Nothing stands "
         "before token 0.",
         where, *request.score_from);
  }
  (void)config.budget_loops(request.inference.max_loops, where);
  (void)config.budget_loops(request.inference.exit.budget(), fmt::format("{}: exit budget", where));
  (void)config.budget_loops(request.draft.loops, fmt::format("{}: draft", where));
  request.sampling.check(where);
}

}  // namespace loopbank

/// The engine's guesses at what comes next (draft.h).

#include <ATen/core/Tensor.h>

#include <algorithm>
#include <utility>

#include "loopbank/infer/engine_batch.h"

namespace loopbank {

void Engine::guess() {
  const auto most_positions = model_.config().max_position_embeddings;
  std::vector<EngineText*> by_model;
  int64_t rounds = 0;
  for (auto& job : running_) {
    for (auto& text : job->texts) {
      const auto most = trial_.drafts() ? job->most_guesses(*text, most_positions) : 0;
      if (most == 0) {
        continue;
      }
      if (job->request.draft.kind == DraftOptions::Kind::kLookup) {
        text->draft = look_up(text->tokens, most);
      } else {
        by_model.push_back(text.get());
        rounds = std::max(rounds, most);
      }
    }
  }
  for (int64_t round = 0; round < rounds; ++round) {
    guess_by_model(by_model, round);
  }
  for (auto* text : by_model) {
    // The pass to come writes what belongs there.
    text->cache.truncate(static_cast<int64_t>(text->tokens.size()) - 1);
  }
}

void Engine::guess_by_model(const std::vector<EngineText*>& texts, int64_t round) {
  auto& batch = *guesses_;
  batch.clear();
  for (auto* text : texts) {
    if (round < text->job->most_guesses(*text, model_.config().max_position_embeddings)) {
      add_tokens(batch, *text, 1);
      batch.tokens.back().exit = {
          .rule = nullptr, .hard = false, .max_loops = text->job->request.draft.loops};
    }
  }
  const auto hidden = hidden_of(batch);
  const auto logits = model_.head(hidden.states[0], options_of(batch)).narrow(1, 0, num_ids());
  const auto best = logits.argmax(1).to(at::kCPU);
  counts_.guessed += static_cast<int64_t>(batch.rows.size());
  for (size_t i = 0; i < batch.rows.size(); ++i) {
    batch.rows[i].text->draft.push_back(
        static_cast<TokenId>(best[static_cast<int64_t>(i)].item<int64_t>()));
  }
}

void Engine::drop_guesses(double seconds, const StepOutput& output) {
  bool wants_guesses = false;
  for (auto& job : running_) {
    for (auto& text : job->texts) {
      wants_guesses = wants_guesses || job->request.draft.kind != DraftOptions::Kind::kNone;
      if (text->draft.empty()) {
        continue;
      }
      text->draft.clear();
      const auto known = static_cast<int64_t>(text->tokens.size()) - 1;
      if (text->cache.length() > known) {
        text->cache.truncate(known);
        text->loops.resize(static_cast<size_t>(known));
      }
    }
  }
  if (wants_guesses && !output.generated.empty()) {
    const bool tells = !batch_->reads_prompts();
    trial_.add(tells ? seconds : 0.0, tells ? static_cast<int64_t>(output.generated.size()) : 0);
  }
}

}  // namespace loopbank

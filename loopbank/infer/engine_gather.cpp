/// Which tokens pass next: those that go on with texts, and parts of the prompts.

#include <algorithm>
#include <span>
#include <stdexcept>

#include "loopbank/infer/engine_batch.h"

namespace loopbank {
namespace {

constexpr int64_t kWorthWaiting = 4;  // tokens that a text need not read if it waits a step

}  // namespace

int64_t Engine::next_tokens(const EngineText& text, int64_t room) const {
  if (text.waits || (text.finished && text.completion > 0)) {
    return 0;
  }
  const bool in_prompt =
      text.cache.length() < text.job->read_size() || text.job->request.max_tokens == 0;
  const auto size = in_prompt ? text.job->read_size()
                              : static_cast<int64_t>(text.tokens.size() + text.draft.size());
  const auto unread = size - text.cache.length();
  return std::min(in_prompt && !text.job->reads_in_chunks() ? int64_t{1} : unread, room);
}

void Engine::gather(Batch& batch) {
  batch.clear();
  // What is being written goes first, so that a long prompt holds nobody up.
  for (auto& job : running_) {
    for (auto& text : job->texts) {
      if (text->cache.length() >= job->prompt_size()) {
        add_tokens(batch, *text, next_tokens(*text, options_.batch_tokens));
      } else if (!text->waits) {
        batch.reading.push_back({.text = text.get()});
      }
    }
  }
  batch.text_rows = std::ssize(batch.rows);
  if (batch.reading.empty()) {
    return;
  }
  auto room = std::max<int64_t>(options_.batch_tokens - batch.text_rows, 1);
  if (batch.text_rows > 0) {
    room = std::min(room, pace_.room(batch.text_rows));
  }
  if (room > 0) {
    gather_prompts(batch, room);
  }
}

void Engine::gather_prompts(Batch& batch, int64_t room) {
  auto& reading = batch.reading;
  std::erase_if(reading, [&](const Batch::Reading& prompt) {
    return prompt.text->job->shares && is_being_read(batch, *prompt.text);
  });
  // Half of the room is for who came first, whatever comes; the rest for whose prompt is the
  // shortest, so that it need not wait for a long one.
  for (auto& prompt : reading) {
    prompt.unread = next_tokens(*prompt.text, options_.batch_tokens);
  }
  if (!reading.empty()) {
    reading.front().taken = std::min(reading.front().unread, (room + 1) / 2);
    room -= reading.front().taken;
  }
  std::stable_sort(reading.begin(), reading.end(),
                   [](const auto& a, const auto& b) { return a.unread < b.unread; });
  for (auto& prompt : reading) {
    const auto more = std::min(prompt.unread - prompt.taken, room);
    room -= more;
    add_tokens(batch, *prompt.text, prompt.taken + more);
  }
}

bool Engine::is_being_read(Batch& batch, EngineText& text) {
  // The last token of a prompt is read for what it says, and those before a scored one.
  const auto& request = text.job->request;
  const auto size = text.job->prompt_size();
  const auto sharable = std::min(size, request.score_from.value_or(size)) - 1;
  const auto before = text.cache.length();
  beginnings_.extend(text.cache, text.beginning, text.tokens, sharable, text.loops);
  const auto held = text.cache.length();
  counts_.shared_tokens += std::max<int64_t>(held - before, 0);
  text.shared = held / ops::kPageTokens * ops::kPageTokens;
  const std::span<const TokenId> tokens(text.tokens);
  const auto page_at = [&](int64_t at, int64_t end) {
    return tokens.subspan(static_cast<size_t>(at),
                          static_cast<size_t>(std::clamp<int64_t>(end - at, 0, ops::kPageTokens)));
  };
  const auto more = text.shared + batch.common(text.beginning, page_at(text.shared, sharable));
  if (more >= held + kWorthWaiting) {
    return true;
  }
  auto key = text.beginning;
  for (auto at = text.shared; at < text.job->read_size(); at += ops::kPageTokens) {
    const auto page = page_at(at, text.job->read_size());
    batch.pages.emplace(key, page);
    if (page.size() == ops::kPageTokens) {
      key = SharedBeginnings::key_after(key, page.data());
    }
  }
  return false;
}

void Engine::make_room_until(c10::function_ref<bool()> fits) {
  while (!fits()) {
    if (!beginnings_.drop_oldest()) {
      throw std::logic_error("Engine: a request holds more than it reserved");
    }
  }
}

void Engine::add_tokens(Batch& batch, EngineText& text, int64_t count) {
  if (count <= 0) {
    return;
  }
  const auto& job = *text.job;
  const auto first = text.cache.length();
  const auto size = static_cast<int64_t>(text.tokens.size());
  make_room_until([&] { return text.cache.extend(first + count); });
  for (int64_t position = first; position < first + count; ++position) {
    const bool scores = job.request.score_from && position + 1 >= *job.request.score_from &&
                        position + 1 < job.prompt_size();
    batch.ids.push_back(text.at(position));
    const bool wants_logits = scores || position + 1 >= size;
    batch.rows.push_back({&text, position, wants_logits});
    batch.tokens.push_back({.text = &text.cache,
                            .position = position,
                            .policy = &job.policy_at(position),
                            .exit = job.exit,
                            .inside = job.request.inside && wants_logits});
  }
}

}  // namespace loopbank

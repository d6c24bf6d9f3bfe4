#include "loopbank/serve/api/completion_answer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "loopbank/serve/api/answer_json.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// Of the prompt, its first token without scores.
std::vector<ToldToken> tokens_of_prompt(const Generation& generation,
                                        const std::vector<int64_t>& offsets) {
  std::vector<ToldToken> told;
  for (size_t i = 0; i < offsets.size(); ++i) {
    ToldToken token{.token = (*generation.prompt)[i], .offset = offsets[i]};
    if (i > 0 && generation.prompt_scores != nullptr && i <= generation.prompt_scores->size()) {
      const auto& score = (*generation.prompt_scores)[i - 1];
      token.log_probability = score.log_probability;
      token.top = score.top;
      token.loops = score.loops;
      token.inside = score.inside.get();
    }
    told.push_back(token);
  }
  return told;
}

/// Of what was written, the tokens from `from` up to `to`.
/// @param begin  of the text, in characters
std::vector<ToldToken> tokens_of_text(const Generation& generation,
                                      const std::vector<int64_t>& offsets, int64_t begin,
                                      size_t from, size_t to) {
  std::vector<ToldToken> told;
  for (size_t i = from; i < to; ++i) {
    ToldToken token{.token = generation.tokens[i],
                    .log_probability = generation.log_probabilities[i],
                    .offset = begin + offsets[i],
                    .loops = generation.loops[i]};
    if (i < generation.top.size()) {
      token.top = generation.top[i];
    }
    if (i < generation.inside.size()) {
      token.inside = generation.inside[i].get();
    }
    told.push_back(token);
  }
  return told;
}

const char* finish_reason(StopReason reason) {
  const bool is_full = reason == StopReason::kMaxTokens || reason == StopReason::kContextFull;
  return is_full ? "length" : "stop";
}

/// The token that ended the text by itself, behind it.
std::vector<ToldToken> tokens_of_end(const Generation& generation, int64_t begin) {
  if (!generation.end_token) {
    return {};
  }
  const auto& end = *generation.end_token;
  return {{.token = end.draw.token,
           .log_probability = end.draw.log_probability,
           .top = end.draw.top,
           .offset = begin + count_code_points(generation.text),
           .loops = end.loops,
           .inside = end.inside.get()}};
}

}  // namespace

CompletionAnswer::CompletionAnswer(CompletionBody body, const ServedModel& served, std::string id,
                                   int64_t created)
    : body_(std::move(body)), served_(served), id_(std::move(id)), created_(created) {
  const auto choices = body_.prompts.size() * static_cast<size_t>(body_.n);
  told_.resize(choices);
  finished_.resize(choices);
}

size_t CompletionAnswer::index_of(size_t prompt, const Generation& generation) const {
  return prompt * static_cast<size_t>(body_.n) + static_cast<size_t>(generation.completion);
}

bool CompletionAnswer::tells_tokens() const {
  return body_.tells_logprobs || body_.loops_by_token || body_.inside;
}

CompletionAnswer::Told& CompletionAnswer::note(size_t prompt, const Generation& so_far) {
  auto& told = told_.at(index_of(prompt, so_far));
  told.prompt_tokens = so_far.prompt_tokens;
  told.completion_tokens = static_cast<int64_t>(so_far.tokens.size()) + (so_far.end_token ? 1 : 0);
  told.mean_loops = so_far.mean_loops;
  return told;
}

CompletionAnswer::PromptText CompletionAnswer::text_of_prompt(size_t prompt,
                                                              const Generation& generation) const {
  PromptText result;
  TextStream text;
  // What the tokenizer put before the text of a prompt is no part of it.
  const bool is_text = std::holds_alternative<std::string>(body_.prompts[prompt]);
  const size_t begin = is_text ? served_.tokenizer.text_prefix().size() : 0;
  const std::span<const TokenId> tokens = *generation.prompt;
  for (size_t i = 0; i < tokens.size(); ++i) {
    result.text += text.push(i < begin ? std::string_view()
                                       : served_.tokenizer.token_bytes_behind(
                                             tokens.first(i > begin ? i : 0), tokens[i]));
  }
  result.text += text.finish();
  result.offsets = text.offsets();
  // An empty prompt is read as the token that ends a text, of which nobody asked.
  if (std::visit([](const auto& given) { return given.empty(); }, body_.prompts[prompt])) {
    result.text.clear();
    std::fill(result.offsets.begin(), result.offsets.end(), 0);
  }
  return result;
}

OrderedJson CompletionAnswer::head() const {
  const auto* const object = !body_.chat    ? "text_completion"
                             : body_.stream ? "chat.completion.chunk"
                                            : "chat.completion";
  return {{"id", id_}, {"object", object}, {"created", created_}, {"model", served_.id}};
}

/// A choice that has not ended.
OrderedJson CompletionAnswer::choice(size_t index, std::string_view text,
                                     std::span<const ToldToken> tokens) const {
  OrderedJson json = {{"index", index}};
  if (!body_.chat) {
    json["text"] = text;
  } else if (body_.stream) {
    json["delta"] = {{"content", text}};
  } else {
    json["message"] = {{"role", "assistant"}, {"content", text}};
  }
  // In a stream null where an event tells of no token.
  if (!body_.tells_logprobs || (body_.stream && tokens.empty())) {
    json["logprobs"] = nullptr;
  } else {
    json["logprobs"] = body_.chat ? chat_logprobs(tokens, served_.tokenizer)
                                  : completion_logprobs(tokens, served_.tokenizer);
  }
  json["finish_reason"] = nullptr;
  json["stop_reason"] = nullptr;
  if (body_.loops_by_token && !(body_.stream && tokens.empty())) {
    json["loops"]["tokens"] = loops_of_tokens(tokens);
  }
  if (body_.inside && !(body_.stream && tokens.empty())) {
    json["inside"] = inside_of_tokens(tokens);
  }
  return json;
}

void CompletionAnswer::add_end(OrderedJson& choice, const Generation& generation) const {
  choice["finish_reason"] = finish_reason(generation.stop_reason);
  if (generation.stop_reason == StopReason::kStopString) {
    choice["stop_reason"] = generation.stop_string;
  }
  choice["loops"]["mean"] = std::isfinite(generation.mean_loops) ? generation.mean_loops : 0.0;
}

std::string CompletionAnswer::event(OrderedJson choice) const {
  auto json = head();
  json["choices"] = OrderedJson::array({std::move(choice)});
  if (body_.include_usage) {
    json["usage"] = nullptr;
  }
  return fmt::format("data: {}\n\n", write_line(json));
}

/// The event before the first token: the role, or the prompt.
std::string CompletionAnswer::begin(size_t prompt, const Generation& so_far) {
  const auto index = index_of(prompt, so_far);
  auto& told = told_[index];
  if (std::exchange(told.has_begun, true)) {
    return "";
  }
  if (body_.chat) {
    auto json = choice(index, "", {});
    json["delta"] = {{"role", "assistant"}, {"content", ""}};
    return event(std::move(json));
  }
  if (!body_.echo) {
    return "";
  }
  const auto text = text_of_prompt(prompt, so_far);
  told.offset = count_code_points(text.text);
  return event(choice(index, text.text, tokens_of_prompt(so_far, text.offsets)));
}

/// A choice with what is new of a completion.
OrderedJson CompletionAnswer::next_choice(size_t index, const Generation& so_far,
                                          std::string_view piece, bool is_end) {
  auto& told = told_[index];
  told.bytes += piece.size();
  if (!tells_tokens()) {
    return choice(index, piece, {});
  }
  for (size_t i = told.places.offsets().size(); i < so_far.tokens.size(); ++i) {
    (void)told.places.push(
        i == 0 ? served_.tokenizer.token_bytes_behind(*so_far.prompt, so_far.tokens[i])
               : served_.tokenizer.token_bytes(so_far.tokens[i]));
  }
  if (is_end) {
    (void)told.places.finish();
  }
  const auto from = std::exchange(told.tokens, told.places.num_placed());
  auto tokens = tokens_of_text(so_far, told.places.offsets(), told.offset, from, told.tokens);
  if (is_end) {
    const auto end = tokens_of_end(so_far, told.offset);
    tokens.insert(tokens.end(), end.begin(), end.end());
  }
  return choice(index, piece, tokens);
}

std::string CompletionAnswer::on_token(size_t prompt, const Generation& so_far,
                                       std::string_view piece) {
  const auto index = index_of(prompt, so_far);
  const auto before = told_.at(index).completion_tokens;
  const auto& told = note(prompt, so_far);
  if (!body_.stream) {
    return "";
  }
  auto events = begin(prompt, so_far);
  if (!piece.empty() || told.completion_tokens > before) {
    events += event(next_choice(index, so_far, piece, /*is_end=*/false));
  }
  return events;
}

std::string CompletionAnswer::on_finished(size_t prompt, Generation generation) {
  const auto index = index_of(prompt, generation);
  const auto& told = note(prompt, generation);
  if (!body_.stream) {
    finished_[index] = std::move(generation);
    return "";
  }
  auto events = begin(prompt, generation);
  const auto piece =
      std::string_view(generation.text).substr(std::min(told.bytes, generation.text.size()));
  auto json = next_choice(index, generation, piece, /*is_end=*/true);
  if (body_.chat && piece.empty()) {
    json["delta"] = OrderedJson::object();
  }
  add_end(json, generation);
  return events + event(std::move(json));
}

CompletionUsage CompletionAnswer::usage() const {
  CompletionUsage usage;
  double loops = 0.0;
  double tokens = 0.0;
  for (size_t i = 0; i < told_.size(); i += static_cast<size_t>(body_.n)) {
    int64_t prompt_tokens = 0;
    for (size_t c = i; c < i + static_cast<size_t>(body_.n); ++c) {
      const auto& told = told_[c];
      prompt_tokens = std::max(prompt_tokens, told.prompt_tokens);
      usage.completion_tokens += told.completion_tokens;
      const auto weight = static_cast<double>(told.prompt_tokens + told.completion_tokens);
      loops += std::isfinite(told.mean_loops) ? weight * told.mean_loops : 0.0;
      tokens += weight;
    }
    usage.prompt_tokens += prompt_tokens;
  }
  usage.loops_mean = tokens > 0.0 ? loops / tokens : 0.0;
  return usage;
}

OrderedJson CompletionAnswer::usage_json() const {
  const auto count = usage();
  return {{"prompt_tokens", count.prompt_tokens},
          {"completion_tokens", count.completion_tokens},
          {"total_tokens", count.prompt_tokens + count.completion_tokens},
          {"loops_mean", count.loops_mean}};
}

std::string CompletionAnswer::end_of_stream() const {
  std::string events;
  if (body_.include_usage) {
    auto json = head();
    json["choices"] = OrderedJson::array();
    json["usage"] = usage_json();
    events = fmt::format("data: {}\n\n", write_line(json));
  }
  return events + "data: [DONE]\n\n";
}

OrderedJson CompletionAnswer::whole_choice(size_t index) const {
  const auto& generation = *finished_[index];
  PromptText prompt;
  std::vector<ToldToken> tokens;
  if (body_.echo) {
    prompt = text_of_prompt(index / static_cast<size_t>(body_.n), generation);
    tokens = tokens_of_prompt(generation, prompt.offsets);
  }
  const auto begin = count_code_points(prompt.text);
  for (const auto& more : {tokens_of_text(generation, generation.text_offsets, begin, 0,
                                          generation.text_offsets.size()),
                           tokens_of_end(generation, begin)}) {
    tokens.insert(tokens.end(), more.begin(), more.end());
  }
  auto json = choice(index, prompt.text + generation.text, tokens);
  add_end(json, generation);
  return json;
}

std::string CompletionAnswer::whole() const {
  auto json = head();
  auto choices = OrderedJson::array();
  for (size_t index = 0; index < finished_.size(); ++index) {
    if (finished_[index]) {
      choices.push_back(whole_choice(index));
    }
  }
  json["choices"] = std::move(choices);
  json["usage"] = usage_json();
  return write_line(json);
}

}  // namespace loopbank

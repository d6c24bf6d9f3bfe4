/// Bodies of completions and chats, and of the two ways between text and ids.
///
/// Input: a body. What is taken becomes requests that the engine takes, and an answer to it is JSON.

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "loopbank/serve/api/completion_answer.h"
#include "loopbank/serve/api/completion_request.h"
#include "loopbank/serve/api/model_answers.h"
#include "target.h"

namespace loopbank {
namespace {

/// A model of which only the config counts: nothing runs here.
const ServedModel& served_model() {
  static const auto model = [] {
    ModelConfig config;
    config.vocab_size = 300;  // more than there are ids
    config.hidden_size = 8;
    config.intermediate_size = 8;
    config.num_hidden_layers = 1;
    config.num_attention_heads = 1;
    config.max_position_embeddings = 64;
    config.max_loops = 3;
    return LanguageModel(config);
  }();
  static const auto tokenizer = Tokenizer::bytes();
  static const ServedModel served{.model = model,
                                  .tokenizer = tokenizer,
                                  .id = "m",
                                  .chat = ChatTemplate{.begin = "<|endoftext|>",
                                                       .system = "S{content}\n",
                                                       .user = "U{content}<|endoftext|>",
                                                       .answer = "A",
                                                       .stop = {"U"}}};
  return served;
}

/// Whether `read` took the body; what it throws else must be an answer.
template <typename Read>
bool is_taken(const Read& read) {
  try {
    read();
    return true;
  } catch (const ApiError& error) {
    const std::string text = error.what();
    fuzz::require(text.ends_with('.') || text.ends_with('?') || text.ends_with("..."),
                  "an error is a sentence");
    fuzz::require(text.find('\n') == std::string::npos && text.size() < 1500,
                  "an error is one line, and not a long one");
    fuzz::require(error.status() == 400 || error.status() == 404 || error.status() == 422,
                  "a body's fault is the client's");
    const auto json = nlohmann::json::parse(error_body(error));
    fuzz::require(json["error"]["code"].is_string(), "an error has a code");
    return false;
  }
}

/// The end of a completion that wrote the first bytes of the body.
Generation generation_for(const Request& request, const CompletionBody& body,
                          std::string_view text) {
  Generation generation;
  TextStream characters(body.options.stop);
  for (const char byte : text.substr(0, static_cast<size_t>(request.max_tokens))) {
    generation.tokens.push_back(static_cast<unsigned char>(byte));
    generation.text += characters.push({&byte, 1});
    if (characters.stopped()) {
      generation.stop_reason = StopReason::kStopString;
      break;
    }
  }
  generation.text += characters.finish();
  generation.text_offsets = characters.offsets();
  generation.log_probabilities.assign(generation.tokens.size(), -1.0);
  generation.loops.assign(generation.tokens.size(), 2.0);
  generation.prompt = std::make_shared<const std::vector<TokenId>>(request.prompt);
  return generation;
}

void answer(const CompletionBody& body, std::string_view text) {
  const auto& served = served_model();
  std::vector<Request> requests;
  if (!is_taken([&] { requests = requests_of(body, served); })) {
    return;
  }
  fuzz::require(requests.size() == body.prompts.size() && !requests.empty(), "a request a prompt");
  fuzz::require(static_cast<int64_t>(requests.size()) * body.n <= kMostChoices, "few choices");
  CompletionAnswer answer(body, served, "id", 1);
  std::string events;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto& request = requests[i];
    fuzz::require(!request.prompt.empty() && request.prompt.size() <= 65 &&
                      request.max_tokens >= 0 && request.max_tokens <= 64 &&
                      request.completions == body.n,
                  "a request is within the context");
    auto generation = generation_for(request, body, text);
    for (; generation.completion < body.n; ++generation.completion) {
      events += answer.on_finished(i, generation);
    }
  }
  fuzz::require(events.empty() == !body.stream, "events in a stream alone");
  fuzz::require(nlohmann::json::accept(answer.whole()), "an answer is JSON");
  for (size_t begin = 0; begin < events.size();) {
    const auto end = events.find("\n\n", begin);
    fuzz::require(events.compare(begin, 6, "data: ") == 0 && end != std::string::npos &&
                      nlohmann::json::accept(events.begin() + static_cast<ptrdiff_t>(begin) + 6,
                                             events.begin() + static_cast<ptrdiff_t>(end)),
                  "an event is JSON on a line");
    begin = end + 2;
  }
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  const auto text = fuzz::as_text(data, size);
  const auto& served = served_model();
  // Each body goes to the reader that it looks made for: four would be a quarter as many inputs.
  const auto has = [&](std::string_view field) { return text.find(field) != std::string::npos; };
  CompletionBody body;
  std::string tokens;
  if (has("\"tokens\"")) {
    (void)is_taken([&] { tokens = detokenize(text, served); });
  } else if (has("\"messages\"")) {
    if (is_taken([&] { body = parse_chat_body(text, served); })) {
      answer(body, text);
    }
  } else if (has("\"add_special_tokens\"")) {
    (void)is_taken([&] { tokens = tokenize(text, served); });
  } else if (is_taken([&] { body = parse_completion_body(text, served); })) {
    answer(body, text);
  }
  fuzz::require(tokens.empty() || nlohmann::json::accept(tokens), "an answer is JSON");
  return 0;
}

#pragma once
/// Completions as the OpenAI API writes them: one JSON object, or events of a stream.

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/infer/text_stream.h"
#include "loopbank/serve/api/completion_request.h"

namespace loopbank {

struct ToldToken;

/// What a request took, for its usage object and its line in the log.
struct CompletionUsage {
  int64_t prompt_tokens = 0;      ///< of each prompt once
  int64_t completion_tokens = 0;  ///< of all completions, each token that ended a text included
  double loops_mean = 0.0;  ///< over all tokens read, each completion's mean counted by its tokens
};

/// The answer to one request, told as it comes. Not safe for several threads at once.
///
/// A stream has an event for each token. What it says of tokens (log probabilities, loops, what
/// they did inside) comes with the event by which the character that a token begins with is
/// complete, so that its offset is the one that the whole answer gives; of a text that a stop
/// string ends, the whole answer moves the offsets of the tokens behind to the end.
///
/// The token by which a model ends a text has no part in the text, but an entry of its own behind
/// the others: so max_tokens 1 always gives one.
class CompletionAnswer {
 public:
  /// @param id       such as `cmpl-` and the request's
  /// @param created  Unix seconds
  CompletionAnswer(CompletionBody body, const ServedModel& served, std::string id, int64_t created);

  /// The events that these bring, each `data: {...}\n\n`; nothing where the answer is no stream.
  /// @param prompt  its place among the body's
  [[nodiscard]] std::string on_token(size_t prompt, const Generation& so_far,
                                     std::string_view piece);
  [[nodiscard]] std::string on_finished(size_t prompt, Generation generation);
  /// The last events: usage where it was asked for, `data: [DONE]`.
  [[nodiscard]] std::string end_of_stream() const;
  /// The whole answer, once all completions are finished.
  [[nodiscard]] std::string whole() const;
  /// Of what has come so far.
  [[nodiscard]] CompletionUsage usage() const;

 private:
  /// A completion as far as it was told.
  struct Told {
    bool has_begun = false;
    size_t tokens = 0;   ///< told
    size_t bytes = 0;    ///< of its text
    TextStream places;   ///< of its tokens
    int64_t offset = 0;  ///< at which it begins: the prompt's characters, where that is told
    int64_t prompt_tokens = 0;
    int64_t completion_tokens = 0;
    double mean_loops = 0.0;
  };
  /// A prompt as text.
  struct PromptText {
    std::string text;
    std::vector<int64_t> offsets;
  };

  [[nodiscard]] size_t index_of(size_t prompt, const Generation& generation) const;
  [[nodiscard]] bool tells_tokens() const;
  Told& note(size_t prompt, const Generation& so_far);
  [[nodiscard]] PromptText text_of_prompt(size_t prompt, const Generation& generation) const;
  [[nodiscard]] nlohmann::ordered_json head() const;
  [[nodiscard]] nlohmann::ordered_json usage_json() const;
  [[nodiscard]] nlohmann::ordered_json choice(size_t index, std::string_view text,
                                              std::span<const ToldToken> tokens) const;
  [[nodiscard]] nlohmann::ordered_json whole_choice(size_t index) const;
  [[nodiscard]] nlohmann::ordered_json next_choice(size_t index, const Generation& so_far,
                                                   std::string_view piece, bool is_end);
  void add_end(nlohmann::ordered_json& choice, const Generation& generation) const;
  [[nodiscard]] std::string event(nlohmann::ordered_json choice) const;
  [[nodiscard]] std::string begin(size_t prompt, const Generation& so_far);

  CompletionBody body_;
  const ServedModel& served_;
  std::string id_;
  int64_t created_;
  std::vector<Told> told_;  // by choice
  std::vector<std::optional<Generation>> finished_;
};

}  // namespace loopbank

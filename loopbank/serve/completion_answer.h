#pragma once
/// Completions as the OpenAI API writes them: one JSON object, or events of a stream.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "loopbank/serve/completion_request.h"

namespace loopbank {

/// What a request took, for its usage object and its line in the log.
struct CompletionUsage {
  int64_t prompt_tokens = 0;
  int64_t completion_tokens = 0;
  double loops_mean = 0.0;  ///< over all tokens read, each completion's mean counted by its tokens
};

/// The answer to one request, told as it comes. Not safe for several threads at once.
class CompletionAnswer {
 public:
  /// @param id  such as `cmpl-` and the request's
  CompletionAnswer(CompletionBody body, const ServedModel& served, std::string id, int64_t created);

  /// The events that these bring, each `data: {...}\n\n`; nothing where the answer is no stream.
  [[nodiscard]] std::string on_token(size_t prompt, const Generation& so_far, std::string_view piece);
  [[nodiscard]] std::string on_finished(size_t prompt, Generation generation);
  /// The last events: usage where it was asked for, `data: [DONE]`.
  [[nodiscard]] std::string end_of_stream();
  /// The whole answer, once all completions are finished.
  [[nodiscard]] std::string whole() const;
  [[nodiscard]] CompletionUsage usage() const;

 private:
  CompletionBody body_;
  const ServedModel& served_;
  std::string id_;
  int64_t created_;
  std::vector<Generation> finished_;
};

}  // namespace loopbank

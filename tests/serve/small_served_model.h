#pragma once
/// A small model over bytes as a server holds it.

#include <string>
#include <utility>

#include "loopbank/serve/api/served_model.h"
#include "loopbank/serve/http/api_error.h"
#include "tests/eval/bigram_model.h"

namespace loopbank::testing {

/// The model and its tokenizer live as long as the program.
inline ServedModel small_served_model(int64_t context = 64) {
  static const auto model = random_model();
  static const auto short_model = random_model(/*max_length=*/16);
  static const auto tokenizer = Tokenizer::bytes();
  return {.model = context == 16 ? short_model : model,
          .tokenizer = tokenizer,
          .id = "small",
          .created = 1700000000,
          .why_no_chat = "chat: expected a template, got none. Give one."};
}

/// What `action` threw; status 0: nothing.
template <typename Action>
ApiError api_error_of_action(Action&& action) {
  try {
    action();
  } catch (const ApiError& error) {
    return error;
  }
  return {0, "nothing was thrown"};
}

}  // namespace loopbank::testing

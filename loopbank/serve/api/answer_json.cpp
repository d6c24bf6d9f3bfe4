#include "loopbank/serve/api/answer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

using OrderedJson = nlohmann::ordered_json;

/// What stands for the log probability of a token that cannot come: JSON knows no infinity.
constexpr double kLeastLogProbability = -9999.0;

double told(double log_probability) {
  return std::isfinite(log_probability) ? std::max(log_probability, kLeastLogProbability)
                                        : kLeastLogProbability;
}

/// To 4 significant digits.
double rounded(double number) {
  return std::isfinite(number) ? std::stod(fmt::format("{:.4g}", number)) : 0.0;
}

OrderedJson rounded(const std::vector<double>& numbers) {
  auto list = OrderedJson::array();
  for (const double number : numbers) {
    list.push_back(rounded(number));
  }
  return list;
}

/// A token's own entry and its alternatives, the most probable first.
std::vector<TokenLogProbability> with_alternatives(const ToldToken& token) {
  std::vector<TokenLogProbability> all(token.top.begin(), token.top.end());
  const bool is_there = std::any_of(all.begin(), all.end(),
                                    [&](const auto& entry) { return entry.token == token.token; });
  if (!is_there && token.log_probability) {
    all.push_back({token.token, *token.log_probability});
  }
  return all;
}

OrderedJson alternatives_by_text(const ToldToken& token, const Tokenizer& tokenizer) {
  // Built without the look-ups of operator[], which are as many as half the square of the entries.
  OrderedJson::object_t object;
  std::set<std::string> texts;
  for (const auto& entry : with_alternatives(token)) {
    auto text = token_text(entry.token, tokenizer);
    if (!texts.insert(text).second) {
      text = fmt::format("token_id:{}", entry.token);
      texts.insert(text);
    }
    object.emplace_back(std::move(text), told(entry.log_probability));
  }
  return object;
}

OrderedJson chat_entry(TokenId token, double log_probability, const Tokenizer& tokenizer) {
  auto bytes = OrderedJson::array();
  for (const char byte : tokenizer.token_bytes(token)) {
    bytes.push_back(static_cast<int>(static_cast<unsigned char>(byte)));
  }
  return {{"token", token_text(token, tokenizer)},
          {"logprob", told(log_probability)},
          {"bytes", std::move(bytes)}};
}

OrderedJson to_json(const TokenInside& inside) {
  auto halting = OrderedJson::array();
  for (const auto& layer : inside.halting) {
    halting.push_back(rounded(layer));
  }
  auto reads = OrderedJson::array();
  for (const auto& read : inside.reads) {
    auto top = OrderedJson::array();
    for (const auto& [slot, weight] : read.top) {
      top.push_back(OrderedJson::array({slot, rounded(weight)}));
    }
    reads.push_back({{"layer", read.layer},
                     {"bank", read.global ? "global" : "local"},
                     {"gate", rounded(read.gate)},
                     {"top", std::move(top)}});
  }
  return {{"loops", rounded(inside.loops)},
          {"halting", std::move(halting)},
          {"reads", std::move(reads)}};
}

}  // namespace

std::string token_text(TokenId token, const Tokenizer& tokenizer) {
  const auto bytes = tokenizer.token_bytes(token);
  if (is_valid_utf8(bytes)) {
    return std::string(bytes);
  }
  std::string text = "bytes:";
  for (const char byte : bytes) {
    const bool is_plain = byte >= ' ' && byte <= '~' && byte != '\\';
    text += is_plain ? std::string(1, byte)
                     : fmt::format("\\x{:02x}", static_cast<unsigned char>(byte));
  }
  return text;
}

OrderedJson completion_logprobs(std::span<const ToldToken> tokens, const Tokenizer& tokenizer) {
  auto texts = OrderedJson::array();
  auto log_probabilities = OrderedJson::array();
  auto tops = OrderedJson::array();
  auto offsets = OrderedJson::array();
  for (const auto& token : tokens) {
    texts.push_back(token_text(token.token, tokenizer));
    offsets.push_back(token.offset);
    if (token.log_probability) {
      log_probabilities.push_back(told(*token.log_probability));
      tops.push_back(alternatives_by_text(token, tokenizer));
    } else {
      log_probabilities.push_back(nullptr);
      tops.push_back(nullptr);
    }
  }
  return {{"tokens", std::move(texts)},
          {"token_logprobs", std::move(log_probabilities)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

OrderedJson chat_logprobs(std::span<const ToldToken> tokens, const Tokenizer& tokenizer) {
  auto content = OrderedJson::array();
  for (const auto& token : tokens) {
    auto entry = chat_entry(token.token, token.log_probability.value_or(0.0), tokenizer);
    auto top = OrderedJson::array();
    for (const auto& alternative : token.top) {
      top.push_back(chat_entry(alternative.token, alternative.log_probability, tokenizer));
    }
    entry["top_logprobs"] = std::move(top);
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}};
}

OrderedJson loops_of_tokens(std::span<const ToldToken> tokens) {
  auto list = OrderedJson::array();
  for (const auto& token : tokens) {
    list.push_back(token.loops ? OrderedJson(*token.loops) : OrderedJson());
  }
  return list;
}

OrderedJson inside_of_tokens(std::span<const ToldToken> tokens) {
  auto list = OrderedJson::array();
  for (const auto& token : tokens) {
    list.push_back(token.inside != nullptr ? to_json(*token.inside) : OrderedJson());
  }
  return list;
}

std::string write_line(const OrderedJson& json) {
  return json.dump(-1, ' ', /*ensure_ascii=*/false, OrderedJson::error_handler_t::replace);
}

}  // namespace loopbank

#pragma once
/// Several token sources as one: tokens and documents of the first, then those of the next.

#include <memory>
#include <string>
#include <vector>

#include "loopbank/data/token_source.h"

namespace loopbank {

class JoinedTokens final : public TokenSource {
 public:
  /// @param path   the folder or pattern that stands for all of them
  /// @param parts  at least one
  /// @param name   of their format
  JoinedTokens(std::filesystem::path path, std::string name,
               std::vector<std::shared_ptr<const TokenSource>> parts);

  [[nodiscard]] int64_t num_tokens() const override { return tokens_before_.back(); }
  [[nodiscard]] int64_t num_documents() const override { return documents_before_.back(); }
  /// The largest of the parts' sizes; 0 if one of them does not know its own.
  [[nodiscard]] int64_t vocab_size() const override { return vocab_size_; }
  /// What the first part says, under the name given.
  [[nodiscard]] TokenFormat format() const override;
  [[nodiscard]] const std::filesystem::path& path() const override { return path_; }
  [[nodiscard]] std::pair<int64_t, int64_t> document(int64_t index) const override;
  void copy(int64_t begin, int64_t count, int64_t* out) const override;
  void expect_vocabulary(const Tokenizer& tokenizer) const override;

 private:
  std::filesystem::path path_;
  std::string name_;
  std::vector<std::shared_ptr<const TokenSource>> parts_;
  std::vector<int64_t> tokens_before_{0};     // [parts + 1]
  std::vector<int64_t> documents_before_{0};  // [parts + 1]
  int64_t vocab_size_ = 0;
};

}  // namespace loopbank

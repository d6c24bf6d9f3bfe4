#include "loopbank/data/raw_tokens.h"

#include <algorithm>
#include <utility>

#include "loopbank/data/packed_ids.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kChunkTokens = 512;  // the ids of a chunk are looked at twice, from the cache

}  // namespace

RawTokens::RawTokens(const std::filesystem::path& path, MappedFile file, RawLayout layout,
                     const TokenSourceOptions& options)
    : path_(path),
      file_(std::move(file)),
      layout_(std::move(layout)),
      vocab_size_(options.tokenizer != nullptr ? options.tokenizer->vocab_size() : 0),
      starts_{0, layout_.num_tokens} {}

const std::byte* RawTokens::token(int64_t index) const {
  return file_.bytes().data() + layout_.first_byte + index * width();
}

void RawTokens::find_documents(TokenId end_of_text) {
  starts_ = {0};
  const auto wanted = static_cast<uint32_t>(end_of_text);
  for (int64_t begin = 0; begin < num_tokens(); begin += kChunkTokens) {
    const auto count = std::min(kChunkTokens, num_tokens() - begin);
    auto found = summarize_ids(token(begin), width(), count, wanted);
    expect_known(found.largest, begin, count);
    for (int64_t i = 0; found.num_wanted > 0; ++i) {
      if (id_at(token(begin), width(), i) == wanted) {
        --found.num_wanted;
        if (begin + i > 0) {
          starts_.push_back(begin + i + 1);
        }
      }
    }
  }
  if (starts_.back() != num_tokens() || starts_.size() == 1) {
    starts_.push_back(num_tokens());
  }
}

void RawTokens::check_ids() const {
  for (int64_t begin = 0; begin < num_tokens(); begin += kChunkTokens) {
    const auto count = std::min(kChunkTokens, num_tokens() - begin);
    const auto found = summarize_ids(token(begin), width(), count, 0);
    expect_known(found.largest, begin, count);
  }
}

void RawTokens::expect_known(uint64_t largest, int64_t begin, int64_t count) const {
  if (count > 0 && vocab_size_ > 0 && largest >= static_cast<uint64_t>(vocab_size_)) {
    fail(ErrorCode::kData,
         "{}: {}. The file is damaged, of another tokenizer or not the {} that its name says{}.",
         path_.string(), unknown_id(vocab_size_, token(begin), width(), begin, count),
         layout_.format.name,
         layout_.format.states_width ? ""
                                     : fmt::format(", or its ids are not of {} bytes", width()));
  }
}

std::pair<int64_t, int64_t> RawTokens::document(int64_t index) const {
  expect_document(*this, index);
  const auto at = static_cast<size_t>(index);
  return {starts_[at], starts_[at + 1]};
}

void RawTokens::copy(int64_t begin, int64_t count, int64_t* out) const {
  expect_token_range(*this, begin, count);
  const auto largest = widen_ids(token(begin), width(), count, out);
  expect_known(largest, begin, count);
}

void RawTokens::expect_vocabulary(const Tokenizer& tokenizer) const {
  if (vocab_size_ == 0 || vocab_size_ > tokenizer.vocab_size()) {
    fail(ErrorCode::kData,
         "{}: expected to be opened with a tokenizer of {} ids, which bounds what a {} holds, got "
         "{}.",
         path_.string(), tokenizer.vocab_size(), layout_.format.name,
         vocab_size_ == 0 ? "none" : fmt::format("one of {}", vocab_size_));
  }
}

}  // namespace loopbank

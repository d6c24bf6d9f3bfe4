#include "loopbank/infer/cached_text.h"

#include <cstring>
#include <utility>

#include "loopbank/support/rounding.h"

namespace loopbank {

bool CachedText::extend(int64_t length) {
  auto pages = pages_;
  const auto first_written = length_ / ops::kPageTokens;
  const auto wanted = divide_up(length, ops::kPageTokens);
  for (auto i = first_written; i < wanted; ++i) {
    const auto place = static_cast<size_t>(i);
    if (place == pages.size()) {
      pages.push_back(store_->take(slots_));
    } else if (pages_[place].use_count() > 2) {  // `pages` and `pages_` hold it
      pages[place] = store_->copy(slots_, *pages[place]);
    }
    if (pages[place] == nullptr) {
      return false;
    }
  }
  pages_ = std::move(pages);
  length_ = length;
  return true;
}

void CachedText::truncate(int64_t length) {
  length_ = length;
  pages_.resize(static_cast<size_t>(divide_up(length, ops::kPageTokens)));
}

void CachedText::share(const std::shared_ptr<Page>& page, int64_t count) {
  pages_.push_back(page);
  length_ += count;
}

bool CachedText::reduce() {
  CachedText reduced(*store_, PageSlots::kOne);
  if (!reduced.extend(length_)) {
    return false;
  }
  const auto bytes = static_cast<size_t>(store_->layout().bytes());
  for (int64_t layer = 0; layer < store_->num_layers(); ++layer) {
    for (int64_t at = 0; at < length_; at += ops::kPageTokens) {
      std::memcpy(reduced.block(reduced.map().kept(layer), at), block(map().kept(layer), at),
                  bytes);
    }
  }
  *this = std::move(reduced);
  return true;
}

void CachedText::blocks(int64_t slot, std::vector<const void*>& into) const {
  into.clear();
  for (const auto& page : pages_) {
    into.push_back(page->data + slot * store_->layout().bytes());
  }
}

}  // namespace loopbank

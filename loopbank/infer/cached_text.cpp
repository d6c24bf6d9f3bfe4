#include "loopbank/infer/cached_text.h"

#include <cstring>
#include <utility>

#include "loopbank/support/rounding.h"

namespace loopbank {

bool CachedText::extend(int64_t length) {
  const auto first = static_cast<size_t>(length_ / ops::kPageTokens);
  const auto wanted = static_cast<size_t>(divide_up(length, ops::kPageTokens));
  const auto before = pages_.size();
  std::shared_ptr<Page> shared;  // the only page that tokens are added to
  for (auto place = first; place < wanted; ++place) {
    std::shared_ptr<Page> page;
    if (place == pages_.size()) {
      page = store_->take(slots_);
    } else if (pages_[place].use_count() > 1) {
      page = store_->copy(slots_, *pages_[place]);
    } else {
      continue;
    }
    if (page == nullptr) {
      pages_.resize(before);
      if (shared != nullptr) {
        pages_[first] = shared;
      }
      return false;
    }
    if (place < pages_.size()) {
      shared = std::exchange(pages_[place], std::move(page));
    } else {
      pages_.push_back(std::move(page));
    }
  }
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

void CachedText::data_of_pages(std::vector<const void*>& into) const {
  into.clear();
  for (const auto& page : pages_) {
    into.push_back(page->data);
  }
}

}  // namespace loopbank

#pragma once
/// The keys and values of one text.

#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/infer/page_store.h"

namespace loopbank {

class CachedText {
 public:
  /// An empty text.
  CachedText(PageStore& store, PageSlots slots) : store_(&store), slots_(slots) {}

  /// Tokens.
  [[nodiscard]] int64_t length() const { return length_; }
  [[nodiscard]] PageSlots slots() const { return slots_; }
  [[nodiscard]] const SlotMap& map() const { return store_->slots(slots_); }

  /// Makes room for tokens up to `length`, which are then to be written in every slot. Pages that
  /// another text shares are copied before they are written to.
  /// @return false where the store's budget does not allow it; the text is as it was then
  [[nodiscard]] bool extend(int64_t length);
  /// Forgets the tokens from `length` on.
  void truncate(int64_t length);
  /// The same tokens again, sharing their pages.
  [[nodiscard]] CachedText fork() const { return *this; }
  /// Appends the first `count` tokens of another text's page to a text of whole pages.
  void share(const std::shared_ptr<Page>& page, int64_t count);
  /// The same tokens with the kept slot of `kBoth` alone.
  /// @return false where the store's budget does not allow it; the text is as it was then
  [[nodiscard]] bool reduce();

  /// The block of the token at a position, of a slot of `map`.
  [[nodiscard]] std::byte* block(int64_t slot, int64_t position) const {
    return pages_[static_cast<size_t>(position / ops::kPageTokens)]->data +
           slot * store_->layout().bytes();
  }
  /// Where the pages lie, those of the first tokens first.
  void data_of_pages(std::vector<const void*>& into) const;

  [[nodiscard]] const std::vector<std::shared_ptr<Page>>& pages() const { return pages_; }

 private:
  PageStore* store_;
  PageSlots slots_;
  std::vector<std::shared_ptr<Page>> pages_;
  int64_t length_ = 0;
};

}  // namespace loopbank

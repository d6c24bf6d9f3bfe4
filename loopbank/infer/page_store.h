#pragma once
/// Memory for keys and values, in pages of sixteen tokens.
///
/// A page holds one block (ops/pages.h) for every layer and slot: a text grows by whole pages and
/// nothing is ever moved. Pages are shared by texts with equal beginnings and go back to the store
/// with the last that holds them. The store hands out no more bytes than its budget.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "loopbank/ops/pages.h"

namespace loopbank {

/// Which slots a page has.
enum class PageSlots {
  kEveryLoop,  ///< N a layer, slot t for loop t
  kOne,        ///< one a layer, for all loops
  kBoth,       ///< while a prompt is read whose tokens will be left with one
};

/// Where the slots of the layers lie in a page.
class SlotMap {
 public:
  /// @param loops  N of each layer, at least 1
  SlotMap(const std::vector<int64_t>& loops, PageSlots slots);

  /// Blocks of a page.
  [[nodiscard]] int64_t count() const { return count_; }
  /// Of loop t of a layer: with one slot a layer, that one.
  [[nodiscard]] int64_t of_loop(int64_t layer, int64_t t) const;
  /// The one slot that stays.
  [[nodiscard]] int64_t kept(int64_t layer) const { return first_[static_cast<size_t>(layer)]; }

 private:
  PageSlots slots_;
  std::vector<int64_t> loops_;
  std::vector<int64_t> first_;  // of each layer
  int64_t count_ = 0;
};

/// Sixteen tokens' keys and values.
struct Page {
  std::byte* data = nullptr;  ///< its blocks one after another
};

class PageStore {
 public:
  /// @param layout  of the blocks
  /// @param loops   N of each layer
  /// @param budget  bytes that pages may take at the same time
  PageStore(const ops::PageLayout& layout, std::vector<int64_t> loops, int64_t budget);
  PageStore(const PageStore&) = delete;
  PageStore& operator=(const PageStore&) = delete;
  ~PageStore();

  [[nodiscard]] const ops::PageLayout& layout() const { return layout_; }
  [[nodiscard]] const SlotMap& slots(PageSlots kind) const;
  [[nodiscard]] int64_t num_layers() const { return static_cast<int64_t>(loops_.size()); }
  [[nodiscard]] int64_t loops(int64_t layer) const { return loops_[static_cast<size_t>(layer)]; }
  /// Of one page.
  [[nodiscard]] int64_t page_bytes(PageSlots kind) const;
  /// Of one token.
  [[nodiscard]] int64_t token_bytes(PageSlots kind) const;

  /// A page with whatever it last held; null where the budget does not allow one more. Goes back by
  /// itself, before the store does.
  [[nodiscard]] std::shared_ptr<Page> take(PageSlots kind);
  /// A copy of a page.
  [[nodiscard]] std::shared_ptr<Page> copy(PageSlots kind, const Page& page);

  [[nodiscard]] int64_t budget() const { return budget_; }
  /// Of the pages that are held by somebody.
  [[nodiscard]] int64_t bytes_in_use() const { return in_use_; }
  /// The most that was in use at the same time.
  [[nodiscard]] int64_t peak_bytes() const { return peak_; }

  /// From now on new pages are filled with NaN: what reads a slot that was not written shows.
  void poison() { poisoned_ = true; }

 private:
  struct Kind {
    SlotMap slots;
    std::vector<std::unique_ptr<Page>> free;
  };
  void give_back(PageSlots kind, Page* page);
  /// Frees the memory of pages that nobody holds until `bytes` more fit.
  bool make_room(int64_t bytes);

  ops::PageLayout layout_;
  std::vector<int64_t> loops_;
  int64_t budget_;
  std::vector<Kind> kinds_;  // by PageSlots
  int64_t in_use_ = 0;
  int64_t peak_ = 0;
  int64_t allocated_ = 0;  // in use and free
  bool poisoned_ = false;
};

}  // namespace loopbank

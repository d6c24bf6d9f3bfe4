#include "loopbank/infer/page_store.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace loopbank {
namespace {

constexpr size_t kPageAlignment = 64;

size_t index_of(PageSlots kind) {
  return static_cast<size_t>(kind);
}

std::unique_ptr<Page> allocate_page(int64_t bytes) {
  auto page = std::make_unique<Page>();
  const auto size = (static_cast<size_t>(bytes) + kPageAlignment - 1) / kPageAlignment;
  page->data = static_cast<std::byte*>(std::aligned_alloc(kPageAlignment, size * kPageAlignment));
  if (page->data == nullptr) {
    throw std::bad_alloc();
  }
  return page;
}

void free_page(Page& page) {
  std::free(page.data);
}

}  // namespace

SlotMap::SlotMap(const std::vector<int64_t>& loops, PageSlots slots)
    : slots_(slots), loops_(loops) {
  for (const auto num_loops : loops) {
    first_.push_back(count_);
    const bool has_one = slots == PageSlots::kOne || num_loops == 1;
    count_ += has_one ? 1 : num_loops + (slots == PageSlots::kBoth ? 1 : 0);
  }
}

int64_t SlotMap::of_loop(int64_t layer, int64_t t) const {
  const auto first = kept(layer);
  if (slots_ == PageSlots::kOne || loops_[static_cast<size_t>(layer)] == 1) {
    return first;
  }
  return first + (slots_ == PageSlots::kBoth ? t : t - 1);
}

PageStore::PageStore(const ops::PageLayout& layout, std::vector<int64_t> loops, int64_t budget)
    : layout_(layout), loops_(std::move(loops)), budget_(budget) {
  for (const auto kind : {PageSlots::kEveryLoop, PageSlots::kOne, PageSlots::kBoth}) {
    kinds_.push_back({.slots = SlotMap(loops_, kind), .free = {}});
  }
}

PageStore::~PageStore() {
  for (auto& kind : kinds_) {
    for (auto& page : kind.free) {
      free_page(*page);
    }
  }
}

const SlotMap& PageStore::slots(PageSlots kind) const {
  return kinds_[index_of(kind)].slots;
}

int64_t PageStore::page_bytes(PageSlots kind) const {
  return slots(kind).count() * layout_.bytes();
}

int64_t PageStore::token_bytes(PageSlots kind) const {
  return page_bytes(kind) / ops::kPageTokens;
}

std::shared_ptr<Page> PageStore::take(PageSlots kind) {
  const auto bytes = page_bytes(kind);
  if (in_use_ + bytes > budget_) {
    return nullptr;
  }
  auto& free = kinds_[index_of(kind)].free;
  std::unique_ptr<Page> page;
  if (!free.empty()) {
    page = std::move(free.back());
    free.pop_back();
  } else {
    if (!make_room(bytes)) {
      return nullptr;
    }
    page = allocate_page(bytes);
    allocated_ += bytes;
  }
  if (poisoned_) {
    std::memset(page->data, 0xFF, static_cast<size_t>(bytes));  // NaN in fp32 and in bf16
  }
  in_use_ += bytes;
  peak_ = std::max(peak_, in_use_);
  return {page.release(), [this, kind](Page* held) { give_back(kind, held); }};
}

std::shared_ptr<Page> PageStore::copy(PageSlots kind, const Page& page) {
  auto copied = take(kind);
  if (copied != nullptr) {
    std::memcpy(copied->data, page.data, static_cast<size_t>(page_bytes(kind)));
  }
  return copied;
}

void PageStore::give_back(PageSlots kind, Page* page) {
  in_use_ -= page_bytes(kind);
  kinds_[index_of(kind)].free.emplace_back(page);
}

bool PageStore::make_room(int64_t bytes) {
  for (auto kind : {PageSlots::kEveryLoop, PageSlots::kOne, PageSlots::kBoth}) {
    auto& free = kinds_[index_of(kind)].free;
    while (allocated_ + bytes > budget_ && !free.empty()) {
      free_page(*free.back());
      free.pop_back();
      allocated_ -= page_bytes(kind);
    }
  }
  return allocated_ + bytes <= budget_;
}

}  // namespace loopbank

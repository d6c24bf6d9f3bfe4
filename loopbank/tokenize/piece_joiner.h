#pragma once
/// What becomes of the matches that a step of a pre-tokenizer cuts by, and of what lies between.
///
///     text "the-final--countdown", matches "-"
///     kRemoved             the   final   countdown
///     kIsolated            the - final - - countdown
///     kMergedWithPrevious  the- final- - countdown
///     kMergedWithNext      the -final - -countdown
///     kContiguous          the - final -- countdown

#include <cstddef>

namespace loopbank {

enum class SplitBehavior { kRemoved, kIsolated, kMergedWithPrevious, kMergedWithNext, kContiguous };

/// Takes the matches of one text in order and hands on pieces in order, none of them empty.
///
/// A match of nothing is a match: it ends the piece before it, and joins what a match would join.
template <typename HandOn>
class PieceJoiner {
 public:
  /// @param invert   what lies between two matches counts as the match
  /// @param hand_on  called with begin and end of each piece
  PieceJoiner(SplitBehavior behavior, bool invert, HandOn& hand_on)
      : behavior_(behavior), invert_(invert), hand_on_(hand_on) {}

  void add_match(size_t begin, size_t end) {
    if (begin != covered_) {
      add(covered_, begin, invert_);
    }
    add(begin, end, !invert_);
    covered_ = end;
  }

  /// After the last match.
  void finish(size_t size) {
    if (covered_ != size) {
      add(covered_, size, invert_);
    }
    if (any_held_) {
      hand_on(held_begin_, held_end_);
    }
  }

 private:
  void add(size_t begin, size_t end, bool is_match) {
    bool joins = false;
    switch (behavior_) {
      case SplitBehavior::kRemoved:
        if (!is_match) {
          hand_on(begin, end);
        }
        return;
      case SplitBehavior::kIsolated:
        hand_on(begin, end);
        return;
      case SplitBehavior::kMergedWithPrevious:
        joins = is_match && !last_is_match_;
        break;
      case SplitBehavior::kMergedWithNext:
        joins = !is_match && last_is_match_;
        break;
      case SplitBehavior::kContiguous:
        joins = is_match == last_is_match_;
        break;
    }
    if (any_held_ && !joins) {
      hand_on(held_begin_, held_end_);
    }
    if (!any_held_ || !joins) {
      held_begin_ = begin;
    }
    held_end_ = end;
    any_held_ = true;
    last_is_match_ = is_match;
  }

  void hand_on(size_t begin, size_t end) {
    if (begin < end) {
      hand_on_(begin, end);
    }
  }

  SplitBehavior behavior_;
  bool invert_;
  HandOn& hand_on_;
  size_t covered_ = 0;  // bytes that have been added
  bool any_held_ = false;
  bool last_is_match_ = false;
  size_t held_begin_ = 0;
  size_t held_end_ = 0;
};

}  // namespace loopbank

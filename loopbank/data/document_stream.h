#pragma once
/// One source's tokens as an endless stream: its documents in a shuffled order, epoch after epoch.
///
/// The order of an epoch depends only on (seed, name, epoch), so the whole state is a position.

#include <cstdint>
#include <memory>
#include <string>

#include "loopbank/data/token_source.h"
#include "loopbank/support/random.h"

namespace loopbank {

/// A position in the stream of one source.
struct StreamPosition {
  int64_t epoch = 0;
  int64_t document = 0;  ///< index in the epoch's order
  int64_t offset = 0;    ///< tokens of that document already given
  bool operator==(const StreamPosition&) const = default;
};

class DocumentStream {
 public:
  /// @param name  distinguishes this source's order from others' under the same seed; empty for the
  ///              first, whose order is that of a run with one source
  /// @throws Error kData when the source holds fewer than two tokens
  DocumentStream(std::shared_ptr<const TokenSource> source, uint64_t seed, std::string name);

  /// Copies up to `count` tokens to `out`, none beyond the end of the document.
  /// @return how many, at least 1 for a positive count
  /// @throws Error kData for an id outside the vocabulary
  int64_t take(int64_t count, int64_t* out);

  /// Whether the next token is the first of a document.
  [[nodiscard]] bool at_document_start() const { return position_.offset == 0; }
  [[nodiscard]] const StreamPosition& position() const { return position_; }
  [[nodiscard]] const TokenSource& source() const { return *source_; }
  /// @throws Error kCheckpoint when the source has no such position
  void restore(const StreamPosition& position);

 private:
  [[nodiscard]] Permutation order_of(int64_t epoch) const;

  std::shared_ptr<const TokenSource> source_;
  uint64_t seed_;
  std::string name_;
  Permutation order_;
  StreamPosition position_;
};

}  // namespace loopbank

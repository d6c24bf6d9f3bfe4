#pragma once
/// Documents of text files to ids on all cores, in the order of the documents.
///
///     files -> documents (the calling thread) -> batches -> ids (every core) -> sink
///                                                       (the calling thread, in order)
///
/// The engine of tokenize_files and tokenize_to_shards. Not here: what happens to the ids.

#include <cstdint>
#include <deque>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "loopbank/data/tokenize.h"
#include "loopbank/support/stopwatch.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// Where a document ends: the place to resume from once its ids are safe.
struct DocumentEnd {
  size_t input = 0;  ///< which of the files
  TextReaderState state;
};

class EncodePipeline {
 public:
  /// Receives the ids of every document, in reading order.
  using Sink = std::function<void(std::span<const TokenId> ids, const DocumentEnd& end)>;

  /// @param start    what was done before; bytes_total is of all inputs
  /// @param options  must outlive the pipeline, as the tokenizer must
  EncodePipeline(const Tokenizer& tokenizer, const TokenizeOptions& options, Sink sink,
                 const TokenizeProgress& start);
  ~EncodePipeline();
  EncodePipeline(const EncodePipeline&) = delete;
  EncodePipeline& operator=(const EncodePipeline&) = delete;

  /// Reads one more file to its end, and hands on whatever is encoded by then.
  /// @param reader  open on that file, from the document to start with
  /// @throws Error of the reader, and whatever the sink or on_progress throws
  void read(TextReader& reader, size_t input);
  /// Hands on all that is left.
  void finish();

  /// Since construction.
  [[nodiscard]] double seconds() const { return watch_.seconds(); }

 private:
  struct Batch;
  struct Encoded;
  struct Pending;
  class Workers;

  void hand_over();
  void pass_on_oldest();
  static Encoded encode(const Tokenizer& tokenizer, const Batch& batch, bool append_end_of_text);

  const Tokenizer& tokenizer_;
  const TokenizeOptions& options_;
  Sink sink_;
  TokenizeProgress progress_;
  Stopwatch watch_;
  size_t max_in_flight_;
  std::unique_ptr<Batch> batch_;
  std::deque<Pending> in_flight_;
  std::unique_ptr<Workers> workers_;  // last: its threads end before anything that they use
};

/// Number of encoding threads for `num_threads`; 0: the cores of this process.
[[nodiscard]] int encoding_threads(int num_threads);

/// Bytes of all inputs as they are stored. A missing file or a wrong ending is found here, before
/// the first hour of work.
/// @throws Error kConfig without inputs, kData for one that cannot be opened
[[nodiscard]] uint64_t check_inputs(const std::vector<std::filesystem::path>& inputs);

}  // namespace loopbank

#pragma once
/// Text files to one packed token file, on all cores.
///
///     files -> documents (one thread reads) -> batches -> ids (every core) -> token file
///
/// Batches are written in the order in which they were read, so the file is the same for any number
/// of threads.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/data/text_reader.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank {

/// How far `tokenize_files` has got.
struct TokenizeProgress {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t text_bytes = 0;   ///< encoded since the start of this process
  uint64_t bytes_read = 0;  ///< of the files as they are stored
  uint64_t bytes_total = 0;
  double seconds = 0.0;
};

struct TokenizeOptions {
  int64_t skip_bad = 0;            ///< bad lines of all inputs that are passed over; then Error
  int num_threads = 0;             ///< threads that encode; 0: the cores of this process
  bool append_end_of_text = true;  ///< each document ends with <|endoftext|>
  /// Called from the calling thread about once per MB of text.
  std::function<void(const TokenizeProgress&)> on_progress = {};
};

/// An input and what its reader met.
struct TokenizedFile {
  std::filesystem::path path;
  TextReaderReport report;
};

struct TokenizeReport {
  int64_t documents = 0;
  int64_t tokens = 0;
  int64_t text_bytes = 0;  ///< of the documents, in UTF-8
  double seconds = 0.0;
  int64_t num_shards = 0;            ///< of a folder of shards; 0: one file
  int64_t resumed_shards = 0;        ///< of these, those that an earlier process finished
  int64_t resumed_text_bytes = 0;    ///< of these, what those shards hold
  std::vector<TokenizedFile> files;  ///< in the order of the inputs

  [[nodiscard]] int64_t num_bad_lines() const;
  [[nodiscard]] int64_t num_empty_documents() const;
  /// 10^6 bytes of text per second, from the first byte read until the file is in place; of this
  /// process.
  [[nodiscard]] double megabytes_per_second() const;

  /// Adds a file that was read to its end.
  void add(TokenizedFile file);
  /// @throws Error kData if no file had a document
  void expect_documents() const;
};

/// Encodes every document of `inputs` (see TextReader), in order, into the token file `output`,
/// which appears only if all goes well. Memory holds a few MB of text per thread.
/// @throws Error kData for an input that cannot be read or has no document, for a bad line
///   beyond `skip_bad`, and where the output cannot be written; kConfig without inputs
TokenizeReport tokenize_files(const std::vector<std::filesystem::path>& inputs,
                              const Tokenizer& tokenizer, const std::filesystem::path& output,
                              const TokenizeOptions& options = {});

}  // namespace loopbank

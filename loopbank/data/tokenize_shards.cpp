#include "loopbank/data/tokenize_shards.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <span>
#include <system_error>
#include <utility>

#include "loopbank/data/encode_pipeline.h"
#include "loopbank/data/shard_index.h"
#include "loopbank/data/shard_progress.h"
#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"
#include "loopbank/support/folder_lock.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/sha256.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

using Reports = std::vector<TextReaderReport>;

/// Cuts the stream of documents into shards and keeps progress.json up to date.
class ShardWriter {
 public:
  /// @param progress  what is there already
  /// @param reports   of the inputs that were opened so far, in order
  ShardWriter(fs::path folder, ShardProgress progress, std::function<Reports()> reports)
      : folder_(std::move(folder)), progress_(std::move(progress)), reports_(std::move(reports)) {}

  void append(std::span<const TokenId> ids, const DocumentEnd& end) {
    saving([&] {
      if (!open_shard_) {
        const auto& job = progress_.job;
        open_shard_ = std::make_unique<TokenFileWriter>(folder_ / next_name(), job.vocab_size,
                                                        job.vocab_hash);
      }
      open_shard_->append(ids);
      last_end_ = end;
      if (open_shard_->num_tokens() >= progress_.job.shard_tokens) {
        close_shard();
      }
    });
  }

  /// All inputs were read to their ends.
  void finish() {
    saving([&] {
      if (open_shard_) {
        close_shard();
      }
      progress_.read = reports_();
      progress_.complete = true;
      write_shard_progress(folder_, progress_);
      write_shard_index(folder_, progress_.index());
    });
  }

  [[nodiscard]] const ShardProgress& progress() const { return progress_; }

 private:
  [[nodiscard]] std::string next_name() const { return shard_name(progress_.shards.size()); }

  void close_shard() {
    open_shard_->finish();
    const auto path = folder_ / next_name();
    progress_.shards.push_back({.shard = {.file = next_name(),
                                          .tokens = open_shard_->num_tokens(),
                                          .documents = open_shard_->num_documents(),
                                          .bytes = static_cast<int64_t>(fs::file_size(path)),
                                          .sha256 = sha256_of(path)},
                                .end = last_end_});
    open_shard_.reset();
    progress_.read = reports_();
    progress_.keep(progress_.shards.size());  // the reader is ahead of the writer
    write_shard_progress(folder_, progress_);
  }

  /// Tells, where writing fails, how much room was wanted and that nothing finished is lost.
  template <typename Action>
  void saving(Action&& action) {
    try {
      action();
    } catch (const Error& error) {
      open_shard_.reset();  // its temporary file goes, and what it took is free again
      const auto needed = progress_.job.shard_tokens * progress_.index().bytes_per_token();
      std::error_code unknown;
      const auto space = fs::space(folder_, unknown);
      const auto free = static_cast<double>(unknown ? 0 : space.available);
      throw Error(
          error.code(),
          fmt::format("{} A shard of {} tokens takes {}, and {} are free in {}. {} finished "
                      "shards are kept: once there is room, the same command continues after them.",
                      error.what(), progress_.job.shard_tokens,
                      format_bytes(static_cast<double>(needed)), format_bytes(free),
                      folder_.string(), progress_.shards.size()));
    }
  }

  fs::path folder_;
  ShardProgress progress_;
  std::function<Reports()> reports_;
  std::unique_ptr<TokenFileWriter> open_shard_;
  DocumentEnd last_end_;
};

/// Shards without a progress.json are not ours to write over.
void expect_no_shards(const fs::path& folder) {
  for (const auto& name : {shard_name(0), std::string(kShardIndexFile)}) {
    if (fs::exists(folder / name)) {
      fail(ErrorCode::kConfig,
           "{}: expected a folder without shards, or with the progress.json that belongs to them, "
           "got one with {} alone. Choose another --out.",
           folder.string(), name);
    }
  }
}

/// What earlier processes finished in the folder, as far as it is still there.
ShardProgress find_progress(const fs::path& folder, ShardJob job, int num_threads) {
  auto found = read_shard_progress(folder);
  if (!found) {
    expect_no_shards(folder);
    return {.job = std::move(job), .shards = {}, .read = {}};
  }
  expect_same_job(folder, found->job, job);
  size_t num_there = 0;
  while (num_there < found->shards.size() &&
         fs::exists(folder / found->shards[num_there].shard.file)) {
    ++num_there;
  }
  if (num_there < found->shards.size()) {
    found->keep(num_there);
  }
  verify_shards(folder, found->index().shards, num_threads);
  return std::move(*found);
}

/// Ends at a line that an earlier process of the job skipped, where this one would not have.
void expect_allowed(const std::vector<fs::path>& inputs, const Reports& read, int64_t skip_bad) {
  int64_t before = 0;
  for (size_t i = 0; i < read.size(); ++i) {
    const auto& listed = read[i].bad_lines;
    if (read[i].num_bad_lines() > 0 && listed.empty()) {
      fail(ErrorCode::kData,
           "{}: expected the bad lines that progress.json counts ({}), got none listed. Write the "
           "shards into a new folder.",
           inputs[i].string(), read[i].num_bad_lines());
    }
    if (before + read[i].num_bad_lines() > skip_bad) {
      const auto at = std::min(static_cast<size_t>(skip_bad - before), listed.size() - 1);
      BadLinePolicy::of_job(skip_bad, before).refuse(inputs[i], listed[at]);
    }
    before += read[i].num_bad_lines();
  }
}

TokenizeReport report_of(const std::vector<fs::path>& inputs, const ShardProgress& progress) {
  TokenizeReport report;
  for (size_t i = 0; i < progress.read.size(); ++i) {
    report.add({inputs[i], progress.read[i]});
  }
  report.tokens = progress.index().num_tokens();
  report.num_shards = static_cast<int64_t>(progress.shards.size());
  return report;
}

/// Reads the inputs from behind the last shard that is there, and writes the rest.
class ShardsRun {
 public:
  ShardsRun(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer, const fs::path& folder,
            const TokenizeOptions& options, const ShardProgress& there)
      : inputs_(inputs),
        options_(options),
        start_(there.shards.empty() ? DocumentEnd{} : there.shards.back().end),
        finished_(there.read),
        writer_(folder, there, [this] { return reports(); }),
        pipeline_(
            tokenizer, options,
            [this](std::span<const TokenId> ids, const DocumentEnd& end) {
              writer_.append(ids, end);
            },
            counts_of(there)) {}

  /// @return of this process and those before it
  TokenizeReport run() {
    auto bad_lines = finished_.empty() ? std::vector<BadLine>{} : finished_.back().bad_lines;
    finished_.resize(start_.input);
    for (size_t i = start_.input; i < inputs_.size(); ++i) {
      const auto so_far = report_of(inputs_, {.job = {}, .shards = {}, .read = finished_});
      reader_ = std::make_unique<TextReader>(
          inputs_[i], BadLinePolicy::of_job(options_.skip_bad, so_far.num_bad_lines()));
      if (i == start_.input) {
        reader_->resume(start_.state, std::move(bad_lines));
      }
      pipeline_.read(*reader_, i);
      finished_.push_back(reader_->report());
      reader_.reset();
    }
    report_of(inputs_, {.job = {}, .shards = {}, .read = finished_}).expect_documents();
    pipeline_.finish();
    writer_.finish();
    auto report = report_of(inputs_, writer_.progress());
    report.seconds = pipeline_.seconds();
    return report;
  }

 private:
  [[nodiscard]] Reports reports() const {
    auto all = finished_;
    if (reader_) {
      all.push_back(reader_->report());
    }
    return all;
  }

  [[nodiscard]] TokenizeProgress counts_of(const ShardProgress& there) const {
    const auto before = report_of(inputs_, there);
    TokenizeProgress counts{.documents = before.documents, .tokens = before.tokens};
    for (size_t i = 0; i < inputs_.size(); ++i) {
      const auto bytes = static_cast<uint64_t>(there.job.inputs[i].bytes);
      counts.bytes_total += bytes;
      counts.bytes_read += i < start_.input ? bytes : 0;
    }
    return counts;
  }

  const std::vector<fs::path>& inputs_;
  const TokenizeOptions& options_;
  DocumentEnd start_;
  Reports finished_;  // of the inputs before the reader's
  std::unique_ptr<TextReader> reader_;
  ShardWriter writer_;
  EncodePipeline pipeline_;  // last: it ends before the writer that it hands ids to
};

}  // namespace

TokenizeReport tokenize_to_shards(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer,
                                  const fs::path& folder, int64_t shard_tokens,
                                  const TokenizeOptions& options) {
  if (shard_tokens < 1) {
    fail(ErrorCode::kConfig, "tokenize: expected shards of at least 1 token, got {}.",
         shard_tokens);
  }
  static_cast<void>(check_inputs(inputs));
  auto job = ShardJob::describe(inputs, tokenizer, shard_tokens, options.append_end_of_text);
  const FolderLock lock(folder, "tokenizes", ErrorCode::kData);
  const auto there = find_progress(folder, std::move(job), options.num_threads);
  expect_allowed(inputs, there.read, options.skip_bad);
  for (const char* prefix : {"shard-", "progress.json", "index.json"}) {
    remove_temporaries(folder, prefix);
  }
  const auto before = report_of(inputs, there);
  auto report = before;
  if (there.complete) {
    write_shard_index(folder, there.index());  // a kill may have come between the two files
  } else {
    std::error_code ignored;
    fs::remove(folder / kShardIndexFile, ignored);  // where it stands, the folder is whole
    report = ShardsRun(inputs, tokenizer, folder, options, there).run();
  }
  report.resumed_shards = before.num_shards;
  report.resumed_text_bytes = before.text_bytes;
  return report;
}

}  // namespace loopbank

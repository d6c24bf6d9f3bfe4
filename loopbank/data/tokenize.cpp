#include "loopbank/data/tokenize.h"

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <future>
#include <mutex>
#include <numeric>
#include <span>
#include <thread>
#include <utility>

#include "loopbank/data/token_file.h"
#include "loopbank/support/error.h"
#include "loopbank/support/files.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Large enough that handing over costs nothing, small enough that the cores finish together.
constexpr size_t kBatchBytes = size_t{1} << 20;

/// Documents one after another, with the end of each.
struct TextBatch {
  std::string text;
  std::vector<size_t> ends;

  [[nodiscard]] bool full() const { return text.size() >= kBatchBytes; }
  void add(std::string_view document) {
    text += document;
    ends.push_back(text.size());
  }
};

struct TokenBatch {
  std::vector<TokenId> ids;
  std::vector<size_t> ends;
};

TokenBatch encode(const Tokenizer& tokenizer, const TextBatch& batch, bool append_end_of_text) {
  TokenBatch encoded;
  encoded.ids.reserve(batch.text.size() / 3);
  encoded.ends.reserve(batch.ends.size());
  size_t begin = 0;
  for (const auto end : batch.ends) {
    const auto ids = tokenizer.encode(std::string_view(batch.text).substr(begin, end - begin));
    encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
    if (append_end_of_text) {
      encoded.ids.push_back(tokenizer.end_of_text());
    }
    encoded.ends.push_back(encoded.ids.size());
    begin = end;
  }
  return encoded;
}

/// Threads that live as long as the job, so that what a tokenizer keeps for a thread stays warm.
class Workers {
 public:
  explicit Workers(int num_threads) {
    for (int i = 0; i < num_threads; ++i) {
      threads_.emplace_back([this] { work(); });
    }
  }
  ~Workers() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
      tasks_.clear();  // after an error nobody waits for the rest
    }
    ready_.notify_all();
    for (auto& thread : threads_) {
      thread.join();
    }
  }
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  std::future<TokenBatch> start(std::packaged_task<TokenBatch()> task) {
    auto result = task.get_future();
    {
      const std::lock_guard lock(mutex_);
      tasks_.push_back(std::move(task));
    }
    ready_.notify_one();
    return result;
  }

 private:
  void work() {
    while (true) {
      std::unique_lock lock(mutex_);
      ready_.wait(lock, [this] { return closed_ || !tasks_.empty(); });
      if (tasks_.empty()) {
        return;
      }
      auto task = std::move(tasks_.front());
      tasks_.pop_front();
      lock.unlock();
      task();
    }
  }

  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<std::packaged_task<TokenBatch()>> tasks_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

/// A file that is missing or has the wrong ending shows before the first hour of work, not after.
uint64_t check_inputs(const std::vector<fs::path>& inputs) {
  if (inputs.empty()) {
    fail(ErrorCode::kConfig, "tokenize: expected at least one text file, got none.");
  }
  uint64_t bytes = 0;
  for (const auto& path : inputs) {
    const TextReader opens(path, false);
    std::error_code unknown;  // a pipe has no size
    const auto size = fs::file_size(path, unknown);
    bytes += unknown ? 0 : size;
  }
  return bytes;
}

/// One run of `tokenize_files`: the reading and the writing side, both in the calling thread.
class Job {
 public:
  Job(const Tokenizer& tokenizer, const fs::path& output, const TokenizeOptions& options,
      int num_threads, uint64_t bytes_total)
      : tokenizer_(tokenizer),
        options_(options),
        writer_(output, tokenizer.vocab_size(), tokenizer.hash()),
        max_in_flight_(2 * static_cast<size_t>(num_threads)),
        workers_(num_threads) {
    progress_.bytes_total = bytes_total;
  }

  TokenizedFile read(const fs::path& path) {
    TextReader reader(path, options_.strict);
    const auto bytes_before = progress_.bytes_read;
    std::string document;
    while (reader.next(document)) {
      batch_.add(document);
      if (batch_.full()) {
        hand_over();
        progress_.bytes_read = bytes_before + reader.bytes_read();
      }
    }
    progress_.bytes_read = bytes_before + reader.bytes_read();
    return {path, reader.report()};
  }

  void finish() {
    if (!batch_.ends.empty()) {
      hand_over();
    }
    while (!in_flight_.empty()) {
      write_oldest();
    }
    writer_.finish();
  }

  [[nodiscard]] int64_t num_tokens() const { return writer_.num_tokens(); }
  [[nodiscard]] double seconds() const {
    return std::chrono::duration<double>(Clock::now() - started_).count();
  }

 private:
  void hand_over() {
    while (in_flight_.size() >= max_in_flight_) {
      write_oldest();
    }
    in_flight_.push_back(
        workers_.start(std::packaged_task<TokenBatch()>([this, batch = std::exchange(batch_, {})] {
          return encode(tokenizer_, batch, options_.append_end_of_text);
        })));
  }

  void write_oldest() {
    const auto encoded = in_flight_.front().get();
    in_flight_.pop_front();
    size_t begin = 0;
    for (const auto end : encoded.ends) {
      writer_.append(std::span(encoded.ids).subspan(begin, end - begin));
      begin = end;
    }
    if (options_.on_progress) {
      progress_.documents = writer_.num_documents();
      progress_.tokens = writer_.num_tokens();
      progress_.seconds = seconds();
      options_.on_progress(progress_);
    }
  }

  const Tokenizer& tokenizer_;
  const TokenizeOptions& options_;
  Clock::time_point started_ = Clock::now();
  TokenFileWriter writer_;
  TokenizeProgress progress_;
  TextBatch batch_;
  size_t max_in_flight_;
  std::deque<std::future<TokenBatch>> in_flight_;
  Workers workers_;  // last: its threads end before anything that they use
};

}  // namespace

int64_t TokenizeReport::num_bad_lines() const {
  return std::accumulate(files.begin(), files.end(), int64_t{0},
                         [](int64_t sum, const auto& f) { return sum + f.report.num_bad_lines(); });
}

int64_t TokenizeReport::num_empty_documents() const {
  return std::accumulate(files.begin(), files.end(), int64_t{0},
                         [](int64_t sum, const auto& f) { return sum + f.report.empty_documents; });
}

double TokenizeReport::megabytes_per_second() const {
  return seconds > 0.0 ? static_cast<double>(text_bytes) / 1e6 / seconds : 0.0;
}

TokenizeReport tokenize_files(const std::vector<fs::path>& inputs, const Tokenizer& tokenizer,
                              const fs::path& output, const TokenizeOptions& options) {
  const auto bytes_total = check_inputs(inputs);
  const int num_threads = options.num_threads > 0
                              ? options.num_threads
                              : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (output.has_parent_path()) {
    loopbank::create_directories(output.parent_path());
  }
  Job job(tokenizer, output, options, num_threads, bytes_total);
  TokenizeReport report;
  for (const auto& path : inputs) {
    report.files.push_back(job.read(path));
    report.documents += report.files.back().report.documents;
    report.text_bytes += report.files.back().report.document_bytes;
  }
  if (report.documents == 0) {
    fail(ErrorCode::kData,
         "{}: expected at least one document, got none ({} empty, {} bad lines) in {} files.",
         inputs.front().string(), report.num_empty_documents(), report.num_bad_lines(),
         inputs.size());
  }
  job.finish();
  report.tokens = job.num_tokens();
  report.seconds = job.seconds();
  return report;
}

}  // namespace loopbank

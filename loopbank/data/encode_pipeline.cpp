#include "loopbank/data/encode_pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <mutex>
#include <thread>
#include <utility>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

namespace fs = std::filesystem;

/// Large enough that handing over costs nothing, small enough that the cores finish together.
constexpr size_t kBatchBytes = size_t{1} << 20;
/// Documents of a few bytes must not pile up where their text does not.
constexpr size_t kBatchDocuments = size_t{1} << 13;

/// Whether the tokenizer puts the token between documents behind each text itself.
bool ends_by_itself(const Tokenizer& tokenizer) {
  const auto& suffix = tokenizer.text_suffix();
  return !suffix.empty() && suffix.back() == tokenizer.end_of_text();
}

}  // namespace

/// Documents one after another, with the end of each in the text and in its file.
struct EncodePipeline::Batch {
  std::string text;
  std::vector<size_t> ends;
  std::vector<DocumentEnd> places;

  [[nodiscard]] bool full() const {
    return text.size() >= kBatchBytes || ends.size() >= kBatchDocuments;
  }
};

struct EncodePipeline::Encoded {
  std::vector<TokenId> ids;
  std::vector<size_t> ends;
};

struct EncodePipeline::Pending {
  std::future<Encoded> encoded;
  std::vector<DocumentEnd> places;
  size_t text_bytes = 0;
  uint64_t bytes_read = 0;  // of the files, when the batch was full
};

/// Threads that live as long as the job, so that what a tokenizer keeps for a thread stays warm.
class EncodePipeline::Workers {
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

  std::future<Encoded> start(std::packaged_task<Encoded()> task) {
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
  std::deque<std::packaged_task<Encoded()>> tasks_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

EncodePipeline::EncodePipeline(const Tokenizer& tokenizer, const TokenizeOptions& options,
                               Sink sink, const TokenizeProgress& start)
    : tokenizer_(tokenizer),
      options_(options),
      sink_(std::move(sink)),
      progress_(start),
      max_in_flight_(2 * static_cast<size_t>(encoding_threads(options.num_threads))),
      batch_(std::make_unique<Batch>()),
      workers_(std::make_unique<Workers>(encoding_threads(options.num_threads))) {}

EncodePipeline::~EncodePipeline() = default;

void EncodePipeline::read(TextReader& reader, size_t input) {
  const auto bytes_before = progress_.bytes_read;
  std::string document;
  while (reader.next(document)) {
    batch_->text += document;
    batch_->ends.push_back(batch_->text.size());
    batch_->places.push_back({input, reader.state()});
    if (batch_->full()) {
      progress_.bytes_read = bytes_before + reader.bytes_read();
      hand_over();
    }
  }
  progress_.bytes_read = bytes_before + reader.bytes_read();
}

void EncodePipeline::finish() {
  if (!batch_->ends.empty()) {
    hand_over();
  }
  while (!in_flight_.empty()) {
    pass_on_oldest();
  }
}

void EncodePipeline::hand_over() {
  while (in_flight_.size() >= max_in_flight_) {
    pass_on_oldest();
  }
  Pending pending{.encoded = {},
                  .places = std::exchange(batch_->places, {}),
                  .text_bytes = batch_->text.size(),
                  .bytes_read = progress_.bytes_read};
  const std::shared_ptr<Batch> full(std::exchange(batch_, std::make_unique<Batch>()));
  pending.encoded = workers_->start(std::packaged_task<Encoded()>(
      [this, full] { return encode(tokenizer_, *full, options_.append_end_of_text); }));
  in_flight_.push_back(std::move(pending));
}

void EncodePipeline::pass_on_oldest() {
  auto pending = std::move(in_flight_.front());
  in_flight_.pop_front();
  const auto encoded = pending.encoded.get();
  size_t begin = 0;
  for (size_t i = 0; i < encoded.ends.size(); ++i) {
    sink_(std::span(encoded.ids).subspan(begin, encoded.ends[i] - begin), pending.places[i]);
    begin = encoded.ends[i];
  }
  progress_.documents += static_cast<int64_t>(encoded.ends.size());
  progress_.tokens += static_cast<int64_t>(encoded.ids.size());
  progress_.text_bytes += static_cast<int64_t>(pending.text_bytes);
  if (options_.on_progress) {
    auto now = progress_;
    now.bytes_read = pending.bytes_read;
    now.seconds = seconds();
    options_.on_progress(now);
  }
}

EncodePipeline::Encoded EncodePipeline::encode(const Tokenizer& tokenizer, const Batch& batch,
                                               bool append_end_of_text) {
  Encoded encoded;
  encoded.ids.reserve(batch.text.size() / 3);
  encoded.ends.reserve(batch.ends.size());
  size_t begin = 0;
  for (const auto end : batch.ends) {
    const auto ids =
        tokenizer.encode_framed(std::string_view(batch.text).substr(begin, end - begin));
    encoded.ids.insert(encoded.ids.end(), ids.begin(), ids.end());
    if (append_end_of_text && !ends_by_itself(tokenizer)) {
      encoded.ids.push_back(tokenizer.end_of_text());
    }
    encoded.ends.push_back(encoded.ids.size());
    begin = end;
  }
  return encoded;
}

int encoding_threads(int num_threads) {
  return num_threads > 0 ? num_threads
                         : std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

uint64_t check_inputs(const std::vector<fs::path>& inputs) {
  if (inputs.empty()) {
    fail(ErrorCode::kConfig, "tokenize: expected at least one text file, got none.");
  }
  uint64_t bytes = 0;
  for (const auto& path : inputs) {
    if (!fs::is_fifo(path)) {  // one that is opened and closed takes its writer's life
      const TextReader opens(path);
    }
    std::error_code unknown;  // a pipe has no size
    const auto size = fs::file_size(path, unknown);
    bytes += unknown ? 0 : size;
  }
  return bytes;
}

}  // namespace loopbank

#include "loopbank/infer/engine.h"

#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <stdexcept>
#include <utility>

#include "loopbank/infer/engine_batch.h"
#include "loopbank/ops/rows.h"
#include "loopbank/ops/thread_scope.h"
#include "loopbank/ops/workspace.h"
#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

constexpr int64_t kHeadRows = 128;  // of a call of the head: 25 MB of logits at V 50304

ops::PageLayout layout_of(const ModelConfig& config, at::ScalarType compute) {
  return {.key_heads = config.num_key_value_heads,
          .width = config.head_size(),
          .is_bf16 = compute == at::kBFloat16};
}

std::vector<int64_t> loops_of_layers(const ModelConfig& config) {
  std::vector<int64_t> loops;
  for (int64_t l = 0; l < config.num_hidden_layers; ++l) {
    loops.push_back(std::max<int64_t>(config.loops(l), 1));
  }
  return loops;
}

/// Dense fp32 values.
at::Tensor on_cpu(const at::Tensor& x) {
  return x.is_cpu() && x.is_contiguous() ? ops::in_type(x, at::kFloat)
                                         : x.to(at::kCPU, at::kFloat).contiguous();
}

}  // namespace

Engine::Engine(const LanguageModel& model, const EngineOptions& options)
    : model_(model),
      options_(options),
      prepared_(model.config(), model.parameters(), options.compute_dtype, options.weight_bits),
      pace_(options.stretch),
      threads_(options.chooses_threads && model.device().is_cpu() ? at::get_num_threads() : 0) {
  if (options.compute_dtype != at::kFloat && options.compute_dtype != at::kBFloat16) {
    fail(ErrorCode::kDtype, "Engine: expected compute in Float or BFloat16, got {}.",
         c10::toString(options.compute_dtype));
  }
  if (options.weight_bits != 0 && !model.device().is_cpu()) {
    fail(
        ErrorCode::kDevice,
        "Engine: expected weights in the type of the computation on {}, got {} bits: products with "
        "codes are for the CPU.",
        model.device().str(), options.weight_bits);
  }
  if (options.batch_tokens < 1 || options.cache_bytes < 1) {
    fail(ErrorCode::kConfig,
         "Engine: expected passes of at least one token and a cache of at least one byte, got {} "
         "and {}.",
         options.batch_tokens, options.cache_bytes);
  }
  if (!(options.stretch > 1.0)) {
    fail(ErrorCode::kConfig, "Engine: expected a stretch of more than 1, got {}.", options.stretch);
  }
  const auto& config = model.config();
  store_ = std::make_unique<PageStore>(layout_of(config, options.compute_dtype),
                                       loops_of_layers(config), options.cache_bytes);
  batch_ = std::make_unique<Batch>(*store_, heads());
  guesses_ = std::make_unique<Batch>(*store_, heads());
  counts_.loops.run.assign(static_cast<size_t>(config.num_hidden_layers), 0);
  counts_.loops.late = counts_.loops.run;
}

Engine::~Engine() = default;

void Engine::prepare() {
  const auto counts = counts_;
  Request request;
  request.prompt = {0};
  request.max_tokens = 1;
  add(std::move(request));
  while (!idle()) {
    (void)step();
  }
  counts_ = counts;
}

ops::AttentionHeads Engine::heads() const {
  return {.query = model_.config().num_attention_heads, .key = model_.config().num_key_value_heads};
}

int64_t Engine::num_ids() const {
  return options_.num_ids > 0 ? options_.num_ids : model_.config().vocab_size;
}

int64_t Engine::bytes_of(const Request& request) const {
  return most_bytes(request, *store_, model_.config().max_position_embeddings);
}

void Engine::check(const Request& request) const {
  check_request(request, model_.config());
  const auto bytes = bytes_of(request);
  if (bytes > store_->budget()) {
    fail(ErrorCode::kConfig,
         "request: expected at most {} bytes of keys and values (the engine's cache_bytes), got a "
         "request that may take {}. Allow more, or shorten the prompt, max_tokens or the number of "
         "completions.",
         store_->budget(), bytes);
  }
}

RequestId Engine::add(Request request) {
  if (!request.forced.empty()) {
    request.max_tokens = static_cast<int64_t>(request.forced.size());
  }
  check(request);
  auto job = std::make_unique<EngineJob>();
  job->bytes = bytes_of(request);
  job->id = next_id_++;
  job->exit = request.inference.exit.token_exit(request.inference.max_loops);
  job->request = std::move(request);
  job->shares = options_.share_beginnings && job->slots_of_prompt() != PageSlots::kBoth;
  waiting_.push_back(std::move(job));
  return waiting_.back()->id;
}

int64_t Engine::unread_prompt_tokens() const {
  int64_t tokens = 0;
  for (const auto& job : waiting_) {
    tokens += job->prompt_size();
  }
  for (const auto& job : running_) {
    tokens += std::max<int64_t>(job->read_size() - job->texts.front()->cache.length(), 0);
  }
  return tokens;
}

bool Engine::idle() const {
  return waiting_.empty() && running_.empty();
}

bool Engine::cancel(RequestId id) {
  const auto has_id = [&](const auto& job) { return job->id == id; };
  const auto queued = std::find_if(waiting_.begin(), waiting_.end(), has_id);
  if (queued != waiting_.end()) {
    waiting_.erase(queued);
    return true;
  }
  const auto running = std::find_if(running_.begin(), running_.end(), has_id);
  if (running == running_.end()) {
    return false;
  }
  reserved_bytes_ -= (*running)->bytes;
  running_.erase(running);
  return true;
}

bool Engine::cancel(RequestId id, int64_t completion) {
  for (auto& job : running_) {
    for (auto& text : job->texts) {
      if (job->id == id && text->completion == completion && !text->finished) {
        // The first reads the prompt for the others: it is dropped when that is done.
        text->finished = true;
        sweep();
        return true;
      }
    }
  }
  return false;
}

void Engine::admit() {
  while (!waiting_.empty() && reserved_bytes_ + waiting_.front()->bytes <= store_->budget()) {
    auto job = std::move(waiting_.front());
    waiting_.pop_front();
    start(*job);  // before anything is counted: it may run out of memory
    running_.push_back(std::move(job));
    reserved_bytes_ += running_.back()->bytes;
  }
}

void Engine::start(EngineJob& job) {
  const auto& inference = job.request.inference;
  const auto how = fmt::format("{} {} {} {}", inference.exit.name(), inference.max_loops,
                               job.policy_at(0).name(), static_cast<int>(job.slots_of_prompt()));
  for (int64_t c = 0; c < job.request.completions; ++c) {
    job.texts.push_back(
        std::make_unique<EngineText>(job, c, CachedText(*store_, job.slots_of_prompt())));
    auto& text = *job.texts.back();
    text.tokens = job.request.prompt;
    text.waits = c > 0;
    text.beginning = SharedBeginnings::root(how);
    text.sampler = std::make_unique<Sampler>(
        job.request.sampling, completion_seed(job.request.seed, c), num_ids(), job.request.prompt);
  }
}

StepOutput Engine::step() {
  const at::NoGradGuard no_grad;
  StepOutput output;
  admit();
  const Stopwatch watch;
  guess();
  gather(*batch_);
  if (!batch_->rows.empty()) {
    const auto rows = std::ssize(batch_->rows);
    const Stopwatch of_pass;
    {
      const ops::ThreadScope scope(threads_.threads(rows));
      run(*batch_, output);
    }
    ++counts_.steps;
    threads_.add(rows, of_pass.seconds());
    pace_.add(batch_->text_rows, rows - batch_->text_rows, of_pass.seconds());
  }
  drop_guesses(watch.seconds(), output);
  for (auto& job : running_) {
    for (auto& text : job->texts) {
      const bool reads_alone = job->request.max_tokens == 0 && !text->finished;
      if (reads_alone && job->texts.front()->cache.length() == job->read_size()) {
        finish(*text, StopReason::kMaxTokens, output);
      }
    }
  }
  sweep();
  return output;
}

ForwardOptions Engine::options_of(Batch& batch) {
  return {
      .compute_dtype = options_.compute_dtype, .context = &batch.context, .prepared = &prepared_};
}

LanguageModel::Hidden Engine::hidden_of(Batch& batch) {
  batch.context.begin(batch.tokens);
  const auto count = static_cast<int64_t>(batch.ids.size());
  const auto ids = prepared_.workspace().tensor({1, count}, at::kLong);
  std::copy(batch.ids.begin(), batch.ids.end(), ids.data_ptr<int64_t>());
  const auto device = model_.device();  // on the CPU nothing goes through the dispatcher
  return model_.hidden(device.is_cpu() ? ids : ids.to(device), options_of(batch));
}

void Engine::count(Batch& batch, const at::Tensor& loops) {
  const auto num_layers = loops.size(0);
  const auto num_rows = static_cast<int64_t>(batch.rows.size());
  const auto* const of_layers = loops.data_ptr<float>();
  for (int64_t r = 0; r < num_rows; ++r) {
    double sum = 0.0;  // over layers, in their order
    for (int64_t l = 0; l < num_layers; ++l) {
      sum += static_cast<double>(of_layers[l * num_rows + r]);
    }
    auto& row = batch.rows[static_cast<size_t>(r)];
    row.text->loops.push_back(sum / static_cast<double>(num_layers));
    counts_.loops_told += row.text->loops.back();
    counts_.prompt_tokens += row.position < row.text->job->prompt_size() ? 1 : 0;
  }
  counts_.tokens += num_rows;
  const auto& counts = batch.context.counts();
  counts_.loops.head += counts.head;
  for (size_t l = 0; l < counts_.loops.run.size(); ++l) {
    counts_.loops.run[l] += counts.run[l];
    counts_.loops.late[l] += counts.late[l];
  }
}

void Engine::run(Batch& batch, StepOutput& output) {
  const auto hidden = hidden_of(batch);
  const auto loops = on_cpu(hidden.expected_loops);
  count(batch, loops);
  auto& inside = batch.context.inside();
  batch.inside.clear();
  if (inside.watches()) {
    batch.inside = inside.results(loops);
  }
  batch.wanted.clear();
  for (size_t r = 0; r < batch.rows.size(); ++r) {
    if (batch.rows[r].wants_logits) {
      batch.wanted.push_back(static_cast<int64_t>(r));
    }
  }
  counts_.head_rows += std::ssize(batch.wanted);
  const std::span<const int64_t> wanted(batch.wanted);
  for (size_t from = 0; from < wanted.size(); from += kHeadRows) {
    const auto some = wanted.subspan(from, std::min<size_t>(kHeadRows, wanted.size() - from));
    read_logits(batch, hidden.states, some, output);
  }
  share_what_was_read(batch);
}

void Engine::read_logits(Batch& batch, const at::Tensor& states, std::span<const int64_t> some,
                         StepOutput& output) {
  const auto rows = [&] {
    const ops::WorkspaceScope scope(&prepared_.workspace());
    return ops::gather_rows(ops::reshaped(states, {states.size(1), states.size(2)}), some);
  }();
  const auto logits = on_cpu(model_.head(rows, options_of(batch)));
  const auto vocab = model_.config().vocab_size;
  for (size_t i = 0; i < some.size(); ++i) {
    const auto& row = batch.rows[static_cast<size_t>(some[i])];
    // Of guesses only those count that were what came, and nothing behind the first other one.
    const auto& known = row.text->tokens;
    const auto place = static_cast<size_t>(row.position);
    const bool came =
        place < known.size() && known[place] == batch.ids[static_cast<size_t>(some[i])];
    // A prompt is read and scored for all completions, also where the first was cancelled.
    const bool is_asked = !row.text->finished || row.position < row.text->job->prompt_size();
    if (is_asked && came) {
      if (!batch.inside.empty()) {
        row.text->inside = batch.inside[static_cast<size_t>(some[i])];
      }
      read_row(*row.text, row.position, logits.data_ptr<float>() + static_cast<int64_t>(i) * vocab,
               output);
    }
  }
}

void Engine::share_what_was_read(const Batch& batch) {
  for (const auto& row : batch.rows) {
    auto& text = *row.text;
    if (text.job->shares && text.shared < text.job->read_size()) {
      auto read = std::min(text.cache.length(), text.job->read_size());
      if (text.job->request.max_tokens > 0 || read < text.job->read_size()) {
        read = read / ops::kPageTokens * ops::kPageTokens;  // the text goes on in its last page
      }
      beginnings_.add(text.cache, text.beginning, text.tokens, text.shared, read, text.loops);
      text.shared = read;
    }
  }
}

void Engine::sweep() {
  for (auto& job : running_) {
    const bool reading = job->texts.front()->cache.length() < job->read_size();
    std::erase_if(job->texts, [&](const auto& text) {
      return text->finished && !(reading && text->completion == 0 && job->texts.size() > 1);
    });
    if (job->texts.empty()) {
      reserved_bytes_ -= job->bytes;
    }
  }
  std::erase_if(running_, [](const auto& job) { return job->texts.empty(); });
}

}  // namespace loopbank

#include "loopbank/serve/load/load_run.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <utility>

#include "loopbank/support/error.h"
#include "loopbank/support/random.h"
#include "loopbank/support/statistics.h"

namespace loopbank {
namespace {

constexpr int kAnswered = 200;
constexpr int kQueueFull = 429;
constexpr double kAgainSeconds = 0.1;  // after a connection that broke
constexpr double kLongestAgain = 1.0;  // after a refusal, whatever the server proposes
constexpr int64_t kLongLanes = 4;      // long prompts that wait at the same time, at most

double draw_log_uniform(const TokenRange& range, RandomStream& random) {
  const double low = std::log(static_cast<double>(range.low));
  const double high = std::log(static_cast<double>(range.high) + 1.0);
  return std::exp(low + (high - low) * random.uniform());
}

int64_t draw_count(const TokenRange& range, RandomStream& random) {
  const auto drawn = static_cast<int64_t>(draw_log_uniform(range, random));
  return std::clamp(drawn, range.low, range.high);
}

/// User and system time of this process, seconds.
double processor_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + 1e-6 * static_cast<double>(time.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

LoadTimes times_of(std::vector<double> seconds) {
  if (seconds.empty()) {
    return {};
  }
  std::sort(seconds.begin(), seconds.end());
  return {.count = static_cast<int64_t>(seconds.size()),
          .mean = mean_of(seconds),
          .median = quantile_of(seconds, 0.5),
          .p99 = quantile_of(seconds, 0.99),
          .longest = seconds.back()};
}

std::string body_of(const LoadOptions& options, const LoadPrompt& prompt) {
  return fmt::format(R"({{"prompt":[{}],"max_tokens":{},"temperature":0,"stream":{}{}{}{}{}{}}})",
                     fmt::join(prompt.ids, ","), prompt.max_tokens, prompt.is_stream,
                     prompt.is_stream ? R"(,"stream_options":{"include_usage":true})" : "",
                     options.keeps_answers ? R"(,"logprobs":0)" : "",
                     options.barred
                         ? fmt::format(R"(,"logit_bias":{{"{}":{}}})", *options.barred, kBarredBias)
                         : "",
                     options.members.empty() ? "" : ",", options.members);
}

/// One load: what its lanes ask, and what came back.
class LoadRun {
 public:
  explicit LoadRun(const LoadOptions& options)
      : options_(options),
        long_options_(options),
        lanes_(options.clients + (options.long_prompts > 0.0 ? kLongLanes : 0)),
        seeds_(static_cast<size_t>(lanes_)),
        not_before_(static_cast<size_t>(lanes_), 0.0) {
    long_options_.prompt_tokens = {options.long_tokens, options.long_tokens};
    long_options_.max_tokens = {1, 1};
    long_options_.cancel_share = 0.0;
    long_options_.keeps_answers = false;
  }

  [[nodiscard]] int64_t lanes() const { return lanes_; }
  [[nodiscard]] double end() const { return options_.ramp_seconds + options_.seconds; }

  LoadRequest next(int64_t lane, double now) {
    const auto place = static_cast<size_t>(lane);
    const auto seed = derive_seed(options_.seed, fmt::format("load request {}", asked_++));
    seeds_[place] = seed;
    const auto& options = is_long(lane) ? long_options_ : options_;
    const auto prompt = load_prompt(options, seed);
    double not_before = not_before_[place];
    if (is_long(lane)) {
      // The next tick of their clock that none of them has taken.
      long_tick_ = std::max(long_tick_ + 1.0, std::floor(now * options_.long_prompts));
      not_before = std::max(not_before, long_tick_ / options_.long_prompts);
    }
    return {.body = body_of(options, prompt),
            .cancel_after = prompt.cancel_after,
            .not_before = not_before};
  }

  void take(int64_t lane, LoadAnswer answer) {
    wait_after(lane, answer);
    if (is_long(lane)) {
      figures_.long_prompts += counts(answer.ended) && answer.status == kAnswered ? 1 : 0;
    } else {
      count_tokens(answer);
    }
    count_end(lane, answer);
    if (options_.keeps_answers && !is_long(lane) && answer.status == kAnswered) {
      figures_.answers.push_back({seeds_[static_cast<size_t>(lane)], std::move(answer)});
    }
  }

  void tick(double now) {
    if (began_ == 0.0 && now >= options_.ramp_seconds) {
      began_ = now;
      processor_ = processor_seconds();
    }
    ended_ = now;
  }

  LoadFigures figures() {
    auto result = std::move(figures_);
    result.seconds = options_.seconds;
    result.tokens_per_second = static_cast<double>(result.generated_tokens) / options_.seconds;
    result.requests_per_second = static_cast<double>(result.statuses[kAnswered]) / options_.seconds;
    if (result.statuses[kAnswered] == 0) {
      result.statuses.erase(kAnswered);
    }
    result.first_token = times_of(std::move(first_));
    result.between_tokens = times_of(std::move(gaps_));
    result.whole = times_of(std::move(whole_));
    result.mean_loops = loop_tokens_ > 0.0 ? loops_ / loop_tokens_ : 0.0;
    result.client_processor_share =
        ended_ > began_ ? (processor_seconds() - processor_) / (ended_ - began_) : 0.0;
    return result;
  }

 private:
  [[nodiscard]] bool is_long(int64_t lane) const { return lane >= options_.clients; }
  [[nodiscard]] bool counts(double now) const {
    return now >= options_.ramp_seconds && now < end();
  }

  void wait_after(int64_t lane, const LoadAnswer& answer) {
    const double pause = answer.end == LoadEnd::kBroken ? kAgainSeconds
                         : answer.status == kAnswered   ? 0.0
                         : answer.retry_after > 0.0 ? std::min(answer.retry_after, kLongestAgain)
                                                    : kAgainSeconds;
    not_before_[static_cast<size_t>(lane)] = answer.ended + pause;
  }

  void count_tokens(const LoadAnswer& answer) {
    const auto& times = answer.token_times;
    for (size_t i = 0; i < times.size(); ++i) {
      if (counts(times[i])) {
        ++figures_.generated_tokens;
        (i == 0 ? first_ : gaps_).push_back(times[i] - (i == 0 ? answer.began : times[i - 1]));
      }
    }
    if (times.empty() && counts(answer.ended)) {  // all at once
      figures_.generated_tokens += answer.completion_tokens;
    }
  }

  void count_end(int64_t lane, const LoadAnswer& answer) {
    if (answer.end == LoadEnd::kBroken) {
      ++figures_.broken;  // whenever
      if (figures_.first_failure.empty()) {
        figures_.first_failure = answer.failure;
      }
      return;
    }
    if (answer.end == LoadEnd::kCutOff || !counts(answer.ended)) {
      return;
    }
    if (answer.end == LoadEnd::kCancelled) {
      ++figures_.cancelled;
      return;
    }
    if (answer.status != kAnswered) {
      figures_.refusals.try_emplace(answer.status, answer.failure);
    }
    if (!is_long(lane) || answer.status != kAnswered) {
      ++figures_.statuses[answer.status];
    }
    if (!is_long(lane) && answer.status == kAnswered) {
      whole_.push_back(answer.ended - answer.began);
      if (answer.loops_mean > 0.0) {
        const auto tokens = static_cast<double>(answer.completion_tokens);
        loops_ += tokens * answer.loops_mean;
        loop_tokens_ += tokens;
      }
    }
  }

  const LoadOptions& options_;
  LoadOptions long_options_;
  int64_t lanes_;
  std::vector<uint64_t> seeds_;     // by lane, of what it asks now
  std::vector<double> not_before_;  // by lane
  int64_t asked_ = 0;
  double long_tick_ = 0.0;
  double began_ = 0.0;  // the window
  double ended_ = 0.0;
  double processor_ = 0.0;  // at its begin
  std::vector<double> first_;
  std::vector<double> gaps_;
  std::vector<double> whole_;
  double loops_ = 0.0;
  double loop_tokens_ = 0.0;
  LoadFigures figures_;
};

}  // namespace

TokenRange TokenRange::parse(const std::string& where, const std::string& text) {
  TokenRange range;
  const char* const end = text.data() + text.size();
  auto parsed = std::from_chars(text.data(), end, range.low);
  bool is_whole = parsed.ec == std::errc();
  range.high = range.low;
  if (is_whole && parsed.ptr != end && *parsed.ptr == ':') {
    parsed = std::from_chars(parsed.ptr + 1, end, range.high);
    is_whole = parsed.ec == std::errc();
  }
  if (!is_whole || parsed.ptr != end || range.low < 1 || range.high < range.low) {
    fail(ErrorCode::kConfig,
         "{}: expected LOW:HIGH with 1 <= LOW <= HIGH, such as 16:512, got \"{}\".", where, text);
  }
  return range;
}

LoadPrompt load_prompt(const LoadOptions& options, uint64_t seed) {
  RandomStream random(seed);
  LoadPrompt prompt;
  prompt.ids.resize(static_cast<size_t>(draw_count(options.prompt_tokens, random)));
  prompt.max_tokens = draw_count(options.max_tokens, random);
  prompt.is_stream = random.uniform() < options.stream_share;
  if (random.uniform() < options.cancel_share && prompt.is_stream) {
    prompt.cancel_after = random.between(1, prompt.max_tokens);
  }
  for (auto& id : prompt.ids) {
    id = static_cast<TokenId>(random.below(static_cast<uint64_t>(options.num_ids)));
  }
  return prompt;
}

LoadFigures run_load(const LoadTarget& target, const LoadOptions& options, const LoadWatch& watch) {
  if (options.clients < 1 || options.seconds <= 0.0 || options.num_ids < 1) {
    fail(ErrorCode::kConfig,
         "load: expected a client, a second and an id at least, got {} clients, {} s and {} ids.",
         options.clients, options.seconds, options.num_ids);
  }
  LoadRun run(options);
  run_load_lanes(
      target, run.lanes(), run.end(),
      {.next = [&](int64_t lane, double now) { return run.next(lane, now); },
       .take = [&](int64_t lane, LoadAnswer answer) { run.take(lane, std::move(answer)); },
       .tick =
           [&](double now) {
             run.tick(now);
             if (watch) {
               watch(now - options.ramp_seconds);
             }
             return true;
           }});
  return run.figures();
}

}  // namespace loopbank

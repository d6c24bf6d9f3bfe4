#include "loopbank/ranks/watch_state.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <vector>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

// Keys in the store, beside "beat/RANK" and "who/RANK".
const std::string kVerdictKey = "verdict";  // what happened, written once
const std::string kAskedKey = "asked";  // what c10d said on the first rank whose exchange failed
const std::string kSeenKey = "seen";    // how many ranks have read the verdict

/// A heartbeat counts here; the exchanges that the rank has begun count in the upper half.
constexpr int64_t kOneExchange = int64_t{1} << 32;

std::string text_of(const std::vector<uint8_t>& bytes) {
  return {bytes.begin(), bytes.end()};
}

std::vector<uint8_t> bytes_of(const std::string& text) {
  return {text.begin(), text.end()};
}

std::string host_name() {
  std::array<char, 256> name{};
  return ::gethostname(name.data(), name.size() - 1) == 0 ? name.data() : "unknown host";
}

/// Whether c10d said that the other end closed the connection, not that it kept silent.
bool says_closed(const std::string& cause) {
  const std::array words = {"losed", "reset by peer", "refused", "roken pipe"};
  return std::any_of(words.begin(), words.end(),
                     [&](const char* word) { return cause.find(word) != std::string::npos; });
}

}  // namespace

void RankWatch::State::open() {
  const auto timeout = std::chrono::milliseconds(
      static_cast<int64_t>(std::max(1.0, settings.timeout_seconds) * 1000.0));
  try {
    store = open_store(place, /*serves=*/false, timeout);
    own_name = fmt::format("{}, process {}", host_name(), ::getpid());
    store->set(fmt::format("who/{}", place.rank), bytes_of(own_name));
    first_name = text_of(store->get("who/0"));
    store->add(fmt::format("beat/{}", place.rank), 1);
  } catch (const std::exception& error) {
    fail(ErrorCode::kRanks,
         "rank {}: expected an answer of the store at {}:{}, got: {}. See whether rank 0 is there.",
         place.rank, place.master_address, place.master_port, cause_of(error));
  }
}

/// Waits, until the rank leaves at the longest. @return whether it does
bool RankWatch::State::pause(double seconds) {
  std::unique_lock lock(mutex);
  return changed.wait_for(lock, WatchSeconds(seconds), [&] { return leaving; });
}

/// The pause between two beats, which a question of this rank ends.
void RankWatch::State::pause_talk(double seconds) {
  std::unique_lock lock(mutex);
  changed.wait_for(lock, WatchSeconds(seconds), [&] { return leaving || is_urgent; });
  is_urgent = false;
}

void RankWatch::State::decide(const std::string& line) {
  const std::lock_guard lock(mutex);
  if (!verdict && !leaving) {
    verdict = line;
    decided = WatchClock::now();
    changed.notify_all();
  }
}

/// Writes the verdict for all ranks; the first stands.
void RankWatch::State::publish(const std::string& line) {
  if (!store->check({kVerdictKey})) {
    store->set(kVerdictKey, bytes_of(line));
  }
  decide(text_of(store->get(kVerdictKey)));
}

std::string RankWatch::State::name_of(int64_t rank) {
  const auto key = fmt::format("who/{}", rank);
  const auto who = store->check({key}) ? text_of(store->get(key)) : "unknown host";
  return fmt::format("rank {} ({})", rank, who);
}

std::string RankWatch::State::store_is_gone() const {
  const auto where = fmt::format("the store at {}:{}", place.master_address, place.master_port);
  return place.store_is_served ? where + " (torchrun's on the first node)"
                               : fmt::format("{} (rank 0: {})", where, first_name);
}

void RankWatch::State::talk() {
  while (true) {
    try {
      talk_once();
      const std::lock_guard lock(mutex);
      answered = WatchClock::now();
    } catch (const std::exception& error) {
      note_lost_store(cause_of(error));
      break;
    }
    double wait = beat;
    {
      const std::lock_guard lock(mutex);
      if (leaving && (!own_cause || is_told)) {
        break;
      }
      wait = question || verdict ? beat / 2 : beat;
    }
    pause_talk(wait);
  }
  const std::lock_guard lock(mutex);
  talk_ended = true;
  changed.notify_all();
}

/// One heartbeat: counts up, looks at the next rank, reads what others found.
void RankWatch::State::talk_once() {
  const int64_t begun = settings.exchanges ? settings.exchanges() : 0;
  store->add(fmt::format("beat/{}", place.rank), 1 + (begun - exchanges_told) * kOneExchange);
  exchanges_told = begun;
  std::optional<std::string> cause;
  std::optional<std::string> asked;
  {
    const std::lock_guard lock(mutex);
    cause = own_cause;
    asked = question;
  }
  if (cause) {
    publish(fmt::format("rank {} ({}) ended with: {}", place.rank, own_name, *cause));
  }
  if (store->check({kVerdictKey})) {
    decide(text_of(store->get(kVerdictKey)));
    const auto seen = store->add(kSeenKey, is_told ? 0 : 1);
    is_told = true;
    const std::lock_guard lock(mutex);
    seen_by = seen;
    changed.notify_all();
    return;
  }
  if (asked && !store->check({kAskedKey})) {
    store->set(kAskedKey, bytes_of(*asked));
  }
  watch_next();
}

void RankWatch::State::watch_next() {
  const auto count = store->add(fmt::format("beat/{}", next), 0);
  const auto beats = count % kOneExchange;
  exchanges_of_next = count / kOneExchange;
  if (beats != beats_of_next) {
    beats_of_next = beats;
    next_moved = WatchClock::now();
  }
  {
    const std::lock_guard lock(mutex);
    next_moved = std::max(next_moved, stood_still_until);
  }
  const double late = seconds_since(next_moved);
  if (late > settings.timeout_seconds) {
    publish(
        fmt::format("{} has not answered for {:.0f} s: frozen or cut off", name_of(next), late));
  } else if (store->check({kAskedKey})) {
    answer_question(late);
  }
}

/// An exchange failed on some rank: is it for the next rank?
void RankWatch::State::answer_question(double late) {
  const auto cause = text_of(store->get(kAskedKey));
  if (late > std::max(1.0, kLateBeats * beat)) {
    publish(says_closed(cause)
                ? name_of(next) + " ended without a word: killed, out of memory or crashed"
                : fmt::format("{} has not answered for {:.0f} s: frozen or cut off", name_of(next),
                              late));
  } else if (!says_closed(cause) && exchanges_of_next < exchanges_told) {
    publish(fmt::format("{} answers but has not come to exchange {} for {:.0f} s", name_of(next),
                        exchanges_told, exchange_seconds()));
  }
}

/// Rank 0 may have left in good order, or its end is being told: the rank gets a moment to see it.
void RankWatch::State::note_lost_store(const std::string& cause) {
  if (pause(kLateBeats * beat)) {
    return;
  }
  decide(
      place.store_is_served
          ? fmt::format("{} is lost: {}", store_is_gone(), cause)
          : fmt::format("rank 0 ({}) ended without a word: killed, out of memory or crashed, and "
                        "with it the store at {}:{}",
                        first_name, place.master_address, place.master_port));
}

/// A process that stood still itself must not take the others for missing.
void RankWatch::State::note_standstill(double gap) {
  if (gap > settings.timeout_seconds) {
    decide(fmt::format("rank {} ({}), this one, stood still for {:.0f} s: stopped or without a CPU",
                       place.rank, own_name, gap));
  }
  if (gap > kLateBeats * beat) {
    const std::lock_guard lock(mutex);
    stood_still_until = answered = WatchClock::now();
  }
}

/// Notices a store that does not answer, and ends a process that does not end by itself.
void RankWatch::State::guard() {
  auto last = WatchClock::now();
  while (!pause(beat)) {
    note_standstill(seconds_since(last));
    last = WatchClock::now();
    double silent = 0.0;
    bool is_over = false;
    bool hangs = false;
    std::string line;
    {
      const std::lock_guard lock(mutex);
      silent = seconds_since(answered);
      is_over = talk_ended;
      hangs = verdict && seconds_since(decided) > std::max(2.0, kGraceBeats * beat);
      line = verdict.value_or("");
    }
    if (!is_over && silent > settings.timeout_seconds) {
      decide(fmt::format("{} has not answered for {:.0f} s: frozen or cut off", store_is_gone(),
                         silent));
    }
    if (hangs && settings.end) {
      settings.end(line);
    }
  }
}

/// The process that serves the store stays until the others have read why it ends.
void RankWatch::State::wait_until_seen() {
  std::unique_lock lock(mutex);
  if (serves && verdict) {
    changed.wait_for(lock, WatchSeconds(std::max(1.0, kLateBeats * beat)),
                     [&] { return talk_ended || seen_by >= place.size; });
  }
}

}  // namespace loopbank

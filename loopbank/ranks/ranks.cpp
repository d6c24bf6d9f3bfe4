#include "loopbank/ranks/ranks.h"

#include <ATen/core/Tensor.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/empty_like.h>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <utility>

#include "loopbank/ranks/exchange_clock.h"
#include "loopbank/ranks/process_group.h"
#include "loopbank/support/error.h"
#include "loopbank/support/stopwatch.h"

namespace loopbank {
namespace {

constexpr int64_t kMostNamed = 8;  // ranks in one line

std::chrono::milliseconds milliseconds_of(double seconds) {
  return std::chrono::milliseconds(static_cast<int64_t>(std::ceil(seconds * 1000.0)));
}

/// Waits for all ranks at the store, before Gloo does and can say less.
void meet(c10d::Store& store, const RankPlace& place, double seconds) {
  std::vector<std::string> keys;
  for (int64_t rank = 0; rank < place.size; ++rank) {
    keys.push_back(fmt::format("here/{}", rank));
  }
  store.set(keys.at(static_cast<size_t>(place.rank)), std::vector<uint8_t>{1});
  try {
    store.wait(keys, milliseconds_of(seconds));
  } catch (const std::exception&) {
    std::string absent;
    int64_t count = 0;
    for (int64_t rank = 0; rank < place.size; ++rank) {
      const bool is_here = store.check({keys[static_cast<size_t>(rank)]});
      if (!is_here && ++count <= kMostNamed) {
        absent += fmt::format("{}{}", absent.empty() ? "" : ", ", rank);
      }
    }
    fail(
        ErrorCode::kRanks,
        "ranks: rank {} expected {} ranks at {}:{} within {:g} s, got none of rank {}{}. Start all "
        "of them with one MASTER_ADDR and MASTER_PORT that they can reach.",
        place.rank, place.size, place.master_address, place.master_port, seconds, absent,
        count > kMostNamed ? fmt::format(" and {} more", count - kMostNamed) : "");
  }
}

constexpr char kFailed = '!';  // before the error of a rank, in place of the code
constexpr char kWentWell = '.';

}  // namespace

struct Ranks::Group {
  RankPlace place;
  StorePointer store;
  ProcessGroupPointer control;  // between CPUs: texts and numbers
  ProcessGroupPointer tensors;  // of the device, may be the same
  bool on_cpu = true;
  ExchangeClock clock;
  std::function<std::string(const std::string&)> explain;
  std::atomic<int64_t> exchanges_begun = 0;

  [[noreturn]] void refuse(const std::exception& error) const {
    const auto cause = cause_of(error);
    if (explain) {
      throw RanksLost(explain(cause));
    }
    throw RanksLost(fmt::format(
        "ranks: expected an answer of all {} ranks, got none (\"{}\"). A rank has ended, "
        "stands still or is cut off; start again with --resume.",
        place.size, cause));
  }

  template <typename Call>
  auto guarded(const Call& call) const {
    try {
      return call();
    } catch (const Error&) {
      throw;
    } catch (const std::exception& error) {
      refuse(error);
    }
  }
};

struct Exchange::State {
  std::shared_ptr<Ranks::Group> group;
  c10::intrusive_ptr<c10d::Work> work;
  std::vector<at::Tensor> keeps;  // c10d works on their memory
  std::function<void()> finish;   // with what came

  static Exchange start(const std::shared_ptr<Ranks::Group>& group,
                        const std::function<c10::intrusive_ptr<c10d::Work>(ProcessGroup&)>& call,
                        std::vector<at::Tensor> keeps, std::function<void()> finish = {}) {
    auto state = std::make_shared<State>();
    state->group = group;
    state->keeps = std::move(keeps);
    state->finish = std::move(finish);
    ++group->exchanges_begun;
    if (group->on_cpu) {
      group->clock.start();
    }
    state->work = group->guarded([&] { return call(*group->tensors); });
    if (group->on_cpu) {
      state->work->getFuture()->addCallback([group](auto& /*future*/) { group->clock.stop(); });
    }
    return Exchange(std::move(state));
  }

  static Exchange then(const Exchange& exchange, std::function<void()> finish) {
    exchange.state_->finish = std::move(finish);
    return exchange;
  }
};

Exchange::Exchange(std::shared_ptr<State> state) : state_(std::move(state)) {}

void Exchange::wait() {
  const auto state = std::exchange(state_, nullptr);
  if (!state) {
    return;
  }
  const Stopwatch watch;
  state->group->guarded([&] { return state->work->wait(); });
  state->group->clock.add_wait(watch.seconds());
  if (state->finish) {
    state->finish();
  }
}

Ranks Ranks::join(const RankPlace& place, at::Device device, const RankSettings& settings) {
  Ranks ranks;
  if (place.size == 1) {
    return ranks;
  }
  const auto timeout = milliseconds_of(settings.timeout_seconds);
  const double patience =
      settings.meeting_seconds > 0.0 ? settings.meeting_seconds : settings.timeout_seconds;
  auto group = std::make_shared<Group>();
  group->place = place;
  group->on_cpu = device.is_cpu();
  if (!group->on_cpu && !has_nccl()) {
    (void)open_nccl({}, place, timeout);  // says so
  }
  try {
    group->store =
        open_store(place, place.rank == 0 && !place.store_is_served, milliseconds_of(patience));
    meet(*group->store, place, patience);
    group->control = open_gloo(group->store, place, timeout);
    group->tensors = group->on_cpu ? group->control : open_nccl(group->store, place, timeout);
  } catch (const Error&) {
    throw;
  } catch (const std::exception& error) {
    fail(ErrorCode::kRanks,
         "ranks: rank {} expected to meet {} ranks at {}:{} within {} s, got \"{}\". Start all of "
         "them with one MASTER_ADDR and MASTER_PORT that they can reach.",
         place.rank, place.size, place.master_address, place.master_port, patience,
         cause_of(error));
  }
  ranks.group_ = std::move(group);
  return ranks;
}

int64_t Ranks::rank() const {
  return group_ ? group_->place.rank : 0;
}

int64_t Ranks::size() const {
  return group_ ? group_->place.size : 1;
}

int64_t Ranks::local_rank() const {
  return group_ ? group_->place.local_rank : 0;
}

std::vector<std::string> Ranks::gather(const std::string& mine) const {
  if (is_alone()) {
    return {mine};
  }
  ++group_->exchanges_begun;
  const auto gather_rows = [&](const at::Tensor& row) {
    std::vector<at::Tensor> in = {row};
    std::vector<std::vector<at::Tensor>> out(1);
    for (int64_t r = 0; r < size(); ++r) {
      out[0].push_back(at::empty_like(row));
    }
    group_->guarded([&] { return group_->control->allgather(out, in)->wait(); });
    return out[0];
  };
  auto length = at::empty({1}, at::kLong);
  *length.data_ptr<int64_t>() = static_cast<int64_t>(mine.size());
  const Stopwatch watch;
  std::vector<int64_t> lengths;
  for (const auto& one : gather_rows(length)) {
    lengths.push_back(*one.data_ptr<int64_t>());
  }
  const auto longest = std::max<int64_t>(1, *std::max_element(lengths.begin(), lengths.end()));
  auto bytes = at::empty({longest}, at::kByte);
  std::memcpy(bytes.data_ptr(), mine.data(), mine.size());
  std::memset(bytes.data_ptr<uint8_t>() + mine.size(), 0,
              static_cast<size_t>(longest) - mine.size());
  std::vector<std::string> texts;
  for (const auto& one : gather_rows(bytes)) {
    texts.emplace_back(static_cast<const char*>(one.data_ptr()),
                       static_cast<size_t>(lengths[texts.size()]));
  }
  group_->clock.add_wait(watch.seconds());
  return texts;
}

std::vector<std::vector<double>> Ranks::gather(const std::vector<double>& mine) const {
  if (is_alone()) {
    return {mine};
  }
  const std::string bytes(reinterpret_cast<const char*>(mine.data()), mine.size() * sizeof(double));
  std::vector<std::vector<double>> all;
  for (const auto& one : gather(bytes)) {
    auto& numbers = all.emplace_back(one.size() / sizeof(double));
    std::memcpy(numbers.data(), one.data(), one.size());
  }
  return all;
}

std::vector<double> Ranks::sum(const std::vector<double>& mine) const {
  auto all = gather(mine);
  auto total = std::move(all.front());
  for (size_t r = 1; r < all.size(); ++r) {
    for (size_t i = 0; i < total.size(); ++i) {
      total[i] += all[r].at(i);
    }
  }
  return total;
}

void Ranks::wait_for_all() const {
  (void)gather(std::string());
}

void Ranks::agree(std::string_view what, const std::function<void()>& work) const {
  if (is_alone()) {
    work();
    return;
  }
  std::string report(1, kWentWell);
  std::exception_ptr own;
  const auto failed = [&](ErrorCode code, const std::string& text) {
    report = fmt::format("{}{:02}{}", kFailed, static_cast<int>(code), text);
    own = std::current_exception();
  };
  try {
    work();
  } catch (const RanksLost&) {
    throw;  // there may be nobody to tell
  } catch (const Error& error) {
    failed(error.code(), error.what());
  } catch (const std::exception& error) {
    failed(ErrorCode::kRanks, cause_of(error) + ".");
  }
  const auto reports = gather(report);
  if (own) {
    std::rethrow_exception(own);
  }
  for (size_t r = 0; r < reports.size(); ++r) {
    if (reports[r][0] == kFailed) {
      const auto code = static_cast<ErrorCode>(std::stoi(reports[r].substr(1, 2)));
      const auto text =
          fmt::format("{}: expected all {} ranks to go on, got the end of rank {}: {}", what,
                      size(), r, reports[r].substr(3));
      throw Error(code, text);
    }
  }
}

Exchange Ranks::all_to_all(const at::Tensor& from, const at::Tensor& to) const {
  if (is_alone()) {
    at::Tensor(to).copy_(from);
    return {};
  }
  return Exchange::State::start(group_,
                                [&](ProcessGroup& group) {
                                  auto input = from;
                                  auto output = to;
                                  std::vector<int64_t> equal_parts;
                                  return group.alltoall_base(output, input, equal_parts,
                                                             equal_parts);
                                },
                                {from, to});
}

Exchange Ranks::sum_slices(const at::Tensor& from, const at::Tensor& to) const {
  if (is_alone()) {
    return all_to_all(from, to);
  }
  if (!group_->on_cpu) {
    return Exchange::State::start(group_,
                                  [&](ProcessGroup& group) {
                                    auto input = from.view(-1);
                                    auto output = to[0];
                                    return group._reduce_scatter_base(output, input);
                                  },
                                  {from, to});
  }
  return Exchange::State::then(all_to_all(from, to), [to] {
    auto sum = to[0];
    for (int64_t r = 1; r < to.size(0); ++r) {
      sum.add_(to[r]);
    }
  });
}

Exchange Ranks::all_gather(const at::Tensor& mine, const at::Tensor& to) const {
  if (is_alone()) {
    at::Tensor(to).copy_(mine.unsqueeze(0));
    return {};
  }
  return Exchange::State::start(group_,
                                [&](ProcessGroup& group) {
                                  auto input = mine;
                                  if (!input.is_cpu()) {  // Gloo of LibTorch 1 lacks this
                                    auto output = to.view(-1);
                                    return group._allgather_base(output, input);
                                  }
                                  std::vector<at::Tensor> in = {input};
                                  std::vector<std::vector<at::Tensor>> out = {to.unbind(0)};
                                  return group.allgather(out, in);
                                },
                                {mine, to});
}

Exchange Ranks::broadcast(const at::Tensor& x, int64_t root) const {
  if (is_alone()) {
    return {};
  }
  return Exchange::State::start(group_,
                                [&](ProcessGroup& group) {
                                  std::vector<at::Tensor> tensors = {x};
                                  c10d::BroadcastOptions options;
                                  options.rootRank = root;
                                  return group.broadcast(tensors, options);
                                },
                                {x});
}

int64_t Ranks::exchanges_begun() const {
  return group_ ? group_->exchanges_begun.load() : 0;
}

ExchangeTimes Ranks::take_times() const {
  return group_ ? group_->clock.take() : ExchangeTimes{};
}

void Ranks::explain_errors(std::function<std::string(const std::string&)> explain) const {
  if (group_) {
    group_->explain = std::move(explain);
  }
}

}  // namespace loopbank

#include "loopbank/serve/turns.h"

#include <algorithm>

namespace loopbank {

void Turns::add(const std::string& client, const Entry& entry) {
  auto& place = clients_[client];
  if (!place) {
    place = std::make_unique<Client>();
  }
  if (place->waiting.empty()) {
    order_.push_back(place.get());
  }
  place->waiting.push_back(entry);
}

bool Turns::is_within_share(const Client& client) const {
  const auto& entry = client.waiting.front();
  return client.texts == 0 || (client.texts + entry.texts <= limits_.client_texts &&
                               client.bytes + entry.bytes <= limits_.client_bytes);
}

bool Turns::has_room(const Entry& entry) const {
  return texts_ == 0 ||
         (texts_ + entry.texts <= limits_.texts && bytes_ + entry.bytes <= limits_.bytes);
}

Turns::Entry Turns::take(Order::iterator at) {
  auto& client = **at;
  const auto entry = client.waiting.front();
  client.waiting.pop_front();
  client.texts += entry.texts;
  client.bytes += entry.bytes;
  texts_ += entry.texts;
  bytes_ += entry.bytes;
  if (held_up_ == &client) {
    held_up_ = nullptr;
  } else {
    ++overtakes_;
  }
  if (client.waiting.empty()) {
    order_.erase(at);
  } else {
    order_.splice(order_.end(), order_, at);
  }
  return entry;
}

std::optional<Turns::Entry> Turns::next() {
  for (auto at = order_.begin(); at != order_.end(); ++at) {
    auto* const client = *at;
    const bool others_may_pass =
        held_up_ == nullptr || held_up_ == client || overtakes_ < kMostOvertakes;
    if (!others_may_pass || !is_within_share(*client)) {
      continue;
    }
    if (has_room(client->waiting.front())) {
      return take(at);
    }
    if (held_up_ == nullptr) {
      held_up_ = client;
      overtakes_ = 0;
    }
  }
  return std::nullopt;
}

void Turns::give_back(const std::string& client, int64_t texts, int64_t bytes) {
  const auto found = clients_.find(client);
  found->second->texts -= texts;
  found->second->bytes -= bytes;
  texts_ -= texts;
  bytes_ -= bytes;
  forget_if_idle(client);
}

void Turns::drop(const std::string& client, int64_t work) {
  const auto found = clients_.find(client);
  if (found == clients_.end()) {
    return;
  }
  auto& its = *found->second;
  const bool waited = !its.waiting.empty();
  if (waited && held_up_ == &its && its.waiting.front().work == work) {
    held_up_ = nullptr;
  }
  std::erase_if(its.waiting, [&](const Entry& entry) { return entry.work == work; });
  if (waited && its.waiting.empty()) {
    order_.remove(&its);
  }
  forget_if_idle(client);
}

void Turns::forget_if_idle(const std::string& client) {
  const auto found = clients_.find(client);
  if (found->second->waiting.empty() && found->second->texts == 0 && found->second->bytes == 0) {
    clients_.erase(found);
  }
}

}  // namespace loopbank

#include "loopbank/cli/bench_peers.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "loopbank/support/log.h"
#include "loopbank/support/statistics.h"

namespace loopbank::cli {
namespace {

constexpr double kBytesPerGigabyte = 1e9;

void append(std::vector<double>& all, const std::vector<double>& more) {
  all.insert(all.end(), more.begin(), more.end());
}

nlohmann::ordered_json best_of(const nlohmann::ordered_json& peers, const char* key, bool highest) {
  const auto less = [key](const auto& a, const auto& b) {
    return a.at(key).template get<double>() < b.at(key).template get<double>();
  };
  return highest ? *std::max_element(peers.begin(), peers.end(), less)
                 : *std::min_element(peers.begin(), peers.end(), less);
}

}  // namespace

PytorchPeers::PytorchPeers(const RunConfig& config, PytorchOptions options) {
  for (const auto* name : {"plain", "compiled"}) {
    Peer peer;
    peer.name = name;
    options.compile = peer.name == "compiled";
    peer.twin = std::make_unique<PytorchTwin>(config, options);
    peers_.push_back(std::move(peer));
  }
}

void PytorchPeers::warm_up(int64_t steps) {
  std::vector<Peer> able;
  for (auto& peer : peers_) {
    const auto answer = peer.twin->run(steps);
    peer.torch = answer.torch;
    if (answer.unavailable.empty()) {
      able.push_back(std::move(peer));
    } else {
      log_warning("bench: PyTorch {} is measured without torch.compile: {}.", answer.torch,
                  answer.unavailable);
    }
  }
  peers_ = std::move(able);
}

void PytorchPeers::run(int64_t steps) {
  for (auto& peer : peers_) {
    const auto answer = peer.twin->run(steps);
    append(peer.seconds, answer.seconds);
    append(peer.processor_seconds, answer.processor_seconds);
  }
}

void PytorchPeers::report(const OurSpeed& ours, nlohmann::ordered_json& json) const {
  const double rate = ours.tokens_per_step / ours.seconds;
  auto peers = nlohmann::ordered_json::array();
  for (const auto& peer : peers_) {
    const double theirs = ours.tokens_per_step / median(peer.seconds);
    nlohmann::ordered_json figures = {
        {"name", peer.name},
        {"torch", peer.torch},
        {"tokens_per_second", theirs},
        {"utilization", theirs * ours.flops_per_token / ours.gemm_peak_flops},
        {"peak_memory_bytes", peer.twin->peak_memory_bytes()},
        {"ratio", rate / theirs}};
    if (!peer.processor_seconds.empty() && ours.processor_seconds > 0) {
      figures["processor_ratio"] = median(peer.processor_seconds) / ours.processor_seconds;
    }
    peers.push_back(std::move(figures));
  }
  const auto faster = best_of(peers, "tokens_per_second", /*highest=*/true);
  const auto smaller = best_of(peers, "peak_memory_bytes", /*highest=*/false);
  json["pytorch_tokens_per_second"] = faster.at("tokens_per_second");
  json["pytorch_utilization"] = faster.at("utilization");
  json["pytorch_peak_memory_bytes"] = smaller.at("peak_memory_bytes");
  json["ratio_to_pytorch"] = faster.at("ratio");
  json["memory_ratio_to_pytorch"] =
      static_cast<double>(ours.peak_memory_bytes) / smaller.at("peak_memory_bytes").get<double>();
  json["peers"] = std::move(peers);
}

void print_peers(const nlohmann::ordered_json& json) {
  for (const auto& peer : json.at("peers")) {
    const auto number = [&](const char* key) { return peer.at(key).get<double>(); };
    fmt::print("PyTorch {}, {}, in turns with it\n", peer.at("torch").get<std::string>(),
               peer.at("name").get<std::string>());
    fmt::print("  tokens/s       {:>12.0f}\n", number("tokens_per_second"));
    fmt::print("  utilization    {:>12.3f}\n", number("utilization"));
    fmt::print("  peak memory    {:>12.2f} GB\n", number("peak_memory_bytes") / kBytesPerGigabyte);
    fmt::print("  ratio          {:>12.2f} in speed", number("ratio"));
    if (peer.contains("processor_ratio")) {
      fmt::print(", {:.2f} in processor time", number("processor_ratio"));
    }
    fmt::print("\n");
  }
  fmt::print("to the better of them {:.2f} in speed, {:.2f} in memory\n",
             json.at("ratio_to_pytorch").get<double>(),
             json.at("memory_ratio_to_pytorch").get<double>());
}

}  // namespace loopbank::cli

#include "loopbank/ranks/process_group.h"

#include <arpa/inet.h>
#include <c10/util/Exception.h>
#include <c10/util/Logging.h>
#include <fmt/format.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cstdlib>
#include <memory>
#include <string>

#include "loopbank/support/error.h"

#ifndef USE_C10D_GLOO
#define USE_C10D_GLOO
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>

#if defined(LOOPBANK_HAS_CUDA) && __has_include(<nccl.h>)
#define LOOPBANK_HAS_NCCL
#ifndef USE_C10D_NCCL
#define USE_C10D_NCCL
#endif
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace loopbank {
namespace {

/// The address of this machine from which packets to the master leave; empty where there is no way.
/// Gloo's own choice, the address of the machine's name, is 127.0.1.1 on a Debian machine.
std::string address_towards(const std::string& host, int64_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) {
    return {};
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> list(found, freeaddrinfo);
  std::string address;
  for (const auto* one = found; one != nullptr && address.empty(); one = one->ai_next) {
    const int descriptor = socket(one->ai_family, SOCK_DGRAM, 0);
    if (descriptor < 0) {
      continue;
    }
    sockaddr_storage own{};
    socklen_t size = sizeof(own);
    char text[NI_MAXHOST] = {};
    // A datagram socket's connect sends nothing: it looks the way up.
    if (connect(descriptor, one->ai_addr, one->ai_addrlen) == 0 &&
        getsockname(descriptor, reinterpret_cast<sockaddr*>(&own), &size) == 0 &&
        getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text, sizeof(text), nullptr, 0,
                    NI_NUMERICHOST) == 0) {
      address = text;
    }
    close(descriptor);
  }
  return address;
}

std::shared_ptr<gloo::transport::Device> gloo_device(const RankPlace& place) {
  using Gloo = c10d::ProcessGroupGloo;
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  if (interface != nullptr && *interface != '\0') {
    return Gloo::createDeviceForInterface(interface);
  }
  const auto address = address_towards(place.master_address, place.master_port);
  return address.empty() ? Gloo::createDefaultDevice() : Gloo::createDeviceForHostname(address);
}

/// c10d tells stderr of each attempt that fails; what counts comes out as an error of ours.
void silence_log() {
#ifdef C10_USE_GLOG
  FLAGS_minloglevel = google::GLOG_FATAL;
#else
  FLAGS_caffe2_log_level = 3;  // of 0 to 3: what is fatal
#endif
}

}  // namespace

StorePointer open_store(const RankPlace& place, bool serves, std::chrono::milliseconds timeout) {
  silence_log();
  c10d::TCPStoreOptions options;
  options.port = static_cast<uint16_t>(place.master_port);
  options.isServer = serves;
  options.numWorkers = static_cast<size_t>(place.size);
  options.waitWorkers = false;
  options.timeout = timeout;
#if TORCH_VERSION_MAJOR >= 2
  options.useLibUV = false;  // Debian's LibTorch 2.6 asks for libuv and has none; the other end may
#endif
  StorePointer store = c10::make_intrusive<c10d::TCPStore>(place.master_address, options);
  // An agent's store outlives the ranks. One that rank 0 serves is new at each start, and the agents of
  // a torchrun over several nodes do not count alike.
  const auto restart = place.store_is_served ? place.restart : 0;
  return c10::make_intrusive<c10d::PrefixStore>(fmt::format("loopbank/{}", restart), store);
}

ProcessGroupPointer open_gloo(const StorePointer& store, const RankPlace& place,
                              std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(gloo_device(place));
  const StorePointer own = c10::make_intrusive<c10d::PrefixStore>("gloo", store);
  return c10::make_intrusive<c10d::ProcessGroupGloo>(own, static_cast<int>(place.rank),
                                                     static_cast<int>(place.size), options);
}

#ifdef LOOPBANK_HAS_NCCL
bool has_nccl() {
  return true;
}

ProcessGroupPointer open_nccl(const StorePointer& store, const RankPlace& place,
                              std::chrono::milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  const StorePointer own = c10::make_intrusive<c10d::PrefixStore>("nccl", store);
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(own, static_cast<int>(place.rank),
                                                     static_cast<int>(place.size), options);
}
#else
bool has_nccl() {
  return false;
}

ProcessGroupPointer open_nccl(const StorePointer& /*store*/, const RankPlace& place,
                              std::chrono::milliseconds /*timeout*/) {
  fail(ErrorCode::kDevice,
       "ranks: expected NCCL for {} ranks on GPUs, got a program built without it. Build where "
       "nccl.h and a LibTorch with NCCL are, or take training.device = \"cpu\".",
       place.size);
}
#endif

std::string cause_of(const std::exception& error) {
  const auto* of_torch = dynamic_cast<const c10::Error*>(&error);
  std::string text = of_torch != nullptr ? of_torch->what_without_backtrace() : error.what();
  text = text.substr(0, text.find('\n'));
  while (!text.empty() && (text.back() == '.' || text.back() == ' ')) {
    text.pop_back();
  }
  return text;
}

}  // namespace loopbank

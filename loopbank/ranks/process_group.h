#pragma once
/// c10d's store and process groups, made for a rank. For sources of this folder alone: it takes all of
/// ATen. What differs between LibTorch 1.13, where a backend is a ProcessGroup, and 2, where it is a
/// Backend, ends here.

#include <c10/util/intrusive_ptr.h>
#include <torch/version.h>
#include <torch/csrc/distributed/c10d/Store.hpp>
#include <torch/csrc/distributed/c10d/Types.hpp>
#include <torch/csrc/distributed/c10d/Work.hpp>

#if TORCH_VERSION_MAJOR >= 2
#include <torch/csrc/distributed/c10d/Backend.hpp>
#else
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#endif

#include <chrono>
#include <string>

#include "loopbank/ranks/place.h"

namespace loopbank {

#if TORCH_VERSION_MAJOR >= 2
using ProcessGroup = c10d::Backend;
#else
using ProcessGroup = c10d::ProcessGroup;
#endif
using ProcessGroupPointer = c10::intrusive_ptr<ProcessGroup>;
using StorePointer = c10::intrusive_ptr<c10d::Store>;

/// A connection to the ranks' TCPStore, which rank 0 serves unless its launcher does; keys are of this
/// start of the ranks alone.
/// @param serves  whether this connection is the one that serves it
/// @throws whatever c10d does
[[nodiscard]] StorePointer open_store(const RankPlace& place, bool serves,
                                      std::chrono::milliseconds timeout);

/// Gloo, over the network interface on the way to the master or the one that GLOO_SOCKET_IFNAME names.
[[nodiscard]] ProcessGroupPointer open_gloo(const StorePointer& store, const RankPlace& place,
                                            std::chrono::milliseconds timeout);

/// Whether the program was built with NCCL.
[[nodiscard]] bool has_nccl();
/// @throws Error kDevice without NCCL
[[nodiscard]] ProcessGroupPointer open_nccl(const StorePointer& store, const RankPlace& place,
                                            std::chrono::milliseconds timeout);

/// One line of an exception of c10d or Gloo, without backtrace and full stop.
[[nodiscard]] std::string cause_of(const std::exception& error);

}  // namespace loopbank

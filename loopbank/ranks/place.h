#pragma once
/// Where this process stands among those that compute together, from its launcher's variables.

#include <cstdint>
#include <string>

namespace loopbank {

struct RankPlace {
  int64_t rank = 0;
  int64_t size = 1;
  int64_t local_rank = 0;  ///< among the ranks of this machine: the number of its GPU
  std::string master_address{};
  int64_t master_port = 0;
  std::string launcher{};        ///< such as "torchrun"; empty: one process without a launcher
  bool store_is_served = false;  ///< torchrun's agent serves the TCPStore, not rank 0
  int64_t restart = 0;           ///< how often the launcher has started the ranks anew
};

}  // namespace loopbank

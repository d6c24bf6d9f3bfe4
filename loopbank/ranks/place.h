#pragma once
/// Where this process stands among those that compute together, as its launcher told it.
///
/// A launcher (torchrun, mpirun, srun) starts one process a rank and describes each in environment
/// variables. Read are, in this order:
///
///     torchrun    RANK WORLD_SIZE LOCAL_RANK MASTER_ADDR MASTER_PORT
///                 TORCHELASTIC_USE_AGENT_STORE TORCHELASTIC_RESTART_COUNT
///     Open MPI    OMPI_COMM_WORLD_RANK OMPI_COMM_WORLD_SIZE OMPI_COMM_WORLD_LOCAL_RANK
///     MPICH       PMI_RANK PMI_SIZE MPI_LOCALRANKID
///     Slurm       SLURM_PROCID, SLURM_STEP_NUM_TASKS (or SLURM_NTASKS), SLURM_LOCALID
///
/// Only torchrun says where the ranks meet. For the others that is MASTER_ADDR, or else the first
/// host of Slurm's node list, or else this machine where all ranks are on it; the port is
/// MASTER_PORT, or else one that follows from the Slurm job, or else 29500.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace loopbank {

/// The port on which the ranks meet where nothing says otherwise: the one that c10d takes.
constexpr int64_t kDefaultMasterPort = 29500;

/// One rank of `size`; alone where no launcher started the process.
struct RankPlace {
  int64_t rank = 0;              ///< 0 to size - 1
  int64_t size = 1;              ///< number of ranks
  int64_t local_rank = 0;        ///< among the ranks of this machine: chooses the GPU
  std::string master_address{};  ///< host of the store through which the ranks meet
  int64_t master_port = 0;
  std::string launcher{};        ///< torchrun | mpirun | srun; empty: started by hand, alone
  bool store_is_served = false;  ///< torchrun's agent serves the store, otherwise rank 0 does
  int64_t restart = 0;           ///< how often torchrun started the ranks anew
};

/// Gives the value of an environment variable, nothing where it is not set.
using VariableReader = std::function<std::optional<std::string>(const char* name)>;

/// The place of this process by its environment.
/// @throws Error kConfig for variables that contradict each other or of which one is missing
[[nodiscard]] RankPlace rank_place();
/// The same with variables from elsewhere.
[[nodiscard]] RankPlace rank_place(const VariableReader& variable);

/// The first host of a Slurm node list: `gpu[07-09,12],cpu1` gives `gpu07`, `a,b` gives `a`.
[[nodiscard]] std::string first_slurm_host(std::string_view node_list);

}  // namespace loopbank

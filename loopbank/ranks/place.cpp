#include "loopbank/ranks/place.h"

#include <charconv>
#include <cstdlib>
#include <limits>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

constexpr int64_t kMostRanks = 1 << 20;
constexpr int64_t kMostPorts = 65535;
/// Steps that Slurm gives to a batch script or an interactive shell, not to ranks.
constexpr int64_t kFirstSpecialStep = 0xfffffff0;

/// The variables of one launcher.
struct PlaceVariables {
  const char* launcher;
  const char* rank;
  const char* size;
  const char* local_rank;
  const char* local_size;
};

constexpr PlaceVariables kTorchrun = {"torchrun", "RANK", "WORLD_SIZE", "LOCAL_RANK",
                                      "LOCAL_WORLD_SIZE"};
constexpr PlaceVariables kOpenMpi = {"mpirun", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE",
                                     "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"};
constexpr PlaceVariables kMpich = {"mpirun", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID",
                                   "MPI_LOCALNRANKS"};
constexpr PlaceVariables kSlurmStep = {"srun", "SLURM_PROCID", "SLURM_STEP_NUM_TASKS",
                                       "SLURM_LOCALID", nullptr};
constexpr PlaceVariables kSlurmJob = {"srun", "SLURM_PROCID", "SLURM_NTASKS", "SLURM_LOCALID",
                                      nullptr};

class Reader {
 public:
  explicit Reader(const VariableReader& variable) : variable_(variable) {}

  /// The text of a variable; set but empty counts as not set.
  [[nodiscard]] std::optional<std::string> text(const char* name) const {
    auto value = name == nullptr ? std::nullopt : variable_(name);
    return value && value->empty() ? std::nullopt : value;
  }

  [[nodiscard]] bool has(const char* name) const { return text(name).has_value(); }

  [[nodiscard]] std::optional<int64_t> number(const char* name, int64_t low, int64_t high) const {
    const auto value = text(name);
    if (!value) {
      return std::nullopt;
    }
    int64_t number = 0;
    const char* last = value->data() + value->size();
    const auto [end, error] = std::from_chars(value->data(), last, number);
    if (error != std::errc() || end != last || number < low || number > high) {
      fail(ErrorCode::kConfig,
           "{}: expected a whole number from {} to {}, got \"{}\". Launchers set it: start the "
           "ranks with torchrun, mpirun or srun.",
           name, low, high, *value);
    }
    return number;
  }

 private:
  const VariableReader& variable_;
};

/// Rank, size and local rank by a launcher's variables.
RankPlace placed(const Reader& reader, const PlaceVariables& names) {
  const auto size = reader.number(names.size, 1, kMostRanks);
  const auto rank = reader.number(names.rank, 0, kMostRanks);
  if (!size || !rank) {
    fail(ErrorCode::kConfig,
         "{}: expected {} beside it, got none. Start the ranks with torchrun, or set both; without "
         "either the program runs alone.",
         size ? names.size : names.rank, size ? names.rank : names.size);
  }
  if (*rank >= *size) {
    fail(ErrorCode::kConfig, "{}: expected a rank below {} = {}, got {}. Ranks count from 0.",
         names.rank, names.size, *size, *rank);
  }
  RankPlace place;
  place.rank = *rank;
  place.size = *size;
  place.launcher = names.launcher;
  // Without a local rank all ranks count as on one machine, where local rank and rank are the same.
  place.local_rank = reader.number(names.local_rank, 0, kMostRanks).value_or(*rank);
  return place;
}

/// What torchrun says, or a user who sets its variables by hand.
RankPlace place_by_torchrun(const Reader& reader) {
  auto place = placed(reader, kTorchrun);
  const auto address = reader.text("MASTER_ADDR");
  const auto port = reader.number("MASTER_PORT", 1, kMostPorts);
  if (place.size > 1 && !address) {
    fail(ErrorCode::kConfig,
         "WORLD_SIZE = {}: expected MASTER_ADDR beside it, the host of rank 0, got none. Start the "
         "ranks with torchrun, or set MASTER_ADDR and MASTER_PORT.",
         place.size);
  }
  place.master_address = address.value_or("");
  place.master_port = port.value_or(kDefaultMasterPort);
  place.store_is_served = reader.text("TORCHELASTIC_USE_AGENT_STORE") == "True";
  place.restart =
      reader.number("TORCHELASTIC_RESTART_COUNT", 0, std::numeric_limits<int32_t>::max())
          .value_or(0);
  return place;
}

/// Where ranks meet whose launcher does not say it.
void choose_master(const Reader& reader, const PlaceVariables& names, RankPlace& place) {
  constexpr int64_t kNumberOfJobs = std::numeric_limits<int64_t>::max() / 64;
  const auto job = reader.number("SLURM_JOB_ID", 0, kNumberOfJobs);
  place.master_port = kDefaultMasterPort;
  if (job) {
    // Steps of one job and jobs on one node get ports of their own, below those that the kernel
    // hands out (32768).
    const auto step = reader.number("SLURM_STEP_ID", 0, kNumberOfJobs).value_or(0);
    place.master_port = 20000 + (*job * 31 + step % kFirstSpecialStep) % 12000;
  }
  if (const auto port = reader.number("MASTER_PORT", 1, kMostPorts)) {
    place.master_port = *port;
  }
  const auto local_size = reader.number(names.local_size, 1, kMostRanks);
  auto nodes = reader.text("SLURM_STEP_NODELIST");
  if (!nodes) {
    nodes = reader.text("SLURM_NODELIST");
  }
  if (const auto address = reader.text("MASTER_ADDR")) {
    place.master_address = *address;
  } else if (nodes) {
    place.master_address = first_slurm_host(*nodes);
  } else if (local_size && *local_size == place.size) {
    place.master_address = "127.0.0.1";
  } else {
    fail(ErrorCode::kConfig,
         "{} = {}: expected MASTER_ADDR beside it, the host of rank 0, got none. Set it for all "
         "ranks: mpirun -x MASTER_ADDR=HOST (MPICH: -genv MASTER_ADDR HOST).",
         names.size, place.size);
  }
}

RankPlace place_by(const Reader& reader, const PlaceVariables& names) {
  auto place = placed(reader, names);
  if (place.size > 1) {
    choose_master(reader, names, place);
  }
  return place;
}

/// Whether srun started this process as one of several tasks: a batch script and a shell within an
/// allocation have the variables of the job as well.
std::optional<RankPlace> place_by_slurm(const Reader& reader) {
  const auto step = reader.number("SLURM_STEP_ID", 0, std::numeric_limits<int64_t>::max());
  if (!step || *step >= kFirstSpecialStep || !reader.has("SLURM_PROCID")) {
    return std::nullopt;
  }
  const auto& names = reader.has(kSlurmStep.size) ? kSlurmStep : kSlurmJob;
  if (reader.number(names.size, 1, kMostRanks).value_or(1) == 1) {
    return std::nullopt;
  }
  return place_by(reader, names);
}

}  // namespace

std::string first_slurm_host(std::string_view node_list) {
  const auto end = node_list.find_first_of(",[");
  std::string host(node_list.substr(0, end));
  if (end == std::string_view::npos || node_list[end] == ',') {
    return host;
  }
  // In brackets the first number stands before `-`, `,` or the end; its zeros belong to the name.
  const auto first = node_list.substr(end + 1);
  const auto close = first.find(']');
  host += first.substr(0, first.find_first_of("-,]"));
  if (close == std::string_view::npos) {
    fail(ErrorCode::kConfig,
         "SLURM_NODELIST: expected a list as a[1-2],b, got \"{}\". Set MASTER_ADDR to the host of "
         "rank 0.",
         node_list);
  }
  // What follows the bracket: `a[1-2]-ib` has hosts a1-ib and a2-ib.
  const auto rest = first.substr(close + 1);
  return host + std::string(rest.substr(0, rest.find_first_of(",[")));
}

RankPlace rank_place(const VariableReader& variable) {
  const Reader reader(variable);
  if (reader.has(kTorchrun.rank) || reader.has(kTorchrun.size)) {
    return place_by_torchrun(reader);
  }
  for (const auto& names : {kOpenMpi, kMpich}) {
    if (reader.has(names.rank) || reader.has(names.size)) {
      return place_by(reader, names);
    }
  }
  return place_by_slurm(reader).value_or(RankPlace{});
}

RankPlace rank_place() {
  return rank_place([](const char* name) -> std::optional<std::string> {
    const char* value = std::getenv(name);
    return value == nullptr ? std::nullopt : std::optional<std::string>(value);
  });
}

}  // namespace loopbank

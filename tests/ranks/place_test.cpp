/// Where launchers say a rank stands.

#include "loopbank/ranks/place.h"

#include <gtest/gtest.h>

#include <map>

#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using Variables = std::map<std::string, std::string>;

RankPlace place_of(const Variables& variables) {
  return rank_place([&](const char* name) -> std::optional<std::string> {
    const auto found = variables.find(name);
    return found == variables.end() ? std::nullopt : std::optional(found->second);
  });
}

std::string error_of(const Variables& variables) {
  try {
    (void)place_of(variables);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "no error";
}

TEST(RankPlace, WithoutALauncherTheProcessIsAlone) {
  const auto place = place_of({{"MASTER_ADDR", "elsewhere"}, {"MASTER_PORT", "1234"}});
  EXPECT_EQ(place.rank, 0);
  EXPECT_EQ(place.size, 1);
  EXPECT_EQ(place.launcher, "");
}

TEST(RankPlace, TorchrunSaysWhereTheRanksMeetAndWhoServesTheStore) {
  Variables variables = {{"RANK", "5"},
                         {"WORLD_SIZE", "8"},
                         {"LOCAL_RANK", "1"},
                         {"MASTER_ADDR", "node0"},
                         {"MASTER_PORT", "4321"},
                         {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                         {"TORCHELASTIC_RESTART_COUNT", "2"}};
  const auto place = place_of(variables);
  EXPECT_EQ(place.rank, 5);
  EXPECT_EQ(place.size, 8);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.master_address, "node0");
  EXPECT_EQ(place.master_port, 4321);
  EXPECT_EQ(place.launcher, "torchrun");
  EXPECT_TRUE(place.store_is_served);
  EXPECT_EQ(place.restart, 2);
  variables["TORCHELASTIC_USE_AGENT_STORE"] = "False";
  EXPECT_FALSE(place_of(variables).store_is_served);
}

TEST(RankPlace, MpirunOnOneMachineNeedsNoAddress) {
  const auto place = place_of({{"OMPI_COMM_WORLD_RANK", "3"},
                               {"OMPI_COMM_WORLD_SIZE", "4"},
                               {"OMPI_COMM_WORLD_LOCAL_RANK", "3"},
                               {"OMPI_COMM_WORLD_LOCAL_SIZE", "4"}});
  EXPECT_EQ(place.rank, 3);
  EXPECT_EQ(place.size, 4);
  EXPECT_EQ(place.local_rank, 3);
  EXPECT_EQ(place.master_address, "127.0.0.1");
  EXPECT_EQ(place.master_port, kDefaultMasterPort);
  EXPECT_EQ(place.launcher, "mpirun");
}

TEST(RankPlace, MpichOverTwoMachinesTakesTheAddressThatIsPassedOn) {
  Variables variables = {
      {"PMI_RANK", "2"}, {"PMI_SIZE", "4"}, {"MPI_LOCALRANKID", "0"}, {"MPI_LOCALNRANKS", "2"}};
  EXPECT_EQ(error_of(variables),
            "PMI_SIZE = 4: expected MASTER_ADDR beside it, the host of rank 0, got none. Set it "
            "for all ranks: mpirun -x MASTER_ADDR=HOST (MPICH: -genv MASTER_ADDR HOST).");
  variables["MASTER_ADDR"] = "node0";
  variables["MASTER_PORT"] = "7000";
  const auto place = place_of(variables);
  EXPECT_EQ(place.rank, 2);
  EXPECT_EQ(place.local_rank, 0);
  EXPECT_EQ(place.master_address, "node0");
  EXPECT_EQ(place.master_port, 7000);
}

TEST(RankPlace, SlurmStepsMeetOnTheirFirstNode) {
  Variables variables = {{"SLURM_PROCID", "9"},      {"SLURM_NTASKS", "16"},
                         {"SLURM_LOCALID", "1"},     {"SLURM_STEP_ID", "0"},
                         {"SLURM_JOB_ID", "123456"}, {"SLURM_NODELIST", "gpu[07-08],x1"}};
  const auto place = place_of(variables);
  EXPECT_EQ(place.rank, 9);
  EXPECT_EQ(place.size, 16);
  EXPECT_EQ(place.local_rank, 1);
  EXPECT_EQ(place.master_address, "gpu07");
  EXPECT_EQ(place.launcher, "srun");
  EXPECT_GE(place.master_port, 20000);
  EXPECT_LT(place.master_port, 32768);
  // Another step of the job meets elsewhere, and the step's own node list goes first.
  variables["SLURM_STEP_ID"] = "1";
  variables["SLURM_STEP_NODELIST"] = "x1";
  EXPECT_NE(place_of(variables).master_port, place.master_port);
  EXPECT_EQ(place_of(variables).master_address, "x1");
}

TEST(RankPlace, ABatchScriptOrAShellWithinAnAllocationIsAlone) {
  Variables variables = {{"SLURM_PROCID", "0"},
                         {"SLURM_NTASKS", "16"},
                         {"SLURM_JOB_ID", "7"},
                         {"SLURM_NODELIST", "a"}};
  EXPECT_EQ(place_of(variables).size, 1);  // sbatch
  variables["SLURM_STEP_ID"] = "4294967290";
  EXPECT_EQ(place_of(variables).size, 1);  // the interactive step of salloc
  variables["SLURM_STEP_ID"] = "0";
  variables["SLURM_STEP_NUM_TASKS"] = "1";
  EXPECT_EQ(place_of(variables).size, 1);  // srun -n 1 in an allocation of 16
}

TEST(RankPlace, TorchrunWithinSlurmGoesFirst) {
  const auto place = place_of({{"SLURM_PROCID", "1"},
                               {"SLURM_NTASKS", "2"},
                               {"SLURM_STEP_ID", "0"},
                               {"RANK", "6"},
                               {"WORLD_SIZE", "8"},
                               {"MASTER_ADDR", "node0"}});
  EXPECT_EQ(place.rank, 6);
  EXPECT_EQ(place.size, 8);
}

TEST(RankPlace, SlurmHostListsAreReadToTheFirstHost) {
  EXPECT_EQ(first_slurm_host("node1"), "node1");
  EXPECT_EQ(first_slurm_host("a1,b[2-3]"), "a1");
  EXPECT_EQ(first_slurm_host("gpu[007-009,12]"), "gpu007");
  EXPECT_EQ(first_slurm_host("n[4,6]"), "n4");
  EXPECT_EQ(first_slurm_host("r[1-2]-ib,x"), "r1-ib");
  EXPECT_THROW((void)first_slurm_host("n[4-6"), Error);
}

TEST(RankPlace, EachContradictionIsOneLine) {
  EXPECT_EQ(error_of({{"RANK", "0"}, {"WORLD_SIZE", "2"}}),
            "WORLD_SIZE = 2: expected MASTER_ADDR beside it, the host of rank 0, got none. Start "
            "the ranks with torchrun, or set MASTER_ADDR and MASTER_PORT.");
  EXPECT_EQ(error_of({{"WORLD_SIZE", "2"}}),
            "WORLD_SIZE: expected RANK beside it, got none. Start the ranks with torchrun, or set "
            "both; without either the program runs alone.");
  EXPECT_EQ(error_of({{"RANK", "2"}}),
            "RANK: expected WORLD_SIZE beside it, got none. Start the ranks with torchrun, or set "
            "both; without either the program runs alone.");
  EXPECT_EQ(error_of({{"RANK", "2"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}),
            "RANK: expected a rank below WORLD_SIZE = 2, got 2. Ranks count from 0.");
  EXPECT_EQ(error_of({{"RANK", "first"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}}),
            "RANK: expected a whole number from 0 to 1048576, got \"first\". Launchers set it: "
            "start the ranks with torchrun, mpirun or srun.");
  EXPECT_NE(error_of({{"RANK", "0"}, {"WORLD_SIZE", "0"}, {"MASTER_ADDR", "a"}})
                .find("WORLD_SIZE: expected a whole number from 1"),
            std::string::npos);
  EXPECT_NE(
      error_of({{"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "70000"}})
          .find("MASTER_PORT: expected a whole number from 1 to 65535, got \"70000\""),
      std::string::npos);
}

}  // namespace
}  // namespace loopbank

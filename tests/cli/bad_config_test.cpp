/// Mistyped flags and configs: each ends in one line that names the place, the value and what
/// would be right.

#include <gtest/gtest.h>

#include "bad_input.h"
#include "fixtures.h"

namespace loopbank::testing {
namespace {

using Path = std::filesystem::path;

/// Replaces a text in run.toml.
auto change(const std::string& from, const std::string& to) {
  return [=](const Path& directory) { replace_in_file(directory / "run.toml", from, to); };
}

const std::vector<BadInput> kConfigMistakes = {
    {.name = "UnknownCommand",
     .arguments = {"plna", "run.toml"},
     .status = 2,
     .fragments = {"unknown command \"plna\"", "Did you mean \"plan\"?"}},
    {.name = "UnknownFlag",
     .arguments = {"plan", "run.toml", "--jsn"},
     .status = 2,
     .fragments = {"loopbank plan: unknown flag \"--jsn\"", "Did you mean \"--json\"?"}},
    {.name = "UnknownFlagThatIsASetting",
     .arguments = {"plan", "run.toml", "--steps", "50"},
     .status = 2,
     .fragments = {"loopbank plan: unknown flag \"--steps\". Did you mean --set "
                   "training.steps=VALUE?"}},
    {.name = "UnknownFlagThatOtherProgramsHave",
     .arguments = {"plan", "run.toml", "--learning-rate=1e-3"},
     .status = 2,
     .fragments = {"unknown flag \"--learning-rate\". Did you mean --set "
                   "schedule.peak_rate=VALUE?"}},
    {.name = "UnknownFlagWithValue",
     .arguments = {"plan", "run.toml", "--thread=2"},
     .status = 2,
     .fragments = {"unknown flag \"--thread\"", "Did you mean \"--threads\"?"}},
    {.name = "FlagOfAnotherType",
     .arguments = {"plan", "run.toml", "--threads", "many"},
     .status = 2,
     .fragments = {"--threads: expected a whole number from 1 to 1024, got \"many\". See",
                   "loopbank plan --help"}},
    {.name = "FlagOutsideItsRange",
     .arguments = {"plan", "run.toml", "--threads", "0"},
     .status = 2,
     .fragments = {"--threads: expected a whole number from 1 to 1024, got \"0\". See"}},
    {.name = "FlagBeyondEveryWholeNumber",
     .arguments = {"plan", "run.toml", "--threads", "123456789012345678901234567890"},
     .status = 2,
     .fragments = {"--threads: expected a whole number from 1 to 1024, got \"1234"}},
    {.name = "FlagWithoutBoundBeyondEveryWholeNumber",
     .arguments = {"generate", "model", "--prompt", "a", "--max-tokens",
                   "123456789012345678901234567890"},
     .status = 2,
     .fragments = {"--max-tokens: expected a whole number of 0 or more, got \"1234"}},
    {.name = "ListOfFlagsOutsideItsRange",
     .arguments = {"bench", "serve", "model", "--clients", "1,0"},
     .status = 2,
     .fragments = {"--clients: expected a whole number of 1 or more, got \"0\". See"}},
    {.name = "ListOfFlagsOfALargeNumber",
     .arguments = {"bench", "ranks", "--ranks", "1e308"},
     .status = 2,
     .fragments = {"--ranks: expected a whole number of 1 or more, got \"1e308\". See"}},
    {.name = "FlagOutsideItsChoices",
     .arguments = {"match", "run.toml", "--by", "size"},
     .status = 2,
     .fragments = {"--by: expected \"parameters\" or \"flops\", got \"size\". See"}},
    {.name = "FlagNearOneOfItsChoices",
     .arguments = {"match", "run.toml", "--by", "flop"},
     .status = 2,
     .fragments = {"got \"flop\". Did you mean \"flops\"? See loopbank match --help."}},
    {.name = "FlagThatStandsForASetting",
     .arguments = {"generate", "model", "--prompt", "", "--precision", "fp16"},
     .status = 2,
     .fragments = {"--precision: expected \"fp32\" or \"bf16\", got \"fp16\"."}},
    {.name = "FlagThatIsNoNumber",
     .arguments = {"generate", "model", "--prompt", "", "--temperature", "nan"},
     .status = 2,
     .fragments = {"--temperature: expected a number of 0 or more, got \"nan\"."}},
    {.name = "MissingArgument",
     .arguments = {"plan"},
     .status = 2,
     .fragments = {"loopbank plan: CONFIG is required", "loopbank plan --help"}},
    {.name = "NoCommand",
     .arguments = {"data"},
     .status = 2,
     .fragments = {"loopbank data: expected a command (train-tokenizer, ", "), got none. See"}},
    {.name = "FlagWithoutItsValue",
     .arguments = {"plan", "run.toml", "--set"},
     .status = 2,
     .fragments = {"loopbank plan: --set: expected a value, got none. See"}},
    {.name = "PromptWithoutItsFlag",
     .arguments = {"generate", "model", "hello"},
     .status = 2,
     .fragments = {"loopbank generate: unexpected argument \"hello\". See"}},
    {.name = "OneArgumentTooMany",
     .arguments = {"plan", "run.toml", "other.toml"},
     .status = 2,
     .fragments = {"unexpected argument \"other.toml\""}},
    {.name = "MissingConfig",
     .arguments = {"plan", "absent.toml"},
     .status = 2,
     .fragments = {"absent.toml", "No such file or directory"}},
    {.name = "MissingBase",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"run.toml:1: \"base\" expects an existing file", "absent.toml"},
     .spoil = change("# A run of seconds.", "base = \"absent.toml\"")},
    {.name = "BrokenToml",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"run.toml:3: "},
     .spoil = change("vocab_size = 257", "vocab_size = = 257")},
    {.name = "UnknownKey",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"run.toml:9: unknown key \"max_loop\" in [model]",
                   "Did you mean \"max_loops\"?"},
     .spoil = change("max_loops", "max_loop")},
    {.name = "UnknownSection",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"unknown section [trainig]", "Did you mean \"training\"?"},
     .spoil = change("[training]", "[trainig]")},
    {.name = "UnknownKeyOnTheCommandLine",
     .arguments = {"plan", "run.toml", "--set", "training.step=3"},
     .status = 2,
     .fragments = {"training.step=3", "unknown key \"step\"", "Did you mean \"steps\"?"}},
    {.name = "ValueOfAnotherType",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"run.toml:4: \"hidden_size\" expects", "\"wide\""},
     .spoil = change("hidden_size = 16", "hidden_size = \"wide\"")},
    {.name = "ValueOutsideItsRange",
     .arguments = {"plan", "run.toml"},
     .status = 2,
     .fragments = {"run.toml:4: \"hidden_size\" expects a whole number from 2 to 1048576, got 1. "
                   "Nearest: 2."},
     .spoil = change("hidden_size = 16", "hidden_size = 1")},
    {.name = "ValueThatDoesNotDivide",
     .arguments = {"plan", "run.toml", "--set", "model.num_attention_heads=3"},
     .status = 2,
     .fragments = {"--set model.num_attention_heads=3: \"num_attention_heads\"", "16"}},
    {.name = "UnknownChoice",
     .arguments = {"plan", "run.toml", "--set", "model.depth_scale=inverted"},
     .status = 2,
     .fragments = {"depth_scale", "\"inverted\"", "inverse"}},
    {.name = "SequenceLongerThanTheModels",
     .arguments = {"plan", "run.toml", "--set", "training.sequence_length=64"},
     .status = 2,
     .fragments = {"sequence_length", "64", "max_position_embeddings", "32"}},
};

class Mistake : public ::testing::TestWithParam<BadInput> {};

TEST_P(Mistake, EndsInOneLineThatNamesIt) {
  expect_refused(GetParam());
}

INSTANTIATE_TEST_SUITE_P(Program, Mistake, ::testing::ValuesIn(kConfigMistakes),
                         [](const auto& item) { return item.param.name; });

}  // namespace
}  // namespace loopbank::testing

#include "loopbank/train/run_config.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "../support/test_directory.h"
#include "loopbank/support/error.h"

namespace loopbank {
namespace {

using testing::TestDirectory;

constexpr const char* kRun = R"([model]
vocab_size = 300
hidden_size = 16
intermediate_size = 32
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 32
max_loops = [1, 3]
[data]
train = "a.tokens"
tokenizer = "bytes"
[training]
steps = 10
batch = 6
micro_batch = 2
sequence_length = 32
precision = "fp32"
[schedule]
name = "warmup_stable_decay"
peak_rate = 1e-3
)";

/// The message with which the run is refused after `overrides`; empty where it is not.
std::string override_refusal(const std::vector<std::string>& overrides) {
  const TestDirectory directory;
  const auto path = directory.write("run.toml", kRun);
  try {
    (void)load_run_config(path, overrides);
  } catch (const Error& error) {
    EXPECT_EQ(error.code(), ErrorCode::kConfig);
    return error.what();
  }
  return "";
}

struct Mistake {
  std::string override_text;
  std::vector<std::string> fragments;
};

TEST(RunConfig, ReadsWhatTheFileSaysAndKeepsDefaults) {
  const TestDirectory directory;
  const auto config =
      load_run_config(directory.write("run.toml", kRun), {"training.batch=8", "data.train=b c"});
  EXPECT_EQ(config.model.loops(1), 3);
  EXPECT_EQ(config.training.batch, 8);
  EXPECT_EQ(config.data.train, TextOrList("b c"));
  EXPECT_EQ(config.training.keep_checkpoints, TrainingConfig{}.keep_checkpoints);
  EXPECT_EQ(config.schedule.peak_rate, 1e-3);
}

TEST(RunConfig, RotaryScalingIsATableOfTheModel) {
  const TestDirectory directory;
  const auto path = directory.write(
      "run.toml", std::string(kRun) + "[model.rope_scaling]\nrope_type = \"linear\"\nfactor = 2\n");
  const auto config = load_run_config(path);
  EXPECT_EQ(config.model.rope_scaling, (RopeScaling{.rope_type = "linear", .factor = 2.0}));
  EXPECT_EQ(load_run_config(path, {"model.rope_scaling.factor=4"}).model.rope_scaling.factor, 4.0);
  EXPECT_EQ(load_run_config(directory.write("again.toml", to_toml(config))).model, config.model);
  // Where angles are not scaled nothing is said of it, and a key without effect is refused.
  EXPECT_EQ(to_toml(load_run_config(directory.write("plain.toml", kRun))).find("rope_scaling"),
            std::string::npos);
  EXPECT_NE(
      override_refusal({"model.rope_scaling.factor=4"})
          .find("--set model.rope_scaling.factor=4: \"factor\" expects its default, 1.0, where "
                "\"rope_type\" is \"default\""),
      std::string::npos);
  EXPECT_NE(override_refusal({"model.rope_scaling.factr=4"}).find("Did you mean \"factor\"?"),
            std::string::npos);
}

TEST(RunConfig, ComesBackFromItsOwnToml) {
  const TestDirectory directory;
  auto config = load_run_config(directory.write("run.toml", kRun));
  config.model.first_loop_scale_init = 0.5413;
  config.data.validation = "with \"quotes\" and \\ in it.tokens";
  config.optimizer.eps = 1e-8;
  config.optimizer.router_multiplier = 0.5;
  config.training.ponder_warmup_fraction = 0.1;
  config.training.halting_alarm_steps = 7;
  config.training.alarm_validations = 5;
  config.training.rank_timeout = 30.5;
  config.training.tensorboard = false;
  config.training.seed = 1234567890123;
  config.data.train = std::vector<std::string>{"a.tokens", "b/*.bin"};
  config.data.train_weights = {0.7, 3.0};
  config.evaluation.tasks = {"piqa", "math"};
  config.evaluation.data = {"folder"};
  config.evaluation.max_loops = {1, 3};
  EXPECT_EQ(load_run_config(directory.write("again.toml", to_toml(config))), config);
}

TEST(RunConfig, EveryMistakeNamesItsKeyAndItsValue) {
  const std::vector<Mistake> mistakes = {
      {"training.steps=0",
       {"--set training.steps=0: \"steps\"", "from 1", "got 0. It has no default: set it."}},
      {"training.steps=-3",
       {"--set training.steps=-3: \"steps\" expects a whole number from 1 to 1000000000, got -3. "
        "Nearest: 1."}},
      {"training.batch=-4", {"\"batch\"", "got -4"}},
      {"training.micro_batch=4", {"\"micro_batch\"", "divisor", "(6)", "got 4"}},
      {"training.micro_batch=7", {"\"micro_batch\"", "from 0 to 6", "got 7"}},
      {"training.sequence_length=33",
       {"\"sequence_length\"", "\"max_position_embeddings\"", "(32)", "got 33"}},
      {"training.sequence_length=0", {"\"sequence_length\"", "got 0"}},
      {"training.precision=fp16", {"\"precision\"", "\"fp32\" or \"bf16\"", "got \"fp16\""}},
      {"training.device=gpu", {"\"device\"", "cpu", "\"gpu\""}},
      {"training.keep_checkpoints=0", {"\"keep_checkpoints\"", "got 0"}},
      {"training.validation_rows=0", {"\"validation_rows\"", "got 0"}},
      {"training.ponder_warmup_fraction=1.5", {"\"ponder_warmup_fraction\"", "got 1.5"}},
      {"training.halting_alarm_steps=-1", {"\"halting_alarm_steps\"", "got -1"}},
      {"training.alarm_validations=-1", {"\"alarm_validations\"", "got -1"}},
      {"optimizer.router_multiplier=-1.0", {"\"router_multiplier\"", "got -1"}},
      {"optimizer.memory_gate_multiplier=-1.0", {"\"memory_gate_multiplier\"", "got -1"}},
      {"training.seed=-1", {"\"seed\"", "got -1"}},
      {"optimizer.beta2=1.0", {"optimizer.beta2", "\"beta2\"", "from 0 to below 1", "got 1"}},
      {"optimizer.eps=0.0", {"\"eps\"", "above 0", "got 0"}},
      {"optimizer.weight_decay=-0.1", {"\"weight_decay\"", "got -0.1"}},
      {"optimizer.clip_norm=-1.0", {"\"clip_norm\"", "got -1"}},
      {"schedule.name=onecycle", {"\"name\"", "\"onecycle\"", "Did you mean \"one_cycle\"?"}},
      {"schedule.peak_rate=0.0", {"\"peak_rate\"", "above 0", "got 0"}},
      {"schedule.warmup_fraction=1.5", {"\"warmup_fraction\"", "got 1.5"}},
      {"schedule.decay_fraction=0.995", {"\"decay_fraction\"", "0.01", "got 0.995"}},
      {"data.train=[]", {"\"train\"", "a path or a list of paths", "an empty list"}},
      {"data.train=[\"a\", \"\"]", {"\"train\"", "expects paths", "among 2"}},
      {"data.train_weights=[0.5, 0.5]", {"\"train_weights\"", "each of the 1 paths", "got 2"}},
      {"data.train_weights=[0]", {"\"train_weights\"", "above 0", "got 0"}},
      {"evaluation.every=-1", {"evaluation.every", "\"every\"", "from 0", "got -1"}},
      {"evaluation.shots=-2", {"\"shots\"", "from -1", "got -2"}},
      {"evaluation.limit=-2", {"\"limit\"", "got -2"}},
      {"evaluation.max_loops=[1,4]",
       {"--set evaluation.max_loops=[1,4]: \"max_loops\"", "from 1 to 3, or 0", "got 4"}},
      {"evaluation.tasks=[\"piqa\"]", {"\"data\" expects the folders", "(piqa)", "got none"}},
      {"training.step=3", {"unknown key \"step\"", "Did you mean \"steps\"?"}},
  };
  for (const auto& [text, fragments] : mistakes) {
    const auto message = override_refusal({text});
    for (const auto& fragment : fragments) {
      EXPECT_NE(message.find(fragment), std::string::npos)
          << text << "\nexpected: " << fragment << "\nin: " << message;
    }
  }
}

/// The file's name without its folder.
std::string without_folders(std::string message) {
  const std::string name = "run.toml";
  for (size_t at = 0; (at = message.find(name, at)) != std::string::npos;) {
    const auto begin = message.find_last_of(" (", at) + 1;
    message.erase(begin, at - begin);
    at = begin + name.size();
  }
  return message;
}

TEST(RunConfig, WhatDoesNotFitTogetherNamesTheSettingToChange) {
  const std::vector<std::pair<std::string, std::string>> mistakes = {
      {"training.micro_batch=4",
       "--set training.micro_batch=4: \"micro_batch\" expects a divisor of \"batch\" (6) or 0, got "
       "4."},
      {"training.batch=5",
       "--set training.batch=5: \"micro_batch\" (run.toml:15) expects a divisor of \"batch\" (5) "
       "or "
       "0, got 2."},
      {"model.max_position_embeddings=16",
       "--set model.max_position_embeddings=16: \"sequence_length\" (run.toml:16) expects at most "
       "the model's \"max_position_embeddings\" (16), got 32. Raise the one or lower the other."},
      {"model.num_attention_heads=3",
       "--set model.num_attention_heads=3: \"num_attention_heads\" expects a count that splits "
       "\"hidden_size\" 16 into heads of even width (rotary embeddings turn pairs), got 3. "
       "Nearest: "
       "2."},
      {"schedule.warmup_fraction=0.9",
       "--set schedule.warmup_fraction=0.9: \"decay_fraction\" expects at most 1 together with "
       "\"warmup_fraction\" (0.9), got 0.2."},
  };
  for (const auto& [text, expected] : mistakes) {
    EXPECT_EQ(without_folders(override_refusal({text})), expected);
  }
  EXPECT_EQ(
      without_folders(override_refusal({"model.num_hidden_layers=3", "training.steps=9"})),
      "--set model.num_hidden_layers=3: \"max_loops\" (run.toml:8) expects one number or a list "
      "of 3 (one per layer, \"num_hidden_layers\"), got a list of 2.");
}

TEST(RunConfig, NamesOfOtherProgramsAreAnsweredWithOurs) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"optimizer.learning_rate=1e-3",
       "unknown key \"learning_rate\" in [optimizer]. Here it is called \"schedule.peak_rate\"."},
      {"optimizer.lr=1e-3", "in [optimizer]. Here it is called \"schedule.peak_rate\"."},
      {"training.batch_size=4", "Here it is called \"training.batch\", in sequences."},
      {"model.d_model=64", "Here it is called \"model.hidden_size\"."},
      {"model.n_layer=4", "Here it is called \"model.num_hidden_layers\"."},
      {"training.weight_decay=0.1", "Did you mean \"optimizer.weight_decay\"?"},
      {"schedule.warmup_steps=10",
       "Here it is called \"schedule.warmup_fraction\", a fraction of \"training.steps\"."},
      {"training.max_steps=10", "Here it is called \"training.steps\"."},
      {"training.eval_interval=10", "Here it is called \"training.validate_every\"."},
      {"training.seq_len=16", "Here it is called \"training.sequence_length\"."},
      {"model.block_size=16", "Here it is called \"model.max_position_embeddings\"."},
      {"training.block_size=16", "Here it is called \"training.sequence_length\"."},
      {"model.dropout=0.1", "unknown key \"dropout\" in [model]. Nothing drops out here."},
      {"train.steps=3", "unknown section [train]. Did you mean \"training.steps\"?"},
      {"scheduler.t_warmup=3",
       "unknown section [scheduler]. Here \"t_warmup\" is called \"schedule.warmup_fraction\", a "
       "fraction"},
      {"optim.wd=3", "unknown section [optim]. Here \"wd\" is called \"optimizer.weight_decay\"."},
      {"adamw.fused=true", "unknown section [adamw]. Here it is called \"optimizer\"."},
      {"training.peek_rate=3", "Did you mean \"schedule.peak_rate\"?"},
      {"training.max_loops=3", "Did you mean \"model.max_loops\" or \"evaluation.max_loops\"?"},
      {"training.init_from=gpt2", "Here it is called \"training.init\"."},
      {"lr=3e-4", "as in model.max_loops=3. Here it is called \"schedule.peak_rate\"."},
      {"training.qwertz=3", "unknown key \"qwertz\" in [training]. Known: seed, steps, batch"},
  };
  for (const auto& [text, expected] : names) {
    const auto message = override_refusal({text});
    EXPECT_NE(message.find(expected), std::string::npos)
        << text << "\nexpected: " << expected << "\nin: " << message;
  }
}

TEST(RunConfig, AMistakeInTheFileNamesTheFileAndTheLine) {
  const TestDirectory directory;
  auto text = std::string(kRun);
  text.replace(text.find("steps = 10"), 10, "steps = -1");
  const auto path = directory.write("run.toml", text);
  try {
    (void)load_run_config(path);
    FAIL() << "was not refused";
  } catch (const Error& error) {
    EXPECT_EQ(
        std::string(error.what()),
        path.string() +
            ":13: \"steps\" expects a whole number from 1 to 1000000000, got -1. Nearest: 1.");
  }
}

TEST(RunConfig, EveryKeyIsDocumented) {
  RunConfig config;
  for (const auto& section : config.sections()) {
    EXPECT_FALSE(section.fields.empty()) << section.name;
    for (const auto& field : section.fields) {
      EXPECT_FALSE(field.doc.empty()) << section.name << "." << field.name;
    }
  }
}

}  // namespace
}  // namespace loopbank

/// Trains a config into a model directory: train configs/demo/loop3.toml runs/example

#include <fmt/format.h>

#include "loopbank/study/preset_data.h"
#include "loopbank/train/trainer.h"

int main(int, char** argv) {
  const auto config = loopbank::load_run_config(argv[1], {"training.steps=50"});
  if (const auto folder = loopbank::missing_preset_data(config.data)) {
    loopbank::make_preset_data(config.data, *folder);
  }
  const auto result = loopbank::train(config, {.out = argv[2]});
  fmt::print("loss {:.3f}, {:.2f} loops per token\n", result.loss, result.mean_loops);
}

/// loopbank probe MODEL_DIR: every inner value of a forward pass, by name, as safetensors.

#include "loopbank/dissect/probe.h"

#include <memory>
#include <string>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/model/weights.h"
#include "loopbank/support/log.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

struct ProbeFlags {
  std::string model;
  std::string device = "cpu";
  std::string tokens;
  std::string out;
  ProbeOptions options;
};

void run_probe(const ProbeFlags& flags) {
  const auto model = load_model(flags.model, choose_device(flags.device, "--device"));
  const auto tokens = read_probe_tokens(flags.tokens, model.config().vocab_size);
  const auto named = probe(model, tokens, flags.options);
  write_safetensors(flags.out, named);
  log_info("{} tensors in {}", named.size(), flags.out);
}

}  // namespace

void add_probe(CLI::App& app) {
  auto* command = app.add_subcommand(
      "probe", "Logits, loss, loops, halting, gates and gradients on given tokens, by name");
  const auto flags = std::make_shared<ProbeFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  command
      ->add_option("--tokens", flags->tokens,
                   "FILE.json: {\"tokens\": [[id, ...], ...]}, rows of one length")
      ->required();
  command->add_option("--out", flags->out, "FILE.safetensors to write")->required();
  command->add_flag("--gradients", flags->options.gradients,
                    "Also the loss's gradient of every parameter, grad.NAME");
  add_max_loops_flag(*command, &flags->options.max_loops);
  add_precision_flag(*command, flags->options.compute_dtype);
  command->callback([flags] { run_probe(*flags); });
}

}  // namespace loopbank::cli

/// loopbank inside MODEL_DIR: what a model does within, by layer, loop and kind of word.

#include "loopbank/dissect/inside.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/data_command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/print_table.h"
#include "loopbank/cli/runtime.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/dissect/text_rows.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/support/log.h"
#include "loopbank/support/progress.h"
#include "loopbank/support/statistics.h"
#include "loopbank/train/device.h"
#include "loopbank/train/run_config.h"

namespace loopbank::cli {
namespace {

constexpr int64_t kDefaultTokens = 16384;  // as many rows as make them
constexpr size_t kTokensShown = 8;         // with the most, and with the fewest loops
constexpr size_t kTokensBefore = 3;        // shown with each

struct InsideFlags {
  std::string model;
  std::string device = "cpu";
  std::string text;
  int64_t rows = 0;             // 0: not given
  int64_t sequence_length = 0;  // 0: not given
  int64_t skip_bad = 0;
  InsideOptions options;
  InferenceSettings inference;
  bool json = false;
};

constexpr const char* kThreeDigits = "{:#.3g}";  // of figures that span orders of magnitude

void print_layers(const Inside& inside) {
  std::vector<Cells> loops = {{"layer", "n", "+-", "P_t, t = 1..N", "scale s_t"}};
  std::vector<Cells> states = {
      {"layer", "|h^(t)| / sqrt D, t = 0..N", "relative change, t = 1..N"}};
  std::vector<Cells> gates = {{"layer", "local, t = 1..N", "+-", "global, t = 1..N", "+-"}};
  const auto gate = [](const std::optional<GateStatistics>& statistics, size_t l) {
    return statistics ? std::pair(cell(statistics->mean[l]), cell(statistics->spread[l]))
                      : std::pair<std::string, std::string>("-", "-");
  };
  for (size_t l = 0; l < inside.expected_loops.size(); ++l) {
    const auto name = fmt::format("{}", l + 1);
    loops.push_back({name, fmt::format("{:.3f}", inside.expected_loops[l]),
                     fmt::format("{:.3f}", inside.expected_loops_spread[l]),
                     cell(inside.halting[l]),
                     inside.loop_scale ? cell((*inside.loop_scale)[l], kThreeDigits) : "-"});
    states.push_back(
        {name, cell(inside.state_norm[l]), cell(inside.state_change[l], kThreeDigits)});
    const auto [local, local_spread] = gate(inside.local_gate, l);
    const auto [global, global_spread] = gate(inside.global_gate, l);
    gates.push_back({name, local, local_spread, global, global_spread});
  }
  print_table("Expected loops n and the probability P_t of stopping after loop t, mean over tokens",
              loops);
  print_table("States between loops, mean over tokens", states);
  if (inside.local_gate || inside.global_gate) {
    print_table("Memory gates, mean and spread over tokens of the mean over D", gates);
  }
}

void print_classes(const Inside& inside) {
  std::vector<Cells> rows = {
      {"class", "tokens", "share", "loss", "n by layer", "local gate", "global gate"}};
  for (const auto& found : inside.token_classes) {
    rows.push_back({std::string(token_class_name(found.token_class)),
                    fmt::format("{}", found.tokens), fmt::format("{:.1f} %", 100 * found.share),
                    found.loss ? fmt::format("{:.3f}", *found.loss) : "-",
                    cell(found.expected_loops), cell(found.local_gate), cell(found.global_gate)});
  }
  print_table("By kind of word", rows);
}

void print_budgets(const Inside& inside) {
  std::vector<Cells> rows = {{"loops", "loss", "BPB", "FLOPs a token"}};
  for (const auto& budget : inside.bpb_by_loops) {
    rows.push_back({fmt::format("{}", budget.max_loops), fmt::format("{:.4f}", budget.loss),
                    fmt::format("{:.4f}", budget.bpb), format_count(budget.flops_per_token)});
  }
  print_table("The same weights with a bound on the loops of every layer", rows);
  if (inside.exit) {
    print_table("And where tokens leave by a rule",
                {{"exit", "kv", "loss", "BPB", "FLOPs a token", "loops by layer"},
                 {inside.exit->exit, inside.exit->kv, fmt::format("{:.4f}", inside.exit->loss),
                  fmt::format("{:.4f}", inside.exit->bpb),
                  format_count(inside.exit->flops_per_token), cell(inside.exit->loops)}});
  }
}

/// The text of the tokens before token `index`, quoted.
std::string text_before(const std::vector<InsideOfToken>& view, size_t index) {
  std::string text;
  for (size_t i = index - std::min(index, kTokensBefore); i < index; ++i) {
    text += view[i].text;
  }
  return nlohmann::json(text).dump();
}

/// The tokens of the view between which the expected loops differ most.
void print_view(const Inside& inside) {
  const auto& view = inside.token_view;
  std::vector<size_t> order(view.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return mean_of(view[a].expected_loops) > mean_of(view[b].expected_loops);
  });
  const size_t shown = std::min(kTokensShown, order.size() / 2);
  std::vector<Cells> rows = {{"token", "behind", "loss", "n", "n by layer"}};
  for (size_t i = 0; i < order.size(); ++i) {
    if (i < shown || i >= order.size() - shown) {
      const auto& token = view[order[i]];
      rows.push_back({nlohmann::json(token.text).dump(), text_before(view, order[i]),
                      fmt::format("{:.3f}", token.loss),
                      fmt::format("{:.3f}", mean_of(token.expected_loops)),
                      cell(token.expected_loops)});
    }
  }
  print_table(fmt::format("Most and fewest expected loops among the first {} tokens", view.size()),
              rows);
}

void print_inside(const InsideFlags& flags, const Batch& rows, const Inside& inside) {
  fmt::print("{} on {}: {} tokens in {} rows of {}; {} layers, {}\n", flags.model, flags.text,
             inside.tokens, rows.tokens.size(0), rows.tokens.size(1), inside.layers,
             inside.loop_scale ? fmt::format("up to {} loops", inside.loops) : "dense");
  print_layers(inside);
  print_classes(inside);
  print_budgets(inside);
  if (inside.loops > 1) {
    print_view(inside);
  }
}

void run_inside(InsideFlags flags) {
  flags.options.inference = flags.inference.scoring_options("inside", ExitUse::kAnalysis);
  const auto loaded = load_inference_model(flags.model, choose_device(flags.device, "--device"));
  const int64_t length = flags.sequence_length > 0
                             ? flags.sequence_length
                             : trained_length(flags.model, loaded.model.config());
  const int64_t num_rows =
      flags.rows > 0 ? flags.rows : std::max<int64_t>(1, kDefaultTokens / length);
  const auto text = read_text_rows(flags.text, loaded.tokenizer, num_rows, length,
                                   BadLinePolicy::of_job(flags.skip_bad, 0));
  if (text.reading.num_bad_lines() > 0) {
    log_warning("{}: {} bad lines skipped, the first is line {}", flags.text,
                text.reading.num_bad_lines(), text.reading.first_bad_line);
  }
  note_skipped_lines(text.reading.num_bad_lines());
  Progress progress;
  if (!runtime_settings().quiet) {
    flags.options.on_progress = [&](int64_t done, int64_t total) {
      progress.update(fmt::format("pass {} of {}", done + 1, total));
    };
  }
  const auto inside = measure_inside(loaded.model, loaded.tokenizer, text.rows, flags.options);
  progress.finish();
  if (flags.json) {
    fmt::print("{}\n", to_json(inside).dump(2));
  } else {
    print_inside(flags, text.rows, inside);
  }
}

}  // namespace

void add_inside(CLI::App& app) {
  auto* command = app.add_subcommand(
      "inside", "Loops, halting, states and gates on a text, by layer, loop and kind of word");
  const auto flags = std::make_shared<InsideFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  command
      ->add_option("--text", flags->text,
                   "The text to read; .jsonl: the field text of each line; also .gz and .zst")
      ->required();
  add_setting_flag(*command, skip_bad_field(&flags->skip_bad));
  add_setting_flag(*command,
                   Field("rows", &flags->rows,
                         fmt::format("rows to read from the start of the text (as many as hold {} "
                                     "tokens)",
                                     kDefaultTokens))
                       .minimum(1));
  add_setting_flag(*command, Field("sequence_length", &flags->sequence_length,
                                   "tokens per row (as in training, else max_position_embeddings)")
                                 .minimum(1));
  add_exit_flags(*command, flags->inference);
  add_precision_flag(*command, flags->options.compute_dtype);
  command->add_flag("--json", flags->json, "All of it as JSON on stdout, the first tokens too");
  command->callback([flags] { run_inside(*flags); });
}

}  // namespace loopbank::cli

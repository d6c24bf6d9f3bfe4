/// What a run that goes on reads of itself: metrics.jsonl, by its log and by the alarms, and
/// the state of a checkpoint.
///
/// Input: the letter m or s, a letter for the last step, then metrics.jsonl or the state.

#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "loopbank/support/json.h"
#include "loopbank/train/alarms.h"
#include "loopbank/train/metrics.h"
#include "loopbank/train/train_state.h"
#include "target.h"

namespace loopbank {
namespace {

RunConfig looped_config() {
  RunConfig config;
  config.model.num_hidden_layers = 2;
  config.model.max_loops = 3;
  config.model.local_memory_slots = config.model.global_memory_slots = 2;
  config.training.halting_alarm_steps = config.training.alarm_validations = 2;
  return config;
}

void read_metrics(std::string_view text, int64_t last_step) {
  static const fuzz::Folder folder;
  const auto path = folder.path() / "metrics.jsonl";
  std::ofstream(path, std::ios::binary) << text;
  (void)fuzz::accepted([&] {
    Alarms alarms(looped_config());
    alarms.replay(path);
  });
  (void)fuzz::accepted([&] { const MetricsLog log(path, last_step); });
  std::ifstream file(path, std::ios::binary);
  const std::string kept((std::istreambuf_iterator<char>(file)), {});
  fuzz::require(kept.size() <= text.size() && (kept.empty() || kept.back() == '\n'),
                "whole rows are kept");
  for (size_t begin = 0; begin < kept.size();) {
    const auto end = kept.find('\n', begin);
    const auto row = parse_json_line(std::string_view(kept).substr(begin, end - begin), "row");
    fuzz::require(JsonValues(row, "row").integer("step") <= last_step, "later rows are dropped");
    begin = end + 1;
  }
}

void read_state(std::string_view text) {
  const auto state = train_state_from_json(parse_json(text, "state.json"));
  const auto again = train_state_from_json(parse_json(to_json(state).dump(), "written.json"));
  fuzz::require(again == state, "a state that is written reads the same");
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  if (size < 2) {
    return 0;
  }
  const auto text = fuzz::as_text(data + 2, size - 2);
  if (data[0] == 'm') {
    read_metrics(text, data[1] - 'a');
  } else {
    (void)fuzz::accepted([&] { read_state(text); });
  }
  return 0;
}

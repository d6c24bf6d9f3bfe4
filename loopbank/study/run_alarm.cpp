#include "loopbank/study/run_alarm.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "loopbank/eval/json_lines.h"
#include "loopbank/support/json.h"
#include "loopbank/train/alarm_rules.h"
#include "loopbank/train/alarms.h"

namespace loopbank {

std::vector<RunAlarm> read_run_alarms(const std::filesystem::path& metrics, int64_t seed) {
  std::map<std::string, RunAlarm> up;  // by kind
  const auto take = [&](const nlohmann::json& json, const std::string& where) {
    if (!json.contains("alarm")) {
      return true;
    }
    const JsonValues row(json, where);
    const auto& kind = row.text("alarm");
    if (row.has("over")) {
      up.erase(kind);
      return true;
    }
    const auto [place, is_new] = up.try_emplace(kind);
    auto& alarm = place->second;
    if (is_new) {
      alarm = {
          .seed = seed, .step = row.integer("step"), .kind = kind, .message = alarm_words(kind)};
    }
    alarm.layers.clear();
    for (const auto& layer : row.list("layers")) {
      if (!layer.is_number_integer()) {
        row.refuse("layers", "a list of whole numbers");
      }
      alarm.layers.push_back(layer.get<int64_t>());
    }
    return true;
  };
  for_each_json_line(metrics, take);
  std::vector<RunAlarm> alarms;
  for (auto& [kind, alarm] : up) {
    alarms.push_back(std::move(alarm));
  }
  std::stable_sort(alarms.begin(), alarms.end(),
                   [](const RunAlarm& a, const RunAlarm& b) { return a.step < b.step; });
  return alarms;
}

bool was_watched(const RunConfig& config, const std::filesystem::path& metrics) {
  Alarms alarms(config);
  alarms.replay(metrics);
  return alarms.have_watched();
}

}  // namespace loopbank

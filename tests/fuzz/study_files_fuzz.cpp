/// What a study reads of itself and of people: results.json, its other files, study.toml, the rows of
/// `bench exit`, and the tokens of `probe`.
///
/// Input: a letter for the file, then the file.

#include <fstream>
#include <nlohmann/json.hpp>

#include "loopbank/dissect/probe.h"
#include "loopbank/study/exit_log.h"
#include "loopbank/study/iso_time.h"
#include "loopbank/study/results_json.h"
#include "loopbank/study/run_exits.h"
#include "loopbank/study/run_result.h"
#include "loopbank/study/study_config.h"
#include "loopbank/study/time_plan.h"
#include "loopbank/support/json.h"
#include "target.h"

namespace loopbank {
namespace {

struct Files {
  Files() {
    for (const char* name : {"exits.json", "inside.json", "time_plan.json"}) {
      folder.link(name, file);
    }
  }
  fuzz::Folder folder;
  fuzz::Folder written;
  fuzz::InputFile file;
};

void read_study(std::string_view text) {
  const auto result =
      study_result_from_json(parse_json<nlohmann::ordered_json>(text, "results.json"));
  const auto json = to_json(result).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  const auto again =
      study_result_from_json(parse_json<nlohmann::ordered_json>(json, "written.json"));
  fuzz::require(
      to_json(again).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) == json,
      "results that are written read the same");
}

void read(char kind, std::string_view text, const Files& files) {
  const auto& path = files.file.path();
  const auto& folder = files.folder.path();
  switch (kind) {
    case 'r':
      return read_study(text);
    case 'e':
      return static_cast<void>(read_exits(folder));
    case 'i':
      return static_cast<void>(read_inside(folder));
    case 'p':
      return static_cast<void>(read_time_plan(folder));
    case 't':
      return static_cast<void>(read_iso_time(path));
    case 'c':
      return static_cast<void>(read_training_curve(path, 0));
    case 's': {
      StudyConfig config;
      return static_cast<void>(read_toml_text(text, "study.toml", {}, config.sections()));
    }
    case 'l': {
      const auto log = files.written.path() / "rows.jsonl";
      std::ofstream(log, std::ios::binary) << text;
      return static_cast<void>(ExitLog(log, {{"dtype", "bf16"}}));
    }
    default:
      return static_cast<void>(read_probe_tokens(path, 300));
  }
}

}  // namespace
}  // namespace loopbank

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace loopbank;
  static Files files;
  return fuzz::read_by_letter(data, size, [](uint8_t letter, std::string_view text) {
    files.file.with(text);
    (void)fuzz::accepted([&] { read(static_cast<char>(letter), text, files); });
  });
}

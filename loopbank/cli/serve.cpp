/// loopbank serve MODEL_DIR: the model behind an OpenAI-compatible API, with metrics and a page.

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "loopbank/cli/command.h"
#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/cli/stop_signal.h"
#include "loopbank/infer/inference_model.h"
#include "loopbank/model/weights.h"
#include "loopbank/serve/api/chat_template.h"
#include "loopbank/serve/api_keys.h"
#include "loopbank/serve/server.h"
#include "loopbank/support/byte_size.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/train/device.h"

namespace loopbank::cli {
namespace {

namespace fs = std::filesystem;

constexpr auto kLook = std::chrono::milliseconds(20);  // at whether a signal came

struct ServeFlags {
  std::string model;
  std::string device = "cpu";
  std::string api_key;
  std::string api_key_file;
  std::string cache_memory = "2GiB";
  std::string chat_template;
  bool log_json = false;
  double drain_seconds = 30.0;
  at::ScalarType compute_dtype = at::kFloat;
  InferenceSettings inference;
  ServerOptions server;

  std::vector<Field> fields() {
    auto& http = server.http;
    return {
        Field("host", &http.host, "address to listen at; another than this machine's wants a key"),
        Field("port", &http.port, "port to listen at; 0: one that is free").range(0.0, 65535.0),
        Field("max_requests", &server.scheduler.max_requests,
              "requests at a time, those that wait included; more are answered 429")
            .range(1.0, 1 << 20),
        Field("drain_seconds", &drain_seconds, "after SIGTERM, how long running requests may go on")
            .range(0.0, 86400.0),
        Field("cors", &server.cors_origin,
              "origin whose pages may ask, such as https://example.org; *: of any"),
    };
  }
};

std::string name_of(const std::string& directory) {
  const auto path = fs::weakly_canonical(directory);
  return path.filename().string();
}

int64_t created_of(const std::string& directory) {
  const auto time = fs::last_write_time(fs::path(directory) / "model.safetensors");
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::file_clock::to_sys(time).time_since_epoch())
      .count();
}

void apply_keys(ServeFlags& flags) {
  if (!flags.api_key.empty()) {
    flags.server.api_keys.push_back(flags.api_key);
  }
  if (!flags.api_key_file.empty()) {
    const auto keys = ApiKeys::read(flags.api_key_file);
    flags.server.api_keys.insert(flags.server.api_keys.end(), keys.begin(), keys.end());
  }
}

void run_serve(ServeFlags flags) {
  apply_keys(flags);
  (void)flags.inference.options("serve");  // before the model is loaded
  flags.server.version = LOOPBANK_VERSION;
  flags.server.log_form = flags.log_json ? RequestLogForm::kJson : RequestLogForm::kText;
  auto& engine = flags.server.scheduler.engine;
  engine.cache_bytes = static_cast<int64_t>(parse_bytes("--cache-memory", flags.cache_memory));
  engine.compute_dtype = flags.compute_dtype;
  const auto loaded = load_inference_model(flags.model, choose_device(flags.device, "--device"));
  auto chat = load_chat(flags.model, flags.chat_template);
  Server server({.model = loaded.model,
                 .tokenizer = loaded.tokenizer,
                 .id = name_of(flags.model),
                 .created = created_of(flags.model),
                 .inference = flags.inference,
                 .chat = std::move(chat.chat),
                 .why_no_chat = std::move(chat.why_not),
                 .directory = flags.model},
                flags.server);
  watch_signals();
  server.start();
  log_info("serving {} at {}", name_of(flags.model), server.url());
  while (stop_signal() == 0) {
    std::this_thread::sleep_for(kLook);
  }
  log_info("draining: running requests have {:.0f} s, a second signal ends at once",
           flags.drain_seconds);
  const bool is_whole = server.drain(flags.drain_seconds);
  log_info("stopped: {}", is_whole ? "every request was answered" : "requests were cut short");
}

}  // namespace

void add_serve(CLI::App& app) {
  auto* command = app.add_subcommand(
      "serve", "Serve a model: OpenAI-compatible API, metrics, and a page that shows it think");
  const auto flags = std::make_shared<ServeFlags>();
  add_model_directory(*command, flags->model);
  add_device_flag(*command, flags->device);
  for (const auto& field : flags->fields()) {
    add_setting_flag(*command, field)->capture_default_str();
  }
  auto* key = command->add_option("--api-key", flags->api_key,
                                  "Key that clients must give; others see it in the process list");
  command
      ->add_option("--api-key-file", flags->api_key_file,
                   "File with such keys, one a line; # begins a comment")
      ->excludes(key);
  add_exit_flags(*command, flags->inference);
  add_max_loops_flag(*command, &flags->inference.max_loops);
  command
      ->add_option("--cache-memory", flags->cache_memory,
                   "Memory for keys and values, such as 2GiB or 500MB")
      ->capture_default_str();
  command->add_option("--chat-template", flags->chat_template,
                      "Template of chats, TOML (default: chat.toml of the model's folder)");
  command->add_flag("--log-json", flags->log_json, "A JSON object a request instead of text");
  command->add_flag("--log-prompts", flags->server.log_prompts,
                    "Prompts in the log as well; left out otherwise");
  add_precision_flag(*command, flags->compute_dtype);
  command->callback([flags] { run_serve(*flags); });
}

}  // namespace loopbank::cli

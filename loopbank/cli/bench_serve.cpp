#include "loopbank/cli/bench_serve.h"

#include <ATen/Parallel.h>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "loopbank/cli/inference_flags.h"
#include "loopbank/cli/load_check.h"
#include "loopbank/cli/server_process.h"
#include "loopbank/cli/setting_flags.h"
#include "loopbank/model/config.h"
#include "loopbank/serve/load/load_run.h"
#include "loopbank/support/error.h"
#include "loopbank/support/log.h"
#include "loopbank/tokenize/tokenizer.h"

namespace loopbank::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr double kDrainSeconds = 30.0;
constexpr int64_t kSpareRequests = 16;  // of the queue, beside one a client
constexpr double kFirstMinute = 60.0;
constexpr double kRampShare = 0.2;  // of the window
constexpr double kLongestRamp = 10.0;
constexpr double kMegabyteOfServer = 1e6;
constexpr double kMillisOfSecond = 1e3;

struct ServeBenchFlags {
  std::string model;
  std::string url;
  std::string api_key;
  std::vector<int64_t> clients = {1, 8, 64, 256};
  std::string prompt_tokens = "16:512";
  std::string max_tokens = "64";
  InferenceSettings inference;
  at::ScalarType compute_dtype = at::kFloat;
  double silence_seconds = 120.0;
  LoadOptions load;
  int64_t max_requests = 0;
  std::string cache_memory;
  bool ignores_end = false;
  bool checks = false;
  bool json = false;
};

/// What the flags ask of each request, held to what the model reads.
LoadOptions load_options(const ServeBenchFlags& flags) {
  auto options = flags.load;
  const auto longest =
      load_config(std::filesystem::path(flags.model) / "config.json").max_position_embeddings;
  options.prompt_tokens = TokenRange::parse("--prompt-tokens", flags.prompt_tokens);
  options.max_tokens = TokenRange::parse("--max-tokens", flags.max_tokens);
  const int64_t room = longest - options.max_tokens.high;
  if (options.prompt_tokens.low > room) {
    fail(ErrorCode::kConfig,
         "bench serve: expected prompts and answers of at most {} tokens together, got {} and {}. "
         "Lower --prompt-tokens or --max-tokens.",
         longest, options.prompt_tokens.low, options.max_tokens.high);
  }
  options.prompt_tokens.high = std::min(options.prompt_tokens.high, room);
  options.long_tokens = longest - 1;
  const auto tokenizer = Tokenizer::load(flags.model + "/tokenizer.json");
  options.num_ids = tokenizer.vocab_size();
  if (flags.ignores_end) {
    options.barred = tokenizer.end_of_text();
  }
  options.ramp_seconds = std::clamp(kRampShare * options.seconds, 1.0, kLongestRamp);
  const auto& inference = flags.inference;
  options.members =
      fmt::format(R"("exit":"{}","kv":"{}","kv_prefill":{},"max_loops":{})", inference.exit,
                  inference.kv, inference.kv_prefill, inference.max_loops);
  options.keeps_answers = flags.checks;
  return options;
}

std::vector<std::string> server_words(const ServeBenchFlags& flags) {
  const auto most = *std::max_element(flags.clients.begin(), flags.clients.end());
  std::vector<std::string> words = {
      flags.model,
      "--precision",
      flags.compute_dtype == at::kFloat ? "fp32" : "bf16",
      "--threads",
      std::to_string(at::get_num_threads()),
      "--max-requests",
      std::to_string(flags.max_requests > 0 ? flags.max_requests : most + kSpareRequests)};
  if (!flags.cache_memory.empty()) {
    words.insert(words.end(), {"--cache-memory", flags.cache_memory});
  }
  if (!flags.api_key.empty()) {
    words.insert(words.end(), {"--api-key", flags.api_key});
  }
  return words;
}

/// Resident bytes of the server over a load, which starts growing long before it is done.
struct ServerMemory {
  int64_t before = 0;
  int64_t early = 0;  // after the first minute of the window, or a tenth of it
  int64_t after = 0;
};

Json json_of(const LoadTimes& times) {
  return {{"count", times.count},
          {"mean_ms", kMillisOfSecond * times.mean},
          {"median_ms", kMillisOfSecond * times.median},
          {"p99_ms", kMillisOfSecond * times.p99},
          {"longest_ms", kMillisOfSecond * times.longest},
          {"p99_of_median", times.median > 0.0 ? times.p99 / times.median : 0.0}};
}

Json json_of(int64_t clients, const LoadFigures& figures) {
  Json statuses = Json::object();
  for (const auto& [status, count] : figures.statuses) {
    statuses[std::to_string(status)] = count;
  }
  return {{"clients", clients},
          {"seconds", figures.seconds},
          {"tokens_per_second", figures.tokens_per_second},
          {"requests_per_second", figures.requests_per_second},
          {"first_token", json_of(figures.first_token)},
          {"between_tokens", json_of(figures.between_tokens)},
          {"whole", json_of(figures.whole)},
          {"mean_loops", figures.mean_loops},
          {"statuses", statuses},
          {"cancelled", figures.cancelled},
          {"broken", figures.broken},
          {"long_prompts", figures.long_prompts},
          {"client_processor_share", figures.client_processor_share}};
}

void print_serve_head() {
  fmt::print("{:>7} {:>9} {:>6} {:>9} | {:>8} {:>8} | {:>8} {:>8} {:>5} | {:>5} {:>14} {:>7}\n",
             "clients", "tokens/s", "ratio", "answers/s", "first ms", "p99", "gap ms", "p99",
             "ratio", "loops", "MB", "statuses");
}

void print_result_of(const Json& result) {
  const auto number = [&](const char* key) { return result.at(key).get<double>(); };
  const auto time = [&](const char* kind, const char* key) {
    return result.at(kind).at(key).get<double>();
  };
  std::string statuses;
  for (const auto& [status, count] : result.at("statuses").items()) {
    statuses += fmt::format(" {}:{}", status, count.get<int64_t>());
  }
  for (const auto* what : {"cancelled", "broken", "long_prompts"}) {
    const auto count = result.at(what).get<int64_t>();
    statuses += count > 0 ? fmt::format(" {}:{}", what, count) : "";
  }
  const auto memory = result.find("memory_bytes");
  fmt::print(
      "{:>7} {:>9.1f} {:>6} {:>9.2f} | {:>8.1f} {:>8.1f} | {:>8.1f} {:>8.1f} {:>5.2f} | {:>5.2f} "
      "{:>14}{}\n",
      result.at("clients").get<int64_t>(), number("tokens_per_second"),
      result.contains("of_one_client") ? fmt::format("{:.2f}", number("of_one_client")) : "-",
      number("requests_per_second"), time("first_token", "median_ms"),
      time("first_token", "p99_ms"), time("between_tokens", "median_ms"),
      time("between_tokens", "p99_ms"), time("between_tokens", "p99_of_median"),
      number("mean_loops"),
      memory == result.end()
          ? "-"
          : fmt::format("{:.1f} > {:.1f}", memory->at("before").get<double>() / kMegabyteOfServer,
                        memory->at("after").get<double>() / kMegabyteOfServer),
      statuses);
  std::fflush(stdout);
}

/// The load of one number of clients.
LoadFigures load_with(const LoadTarget& target, const LoadOptions& options, ServerProcess* server,
                      ServerMemory& memory) {
  const double early = std::min(kFirstMinute, options.seconds / 10.0);
  memory.before = server == nullptr ? 0 : server->resident_bytes();
  auto figures = run_load(target, options, [&](double seconds) {
    if (server != nullptr) {
      server->expect_running();
      memory.after = server->resident_bytes();
      if (seconds <= early || memory.early == 0) {
        memory.early = memory.after;
      }
    }
  });
  if (figures.generated_tokens == 0 && figures.statuses.empty() && figures.broken == 0) {
    fail(ErrorCode::kConfig,
         "bench serve: expected answers to {} clients within {} s, got none. The server hangs, or "
         "needs more --seconds.",
         options.clients, options.seconds);
  }
  return figures;
}

/// A sentence without its full stop, for one that it ends.
std::string without_stop(std::string text) {
  while (text.ends_with('.')) {
    text.pop_back();
  }
  return text;
}

/// A line for what no load may bring.
void expect_whole_answers(int64_t clients, const LoadFigures& figures) {
  for (const auto& [status, count] : figures.statuses) {
    if (status != 200 && status != 429 && status != 503) {
      fail(ErrorCode::kData,
           "bench serve: expected status 200, 429 or 503, got {} {} times, the first: {}.", status,
           count, figures.refusals.at(status));
    }
  }
  if (figures.broken > 0) {
    fail(ErrorCode::kData,
         "bench serve: expected every answer of {} clients whole, got {} broken ones, the first: "
         "{}.",
         clients, figures.broken, without_stop(figures.first_failure));
  }
}

Json check_answers(const ServeBenchFlags& flags, const LoadOptions& options,
                   const std::vector<LoadPair>& answers) {
  log_info("comparing {} answers with those that the model gives alone", answers.size());
  const auto checked = check_load_answers(
      {.model = flags.model, .compute_dtype = flags.compute_dtype, .inference = flags.inference},
      options, answers);
  return {{"answers", checked.answers},
          {"tokens", checked.tokens},
          {"largest_difference", checked.largest_difference}};
}

/// Every number of clients in turn, over one server.
Json load_all(const ServeBenchFlags& flags, const LoadOptions& options, const LoadTarget& target,
              ServerProcess* server, std::vector<LoadPair>& answers) {
  auto results = Json::array();
  double one_client = 0.0;
  for (const auto clients : flags.clients) {
    auto of_clients = options;
    of_clients.clients = clients;
    of_clients.seed = options.seed * 1000003 + static_cast<uint64_t>(clients);
    ServerMemory memory;
    auto figures = load_with(target, of_clients, server, memory);
    expect_whole_answers(clients, figures);
    auto json = json_of(clients, figures);
    one_client = clients == 1 ? figures.tokens_per_second : one_client;
    if (one_client > 0.0) {
      json["of_one_client"] = figures.tokens_per_second / one_client;
    }
    if (server != nullptr) {
      json["memory_bytes"] = {
          {"before", memory.before},
          {"early", memory.early},
          {"after", memory.after},
          {"growth", static_cast<double>(memory.after) / static_cast<double>(memory.early) - 1.0}};
    }
    std::move(figures.answers.begin(), figures.answers.end(), std::back_inserter(answers));
    if (!flags.json) {
      print_result_of(json);
    }
    results.push_back(std::move(json));
  }
  return results;
}

void run_bench_serve(const ServeBenchFlags& flags) {
  (void)flags.inference.options("bench serve");  // before a server is started
  const auto options = load_options(flags);
  std::optional<ServerProcess> server;
  if (flags.url.empty()) {
    server.emplace(server_words(flags));
  }
  auto target = LoadTarget::of_url("--url", flags.url.empty() ? server->url() : flags.url);
  target.api_key = flags.api_key;
  target.silence_seconds = flags.silence_seconds;
  if (!flags.json) {
    print_serve_head();
  }
  std::vector<LoadPair> answers;
  Json json = {{"model", flags.model},
               {"precision", flags.compute_dtype == at::kFloat ? "fp32" : "bf16"},
               {"exit", flags.inference.exit},
               {"kv", flags.inference.kv},
               {"threads", at::get_num_threads()},
               {"prompt_tokens", {options.prompt_tokens.low, options.prompt_tokens.high}},
               {"max_tokens", {options.max_tokens.low, options.max_tokens.high}},
               {"results", load_all(flags, options, target, server ? &*server : nullptr, answers)}};
  if (server) {
    server->stop(kDrainSeconds);
    server.reset();
  }
  if (flags.checks) {
    json["checked"] = check_answers(flags, options, answers);
  }
  if (flags.json) {
    fmt::print("{}\n", json.dump());
  } else if (flags.checks) {
    fmt::print(
        "all {} answers ({} tokens) are those that the model gives alone; log probabilities "
        "differ by {:.1g} at most\n",
        json["checked"]["answers"].get<int64_t>(), json["checked"]["tokens"].get<int64_t>(),
        json["checked"]["largest_difference"].get<double>());
  }
}

void add_load_flags(CLI::App& command, ServeBenchFlags& flags) {
  auto& load = flags.load;
  comma_separated(command.add_option("--clients", flags.clients,
                                     "Numbers of clients, with commas between (1,8,64,256)"))
      ->check(whole_numbers_from(1));
  command.add_option("--prompt-tokens", flags.prompt_tokens,
                     "LOW:HIGH, random ids of a prompt, log-uniform (16:512)");
  command.add_option("--max-tokens", flags.max_tokens, "N or LOW:HIGH, tokens of an answer (64)");
  command.add_flag("--ignore-eos", flags.ignores_end,
                   "End-of-text is never drawn: every answer has --max-tokens");
  for (const auto& field :
       {Field("seconds", &load.seconds,
              "counted for each number of clients, behind a fifth of them "
              "(1 to 10) to get going")
            .range(1.0, 86400.0),
        Field("stream_share", &load.stream_share, "of requests that are streams").range(0.0, 1.0),
        Field("cancel_share", &load.cancel_share, "of streams whose client hangs up")
            .range(0.0, 1.0),
        Field("long_prompts", &load.long_prompts,
              "a second, beside the clients, as long as the model reads, for one token each")
            .range(0.0, 1000.0),
        Field("timeout", &flags.silence_seconds, "seconds without a byte that break an answer")
            .range(1.0, 3600.0)}) {
    add_setting_flag(command, field)->capture_default_str();
  }
}

}  // namespace

void add_bench_serve(CLI::App& bench) {
  const auto flags = std::make_shared<ServeBenchFlags>();
  auto* command = bench.add_subcommand("serve", "A server under the load of many clients");
  add_model_directory(*command, flags->model);
  command->add_option("--url", flags->url,
                      "http://HOST:PORT of a server that serves this model; else one is started");
  command->add_option("--api-key", flags->api_key, "The server's");
  add_load_flags(*command, *flags);
  add_exit_flags(*command, flags->inference);
  add_max_loops_flag(*command, &flags->inference.max_loops);
  add_precision_flag(*command, flags->compute_dtype);
  add_setting_flag(*command, Field("max_requests", &flags->max_requests,
                                   "of the server's queue; 0: more than there are clients")
                                 .range(0, 1 << 20));
  command->add_option("--cache-memory", flags->cache_memory, "Of the server's keys and values");
  command->add_flag("--check", flags->checks,
                    "Compare every answer with the one that the model gives alone");
  command->add_flag("--json", flags->json, "The figures as one line of JSON on stdout");
  command->callback([flags] { run_bench_serve(*flags); });
}

}  // namespace loopbank::cli

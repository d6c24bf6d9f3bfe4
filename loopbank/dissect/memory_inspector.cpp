#include "loopbank/dissect/memory_inspector.h"

#include <ATen/core/Tensor.h>
#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "loopbank/data/text_reader.h"
#include "loopbank/dissect/memory_values.h"
#include "loopbank/infer/utf8_stream.h"
#include "loopbank/support/error.h"
#include "loopbank/support/utf8.h"

namespace loopbank {
namespace {

/// Text shown around a token, bytes at most, in whole tokens.
constexpr size_t kBytesBefore = 56;
constexpr size_t kBytesAfter = 24;

/// Tokens kept for each context that is told, so that those of other tokens are among them.
constexpr int64_t kKeptForTop = 8;

void check_options(const ModelConfig& config, const InspectOptions& options) {
  if (!config.has_memory()) {
    fail(ErrorCode::kCheckpoint,
         "inspect: expected a model with memory banks, got one with max_loops {}, "
         "local_memory_slots {} and global_memory_slots {}. Inspect a model that was trained with "
         "loops and slots.",
         config.most_loops(), config.local_memory_slots, config.global_memory_slots);
  }
  if (options.sequence_length < 0 || options.sequence_length > config.max_position_embeddings) {
    fail(ErrorCode::kConfig,
         "inspect: expected rows of 1 to {} tokens (max_position_embeddings), got {}.",
         config.max_position_embeddings, options.sequence_length);
  }
  (void)config.budget_loops(options.max_loops, "inspect");
}

std::string text_of(const Tokenizer& tokenizer, std::span<const TokenId> ids) {
  Utf8Stream stream;
  auto text = stream.push(tokenizer.decode(ids));
  return text + stream.finish();
}

/// One token's text; of a token that is only a part of a character, its bytes as \xNN.
std::string text_of(const Tokenizer& tokenizer, TokenId id) {
  const auto bytes = tokenizer.token_bytes(id);
  if (is_valid_utf8(bytes)) {
    return std::string(bytes);
  }
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += byte < 128 ? std::string(1, c) : fmt::format("\\x{:02x}", byte);
  }
  return text;
}

ContextText text_around(const ReadContext& read, const ScoredText& text,
                        const Tokenizer& tokenizer) {
  const auto ids = std::span(text.ids);
  const auto place = static_cast<size_t>(read.token);
  const auto bytes = [&](size_t at) { return tokenizer.token_bytes(ids[at]).size(); };
  // Rows are of one length but for the last, which begins where the one before ends.
  const auto length = static_cast<size_t>(text.rows.front().tokens.numel());
  const auto row = place - place % length;
  size_t begin = place;
  for (size_t used = 0; begin > row && used + bytes(begin - 1) <= kBytesBefore; --begin) {
    used += bytes(begin - 1);
  }
  size_t end = place + 1;
  for (size_t used = 0; end < ids.size() && used + bytes(end) <= kBytesAfter; ++end) {
    used += bytes(end);
  }
  return {.read = read,
          .before = text_of(tokenizer, ids.subspan(begin, place - begin)),
          .token = text_of(tokenizer, ids[place]),
          .after = text_of(tokenizer, ids.subspan(place + 1, end - place - 1))};
}

std::vector<PromotedToken> with_text(const std::vector<SlotToken>& tokens,
                                     const Tokenizer& tokenizer) {
  std::vector<PromotedToken> found;
  for (const auto& token : tokens) {
    found.push_back({.id = token.id,
                     .token = text_of(tokenizer, static_cast<TokenId>(token.id)),
                     .logit = token.logit});
  }
  return found;
}

/// The most read slots of a bank with everything but what they cost.
BankReport report_bank(const InferenceModel& loaded, const ScoredText& text,
                       const MemoryReads& reads, const BankId& bank,
                       const InspectOptions& options) {
  BankReport report{.use = bank_use(reads, bank), .slots = {}};
  const auto count = std::min(report.use.most_read.size(), static_cast<size_t>(options.num_slots));
  const std::vector<int64_t> slots(report.use.most_read.begin(),
                                   report.use.most_read.begin() + static_cast<int64_t>(count));
  for (const auto slot : slots) {
    SlotReport told{.slot = slot};
    for (const auto& context : top_contexts(reads, text, bank, slot, options.num_top)) {
      told.contexts.push_back(text_around(context, text, loaded.tokenizer));
    }
    for (const auto& top : top_tokens(reads, text, bank, slot, options.num_top)) {
      told.tokens.push_back({.top = top, .token = text_of(loaded.tokenizer, top.id)});
    }
    report.slots.push_back(std::move(told));
  }
  for (const auto& read : reads.reads) {
    if (!(read.bank == bank) || read.loop != 1 || slots.empty()) {
      continue;  // every layer that reads the bank has a first loop
    }
    const auto tokens = slot_tokens(loaded.model, bank, read.layer, slots,
                                    loaded.tokenizer.vocab_size(), options.num_top);
    for (size_t s = 0; s < slots.size(); ++s) {
      report.slots[s].promoted.push_back(
          {.layer = read.layer,
           .raised = with_text(tokens[s].raised, loaded.tokenizer),
           .lowered = with_text(tokens[s].lowered, loaded.tokenizer)});
    }
  }
  return report;
}

/// What is asked for by name, before the first pass, so that a mistyped bank costs no time.
std::vector<Ablation> named_ablations(const ModelConfig& config, const InspectOptions& options) {
  std::vector<Ablation> ablations;
  for (const auto& name : options.zero) {
    ablations.push_back(name == "all" ? all_zeroed(config)
                                      : zeroed(parse_bank_slots("--zero", name, config)));
  }
  for (const auto& name : options.swap) {
    ablations.push_back(swapped("--swap", parse_bank_slots("--swap", name, config)));
  }
  return ablations;
}

/// Those of the options: all banks, each bank zeroed and averaged, each slot that is told, then the
/// named ones; each once.
std::vector<Ablation> planned(const ModelConfig& config, const std::vector<BankReport>& banks,
                              const std::vector<Ablation>& named, const InspectOptions& options) {
  std::vector<Ablation> all;
  const auto add = [&](const Ablation& ablation) {
    const bool known = std::any_of(all.begin(), all.end(), [&](const Ablation& other) {
      return other.kind == ablation.kind && other.what == ablation.what;
    });
    if (!known) {
      all.push_back(ablation);
    }
  };
  if (options.ablate_banks) {
    if (banks.size() > 1) {
      add(all_zeroed(config));
    }
    for (const auto& bank : banks) {
      add(zeroed({.bank = bank.use.bank, .slots = {}}));
      add(averaged(bank.use.bank, bank.use.weight));
    }
  }
  if (options.ablate_slots) {
    for (const auto& bank : banks) {
      for (const auto& slot : bank.slots) {
        add(zeroed({.bank = bank.use.bank, .slots = {slot.slot}}));
      }
    }
  }
  for (const auto& ablation : named) {
    add(ablation);
  }
  return all;
}

/// Beside each slot what it costs, where it was zeroed alone.
void add_costs(const std::vector<AblationCost>& costs, std::vector<BankReport>& banks) {
  for (auto& bank : banks) {
    for (auto& slot : bank.slots) {
      const auto name = slots_name({.bank = bank.use.bank, .slots = {slot.slot}});
      for (const auto& cost : costs) {
        if (cost.kind == Ablation::Kind::kZero && cost.what == name) {
          slot.zeroed = cost;
        }
      }
    }
  }
}

}  // namespace

MemoryReport inspect_memory(InferenceModel& loaded, const std::filesystem::path& text,
                            const InspectOptions& options) {
  auto& model = loaded.model;
  const auto& config = model.config();
  check_options(config, options);
  const auto named = named_ablations(config, options);
  const auto row_tokens =
      options.sequence_length > 0 ? options.sequence_length : config.max_position_embeddings;
  const auto rows = read_scored_text(text, loaded.tokenizer, options.max_tokens, row_tokens,
                                     BadLinePolicy::of_job(options.skip_bad, 0));
  const auto progress = [&](int64_t done, int64_t total) {
    if (options.on_progress) {
      options.on_progress(done, total);
    }
  };
  progress(0, 1);
  auto reads = observe_reads(
      model, rows, {.max_loops = options.max_loops, .num_highest = options.num_top * kKeptForTop});
  MemoryReport report{.model = {},
                      .text = text.string(),
                      .num_tokens = rows.num_tokens(),
                      .num_rows = static_cast<int64_t>(rows.rows.size()),
                      .row_tokens = row_tokens,
                      .num_bytes = rows.num_bytes,
                      .num_skipped = rows.num_skipped,
                      .max_loops = options.max_loops,
                      .bpb = bits_per_byte(reads.row_nats, rows)};
  for (const auto& bank : banks_of(config)) {
    report.banks.push_back(report_bank(loaded, rows, reads, bank, options));
  }
  report.ablations =
      ablate(model, rows, reads.row_nats, planned(config, report.banks, named, options),
             {.max_loops = options.max_loops,
              .on_progress = [&](int64_t done, int64_t total) { progress(done + 1, total + 1); }});
  add_costs(report.ablations, report.banks);
  report.reads = std::move(reads.reads);
  return report;
}

}  // namespace loopbank

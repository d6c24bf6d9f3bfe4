#include "loopbank/support/setting_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cctype>

#include "loopbank/support/error.h"
#include "loopbank/support/suggest.h"

namespace loopbank {
namespace {

/// Names of other programs for one of our settings.
struct OtherNames {
  std::string_view ours;    ///< `section.key`; empty: there is no such setting
  std::string_view theirs;  ///< with blanks between; `section.key` where a bare key says too little
  std::string_view note;    ///< behind our name, or the whole sentence where there is none
};

constexpr std::array kOtherNames = std::to_array<OtherNames>({
    {"model.vocab_size", "n_vocab vocab padded_vocab_size embedding_size num_embeddings", ""},
    {"model.hidden_size",
     "d_model n_embd n_embed dim model_dim emb_dim embed_dim embedding_dim width", ""},
    {"model.intermediate_size",
     "d_ff ffn_dim ffn_hidden_size mlp_hidden_size hidden_dim n_inner feed_forward_size", ""},
    {"model.intermediate_size", "mlp_ratio ffn_dim_multiplier", ", the width and not its ratio"},
    {"model.num_hidden_layers", "n_layer n_layers num_layers depth num_blocks n_blocks", ""},
    {"model.num_attention_heads", "n_head n_heads num_heads", ""},
    {"model.num_key_value_heads", "n_kv_head n_kv_heads num_kv_heads kv_heads num_query_groups",
     ""},
    {"model.head_dim", "d_head d_kv kv_channels head_size", ""},
    {"model.max_position_embeddings",
     "model.max_seq_len model.max_sequence_length model.max_seq_length model.seq_len "
     "model.sequence_length model.block_size model.context_length n_positions n_ctx",
     ""},
    {"model.rms_norm_eps",
     "norm_eps layer_norm_eps layer_norm_epsilon layernorm_epsilon layer_norm_rms_epsilon", ""},
    {"model.rope_theta", "rope_base rotary_base rotary_emb_base rope_freq_base rotary_theta", ""},
    {"model.tie_word_embeddings",
     "weight_tying tie_weights tie_embeddings tied_embeddings share_embeddings", ""},
    {"model.hidden_act", "activation activation_function activation_type act_fn", ""},
    {"model.attention_bias", "qkv_bias use_qkv_bias add_qkv_bias use_bias model.bias", ""},
    {"model.qk_norm", "qk_layernorm use_qk_norm qk_layer_norm", ""},
    {"model.max_loops", "n_loop n_loops num_loops loops num_recurrences mean_recurrence", ""},
    {"model.ponder_weight", "ponder_cost ponder_loss_weight act_loss_weight", ""},
    {"model.local_memory_slots", "memory_slots num_memory_slots n_memory_slots", ""},
    {"data.train",
     "train_data train_file train_files train_path data_path data_dir dataset input_bin paths", ""},
    {"data.train_weights", "data_weights mixture_weights dataset_weights train_ratios", ""},
    {"data.validation", "val_data val_file val_path validation_file eval_file input_val_bin", ""},
    {"data.tokenizer", "tokenizer_path tokenizer_name tokenizer_file tokenizer_model", ""},
    {"training.seed", "random_seed data_seed manual_seed", ""},
    {"training.steps",
     "max_steps max_iters num_iterations train_iters num_steps n_steps total_steps iterations "
     "num_train_steps total_iterations",
     ""},
    {"training.steps", "max_duration max_tokens total_tokens num_tokens train_tokens",
     "; a step trains on \"batch\" times \"sequence_length\" tokens"},
    {"training.steps", "num_train_epochs num_epochs epochs n_epochs max_epochs",
     "; `loopbank train --dry-run` tells how many epochs they are"},
    {"training.batch",
     "batch_size global_batch_size train_batch_size global_train_batch_size total_batch_size",
     ", in sequences"},
    {"training.micro_batch",
     "micro_batch_size microbatch_size device_batch_size local_batch_size "
     "per_device_train_batch_size device_train_microbatch_size device_train_batch_size",
     ", in sequences"},
    {"training.micro_batch", "gradient_accumulation_steps grad_accum_steps grad_accum",
     ", the sequences of a pass; a step takes \"batch\" / \"micro_batch\" passes"},
    {"training.sequence_length",
     "seq_len seq_length sequence_len max_seq_len max_seq_length max_sequence_length block_size "
     "context_length context_size max_length",
     ""},
    {"training.precision", "dtype torch_dtype bf16 fp16 mixed_precision amp autocast_precision",
     ", \"fp32\" or \"bf16\""},
    {"training.recompute",
     "gradient_checkpointing activation_checkpointing activation_checkpoint remat", ""},
    {"training.validate_every",
     "eval_interval eval_every eval_steps eval_freq val_every validation_interval val_loss_every "
     "val_check_interval",
     ""},
    {"training.validation_rows", "eval_iters eval_batches val_max_steps limit_val_batches",
     ", in sequences"},
    {"training.checkpoint_every",
     "save_interval save_steps save_every checkpoint_interval ckpt_interval checkpoint_steps", ""},
    {"training.keep_checkpoints",
     "save_total_limit save_num_checkpoints_to_keep keep_last_n max_checkpoints", ""},
    {"training.init",
     "init_from pretrained pretrained_model pretrained_path model_name_or_path base_model", ""},
    {"training.device", "device_map device_type accelerator", ""},
    {"training.tensorboard", "report_to logging_dir tensorboard_dir tensorboard_log_dir", ""},
    {"optimizer.beta1", "adam_beta1 beta_1 adam_b1", ""},
    {"optimizer.beta2", "adam_beta2 beta_2 adam_b2", ""},
    {"optimizer.beta1", "betas adam_betas", "; the other is \"optimizer.beta2\""},
    {"optimizer.eps", "adam_epsilon adam_eps epsilon", ""},
    {"optimizer.weight_decay", "wd adamw_weight_decay", ""},
    {"optimizer.clip_norm",
     "grad_clip max_grad_norm clip_grad clip_grad_norm grad_clip_norm gradient_clip_val "
     "gradient_clipping max_norm",
     ""},
    {"schedule.name",
     "lr_scheduler_type lr_scheduler lr_schedule lr_decay_style schedule_type scheduler_type "
     "decay_lr",
     ""},
    {"schedule.peak_rate",
     "learning_rate lr max_lr base_lr peak_lr max_learning_rate peak_learning_rate", ""},
    {"schedule.initial_rate", "init_lr initial_lr start_lr warmup_init_lr lr_warmup_init", ""},
    {"schedule.final_rate",
     "min_lr end_lr lr_end final_lr eta_min min_learning_rate end_learning_rate", ""},
    {"schedule.final_rate",
     "min_lr_ratio min_lr_frac final_lr_frac final_learning_rate_frac alpha_f",
     ", the rate itself and not its ratio"},
    {"schedule.warmup_fraction",
     "warmup_steps warmup_iters warmup_iterations num_warmup_steps lr_warmup_steps lr_warmup_iters "
     "t_warmup",
     ", a fraction of \"training.steps\""},
    {"schedule.warmup_fraction", "warmup_ratio warmup_frac", ""},
    {"schedule.decay_fraction",
     "decay_steps lr_decay_steps lr_decay_iters num_decay_steps warmdown_iters",
     ", a fraction of \"training.steps\""},
    {"schedule.decay_fraction", "decay_ratio decay_frac warmdown_ratio cooldown_fraction", ""},
    {"evaluation.tasks", "eval_tasks benchmarks", ""},
    {"evaluation.shots", "num_fewshot n_shot num_shots few_shot", ""},
    {"",
     "dropout attention_dropout attn_dropout hidden_dropout resid_pdrop embd_pdrop attn_pdrop "
     "residual_dropout embedding_dropout",
     "Nothing drops out here."},
    {"", "compile torch_compile", "Nothing is compiled at run time here."},
    {"", "num_workers dataloader_num_workers", "Data is read without workers here."},
    {"", "out_dir output_dir save_dir", "The run's folder is the flag --out."},
    {"", "resume_from_checkpoint resume", "A run goes on with the flag --resume."},
    {"", "log_interval logging_steps log_every log_freq",
     "Every step is a line of metrics.jsonl here."},
});

/// Tables of other programs for our sections.
constexpr std::array kOtherSections = std::to_array<OtherNames>({
    {"model", "model_config network architecture", ""},
    {"data", "dataset datasets dataloader train_loader data_loader", ""},
    {"training", "train trainer train_config training_args", ""},
    {"optimizer", "optim optimiser adam adamw", ""},
    {"schedule", "scheduler lr_scheduler lr_schedule", ""},
    {"evaluation", "eval evaluator evaluators", ""},
});

/// Texts with a blank between.
std::vector<std::string_view> words_of(std::string_view names) {
  std::vector<std::string_view> words;
  for (size_t begin = 0; begin <= names.size();) {
    const auto end = std::min(names.find(' ', begin), names.size());
    words.push_back(names.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

template <typename Table>
const OtherNames* find_other(const Table& table, std::string_view name) {
  const auto* found = std::find_if(table.begin(), table.end(), [&](const OtherNames& row) {
    const auto words = words_of(row.theirs);
    return std::find(words.begin(), words.end(), name) != words.end();
  });
  return found == table.end() ? nullptr : found;
}

std::string in_our_letters(std::string_view name) {
  std::string text(name);
  for (auto& c : text) {
    c = c == '-' ? '_' : static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  return text;
}

/// Names of all settings, `section.key`.
std::vector<std::string> full_names(const std::vector<Section>& sections) {
  std::vector<std::string> names;
  for (const auto& section : sections) {
    for (const auto& field : section.fields) {
      names.push_back(fmt::format("{}.{}", section.name, field.name));
    }
  }
  return names;
}

std::vector<std::string> section_names(const std::vector<Section>& sections) {
  std::vector<std::string> names;
  for (const auto& section : sections) {
    names.push_back(section.name);
  }
  return names;
}

std::vector<std::string> field_names(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const auto& field : fields) {
    names.push_back(field.name);
  }
  return names;
}

std::string_view key_of(std::string_view full_name) {
  return full_name.substr(full_name.rfind('.') + 1);
}

/// The sentence about another program's name, where our name for it is known here.
/// @param subject  how the sentence calls what was asked for
std::string other_name_hint(std::string_view section, std::string_view key,
                            const std::vector<std::string>& known,
                            std::string_view subject = "it") {
  // A file of other settings, such as a chat template's, knows none of them.
  const bool is_run = std::any_of(kOtherNames.begin(), kOtherNames.end(), [&](const auto& row) {
    return !row.ours.empty() && std::find(known.begin(), known.end(), row.ours) != known.end();
  });
  const auto name = in_our_letters(key);
  const auto* row = find_other(kOtherNames, fmt::format("{}.{}", in_our_letters(section), name));
  row = row == nullptr ? find_other(kOtherNames, name) : row;
  if (row == nullptr || !is_run) {
    return "";
  }
  if (row->ours.empty()) {
    return fmt::format(" {}", row->note);
  }
  if (std::find(known.begin(), known.end(), row->ours) == known.end()) {
    return "";
  }
  return fmt::format(" Here {} is called \"{}\"{}.", subject, row->ours, row->note);
}

/// The sentence about a key of ours that stands in another section.
std::string other_section_hint(std::string_view section, std::string_view key,
                               const std::vector<std::string>& known) {
  const auto name = in_our_letters(key);
  std::vector<std::string> found;
  for (const auto& full_name : known) {
    if (key_of(full_name) == name) {
      found.push_back(fmt::format("\"{}\"", full_name));
    }
  }
  const auto* meant = find_other(kOtherSections, in_our_letters(section));
  const auto wanted = fmt::format("\"{}.{}\"", meant == nullptr ? "" : meant->ours, name);
  if (std::find(found.begin(), found.end(), wanted) != found.end()) {
    found = {wanted};
  }
  return found.empty() ? "" : fmt::format(" Did you mean {}?", fmt::join(found, " or "));
}

bool is_near(const std::string& hint) {
  return hint.starts_with(" Did");
}

}  // namespace

std::string setting_hint(std::string_view name, const std::vector<Section>& sections) {
  const auto known = full_names(sections);
  auto hint = other_section_hint("", name, known);
  return hint.empty() ? other_name_hint("", name, known) : hint;
}

std::optional<std::string> setting_meant(std::string_view name,
                                         const std::vector<Section>& sections) {
  const auto known = full_names(sections);
  const auto key = in_our_letters(name);
  const auto has_key = [&](const std::string& full_name) { return key_of(full_name) == key; };
  const auto found = std::find_if(known.begin(), known.end(), has_key);
  if (found != known.end() && std::none_of(found + 1, known.end(), has_key)) {
    return *found;
  }
  const auto* row = found == known.end() ? find_other(kOtherNames, key) : nullptr;
  if (row != nullptr && std::find(known.begin(), known.end(), row->ours) != known.end()) {
    return std::string(row->ours);
  }
  return std::nullopt;
}

const Section& find_section(const std::vector<Section>& sections, std::string_view name,
                            std::string_view key, const std::string& where) {
  const auto found = std::find_if(sections.begin(), sections.end(),
                                  [&](const Section& item) { return item.name == name; });
  if (found != sections.end()) {
    return *found;
  }
  const auto known = full_names(sections);
  const auto nearest = suggestion(name, section_names(sections));
  auto hint = other_name_hint(name, key, known, fmt::format("\"{}\"", key));
  hint = hint.empty() && is_near(nearest) ? nearest : hint;
  hint = hint.empty() ? other_section_hint(name, key, known) : hint;
  if (const auto* meant = find_other(kOtherSections, in_our_letters(name));
      hint.empty() && meant != nullptr) {
    hint = fmt::format(" Here it is called \"{}\".", meant->ours);
  }
  fail(ErrorCode::kConfig, "{}: unknown section [{}].{}", where, name,
       hint.empty() ? nearest : hint);
}

const Field& find_setting(const std::vector<Section>& sections, const Section& section,
                          std::string_view key, const std::string& where) {
  const auto found = std::find_if(section.fields.begin(), section.fields.end(),
                                  [&](const Field& item) { return item.name == key; });
  if (found != section.fields.end()) {
    return *found;
  }
  const auto known = full_names(sections);
  const auto nearest = suggestion(key, field_names(section.fields));
  auto hint = other_section_hint(section.name, key, known);
  hint = hint.empty() ? other_name_hint(section.name, key, known) : hint;
  if (hint.empty() && !is_near(nearest)) {
    // Mistyped and in the wrong section.
    std::vector<std::string> keys;
    for (const auto& full_name : known) {
      keys.emplace_back(key_of(full_name));
    }
    const auto elsewhere = suggestion(key, keys);
    if (is_near(elsewhere)) {
      const auto quote = elsewhere.find('"') + 1;
      hint = other_section_hint("", elsewhere.substr(quote, elsewhere.rfind('"') - quote), known);
    }
  }
  fail(ErrorCode::kConfig, "{}: unknown key \"{}\" in [{}].{}", where, key, section.name,
       hint.empty() ? nearest : hint);
}

std::vector<std::pair<std::string, std::string>> other_names() {
  std::vector<std::pair<std::string, std::string>> all;
  for (const auto& row : kOtherNames) {
    for (const auto theirs : words_of(row.theirs)) {
      all.emplace_back(row.ours, theirs);
    }
  }
  return all;
}

std::string model_key_hint(std::string_view key, const std::vector<Field>& fields) {
  const auto known = field_names(fields);
  const auto name = in_our_letters(key);
  const auto* row = find_other(kOtherNames, "model." + name);
  row = row == nullptr ? find_other(kOtherNames, name) : row;
  if (row != nullptr && row->ours.starts_with("model.")) {
    const auto ours = key_of(row->ours);
    if (std::find(known.begin(), known.end(), ours) != known.end()) {
      return fmt::format(" Here it is called \"{}\"{}.", ours, row->note);
    }
  }
  return suggestion(key, known);
}

}  // namespace loopbank

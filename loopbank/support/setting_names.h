#pragma once
/// Settings by name, and what was meant by a name that there is not.
///
/// Other programs call the same things otherwise: nanoGPT and nanochat, Hugging Face's
/// TrainingArguments and configs, llm.c, OLMo, torchtitan, Megatron. One table (setting_names.cpp)
/// holds their names, and errors of TOML files, of `--set` and of config.json answer with ours:
///
///     --set optimizer.lr=3e-4: unknown key "lr" in [optimizer]. Here it is called
///     "schedule.peak_rate".

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "loopbank/support/field.h"

namespace loopbank {

/// The section of that name.
/// @param key  a key that was asked for in it, for the hint; may be empty
/// @throws Error kConfig as `where: unknown section [modle]. Did you mean "model"?`
[[nodiscard]] const Section& find_section(const std::vector<Section>& sections,
                                          std::string_view name, std::string_view key,
                                          const std::string& where);

/// The field of that name.
/// @throws Error kConfig as `where: unknown key "lr" in [optimizer]. Here it is called
///   "schedule.peak_rate".`
[[nodiscard]] const Field& find_setting(const std::vector<Section>& sections,
                                        const Section& section, std::string_view key,
                                        const std::string& where);

/// The sentence, with a blank before it, that tells what a name means among these settings:
/// ` Here it is called "schedule.peak_rate".` for another program's name and
/// ` Did you mean "training.steps"?` for a key of ours without its section. Empty where it means
/// nothing.
/// @param name  a key; dashes count as underscores
[[nodiscard]] std::string setting_hint(std::string_view name, const std::vector<Section>& sections);

/// The setting that a flag which there is not stands for, `section.key`: the one key of ours of that
/// name, or what another program's name means.
/// @param name  without its dashes in front
[[nodiscard]] std::optional<std::string> setting_meant(std::string_view name,
                                                       const std::vector<Section>& sections);

/// The table: pairs of our name, `section.key` or empty where there is no such setting, and theirs.
[[nodiscard]] std::vector<std::pair<std::string, std::string>> other_names();

/// What a key means among settings without a section, those of config.json.
/// @return a hint from the table, else the nearest name or all names (support/suggest.h)
[[nodiscard]] std::string model_key_hint(std::string_view key, const std::vector<Field>& fields);

}  // namespace loopbank

#pragma once
/// A run that starts from an existing model: [training] init names its folder.
///
///     [model]        the model's own config, so that the file may leave it out; what the file says of
///                    it must agree, but for loops and memory that the model lacks: these are added
///                    (interop/upcycle.h)
///     weights        the model's; the optimizer starts anew
///     tokenizer      the model's; one that the file names must give the same ids
///
/// A run reads the folder once, at its start. run.toml keeps the whole [model] and a hash of the
/// weights, each checkpoint which parameters were added, and the run's folder the tokenizer: what is
/// resumed needs the folder no more.

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "loopbank/model/language_model.h"
#include "loopbank/train/run_config.h"

namespace loopbank {

/// `training.init=DIR` as an override of a config, for a flag that names the folder.
[[nodiscard]] std::string init_setting(const std::string& init);

/// Reads a config that may name a model to start from.
/// @param read     reads the config's sections into `config`; called again once [model] holds what the
///                 model to start from says
/// @param where    names the config in errors
/// @param resumed  as in load_run_config
/// @throws Error kConfig naming every key of [model] that differs; kCheckpoint for a folder without a
///   model; and whatever `read` throws
/// @return where each setting was given
SettingPlaces read_with_init(RunConfig& config, const std::function<SettingPlaces()>& read,
                             const std::string& where, const std::filesystem::path& resumed = {});

/// The model that a run trains which starts from another one.
/// @param found   config of the model to start from, validated
/// @param wanted  the run's [model], which need not be valid yet
/// @param init    names the model in errors
/// @throws Error kConfig naming every key that differs and cannot be added
[[nodiscard]] ModelConfig model_from_init(const ModelConfig& found, const ModelConfig& wanted,
                                          const std::string& init);

/// Fills the run's model with the weights of training.init and with initial values of the run's
/// seed for what it adds.
/// @return the hash of the weights that were taken: names and fp32 values, however they are stored
/// @throws Error kCheckpoint for weights that cannot be read, and for others than init_hash names
std::string start_from_init(LanguageModel& model, const TrainingConfig& training);

/// The same hash, without a model to fill.
/// @throws Error as above
[[nodiscard]] std::string hash_of_init(const TrainingConfig& training);

/// Names of the parameters that were added to a model that the run started from; empty for a run
/// that started from none, or added nothing.
[[nodiscard]] std::vector<std::string> added_parameters(const LanguageModel& model);
/// Says so again of a model that is read from a checkpoint; all other parameters were taken.
/// @throws Error kCheckpoint for a name that the model does not have
void set_added_parameters(LanguageModel& model, const std::vector<std::string>& added);

/// The tokenizer.json of a run.
/// @param resumed  folder of a run that goes on: its own stands in for that of the model to start from
/// @return data.tokenizer where it is set
[[nodiscard]] std::string tokenizer_of_run(const RunConfig& config,
                                           const std::filesystem::path& resumed = {});

}  // namespace loopbank

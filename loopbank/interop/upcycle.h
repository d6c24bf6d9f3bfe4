#pragma once
/// A dense model given loops and memory: it computes what it did before, and can learn to think on.
///
///     scales (linear)      1, 0, 0, ...     every h^(t) equals h^(1), whatever the router says
///     W_L = W_G            0                memory(h) = 0
///
/// so y = f(x; 1). Nothing in it is dead: scales and projections have a gradient at the first step;
/// router, gates, keys, values and the norms of the memory path once those have moved (SPEC 6,
/// further config keys). Of the new values only these two differ from what a config says; banks,
/// gates and norms start as in any model.
///
/// In inference that holds under the exit rule `all`, and so that loop 1 finds the keys and values of
/// loop 1: with the policies of N slots and with `first`. `last` and `mixture` hand it those of later
/// loops, which an upcycled model was not made for.
///
/// A model that loops already can be given memory, and keeps its loops as they are.

#include <cstdint>

#include "loopbank/model/language_model.h"

namespace loopbank {

struct UpcycleOptions {
  IntOrList max_loops = 0;  ///< N of all layers, or a list of one per layer; 0: as it is
  int64_t local_slots = 0;
  int64_t global_slots = 0;
  double gate_init = 0.0;    ///< g0, first bias of the memory gates
  double router_bias = 0.0;  ///< b at start: p_t is near sigmoid(b), so that lower means more loops
  uint64_t seed = 1;         ///< of the new parameters' values
};

/// The config of the upcycled model.
/// @throws Error kConfig for a model that has what is to be added, for slots without loops, and for
///   options that a config would not take
[[nodiscard]] ModelConfig upcycled_config(const ModelConfig& config, const UpcycleOptions& options);

/// Fills a model with the values of another: a parameter of the same name is taken, any other one
/// starts as above. Parameters tell which they are (Parameter::origin).
/// @param model   its config is upcycled_config's, or that of the source
/// @param source  on the CPU
/// @param seed    of the new parameters' values
/// @throws Error kCheckpoint for a parameter that the model lacks or has in another shape
void fill_from(LanguageModel& model, const LanguageModel& source, uint64_t seed);

/// The upcycled model, on the CPU.
/// @param dense  on the CPU
/// @throws Error as upcycled_config
[[nodiscard]] LanguageModel upcycled(const LanguageModel& dense, const UpcycleOptions& options);

}  // namespace loopbank

#pragma once
/// The systems of a sweep over one setting: the weight of the ponder term, the router's bias.

#include <string_view>
#include <vector>

#include "loopbank/study/results.h"

namespace loopbank {

/// The systems of a group by rising value of the setting, with those of the paper that differ from one
/// of them in it alone. Empty where the group is.
/// @param group  ponder | router
[[nodiscard]] std::vector<const SystemResult*> sweep_of(const PartResult& part,
                                                        std::string_view group,
                                                        double SystemResult::*value);

/// Of the paper's, the systems with as many layers, loops and slots.
[[nodiscard]] std::vector<const SystemResult*> alike_in_shape(const PartResult& part,
                                                              const SystemResult& system);

}  // namespace loopbank

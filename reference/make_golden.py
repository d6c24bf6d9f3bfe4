"""Writes tests/golden: a tiny version of each of the paper's ten systems, and a tinier one of each option
that imported models need, with all that the twin computes.

    /usr/bin/python3 reference/make_golden.py
"""

import os

from make_case import write_case

TINY = {
    "model_type": "loopbank",
    "vocab_size": 61,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "max_position_embeddings": 32,
}
WIDE = 40  # F of the systems matched by parameters
DEEP = 6  # L of the systems matched by FLOPs: 3 loops x 2 layers


def loops(count: int) -> dict:
    return {"max_loops": count}


def memory(gate_bias: float) -> dict:
    return {
        "max_loops": 3,
        "local_memory_slots": 6,
        "global_memory_slots": 4,
        "memory_gate_bias_init": gate_bias,
    }


SYSTEMS = {
    "isopar": {},
    "loop3": loops(3),
    "loop5": loops(5),
    "loop7": loops(7),
    "isoflop": {"num_hidden_layers": DEEP},
    "isopar-m": {"intermediate_size": WIDE},
    "mem-gm3": memory(-3.0),
    "mem-g0": memory(0.0),
    "mem-g3": memory(3.0),
    "isoflop-m": {"num_hidden_layers": DEEP, "intermediate_size": WIDE},
}

# What imported models have in their block, one at a time. A norm behind the rotation does not see how
# long YaRN makes cosines and sines: there is none beside it.
TINIER = {**TINY, "vocab_size": 23, "intermediate_size": 12, "num_hidden_layers": 1, "max_loops": 2}
OPTIONS = {
    "no-norm": {"qk_norm": "none"},
    "norm-before": {"qk_norm": "before"},
    "biases": {"attention_bias": True, "attention_output_bias": True, "num_key_value_heads": 1},
    "wide-heads": {"head_dim": 12, "qk_norm": "before"},
    "rope-linear": {"rope_scaling": {"rope_type": "linear", "factor": 4.0}},
    "rope-llama3": {
        "rope_theta": 100.0,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": 8.0,
            "low_freq_factor": 1.0,
            "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32,
        },
    },
    "rope-yarn": {
        "qk_norm": "none",
        "rope_theta": 100.0,
        "rope_scaling": {
            "rope_type": "yarn",
            "factor": 4.0,
            "original_max_position_embeddings": 32,
            "beta_fast": 4.0,
            "beta_slow": 0.25,
        },
    },
    "tied": {"tie_word_embeddings": True, "qk_norm": "none", "max_loops": 0},
    "linear-scales": {"loop_scale_kind": "linear", "loop_scale_init": 0.0, "first_loop_scale_init": 1.0},
}


def main() -> None:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
    os.makedirs(folder, exist_ok=True)
    systems = {name: {**TINY, **changes} for name, changes in SYSTEMS.items()}
    options = {name: {**TINIER, **changes} for name, changes in OPTIONS.items()}
    for seed, (name, config) in enumerate({**systems, **options}.items(), start=100):
        path = os.path.join(folder, f"{name}.safetensors")
        write_case(path, config, seed)
        print(f"{os.path.normpath(path)}  {os.path.getsize(path) // 1024} KiB")


if __name__ == "__main__":
    main()

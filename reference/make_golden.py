"""Writes tests/golden: a tiny version of each of the paper's ten systems with all that the twin computes.

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


def main() -> None:
    folder = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "tests", "golden")
    os.makedirs(folder, exist_ok=True)
    for seed, (name, changes) in enumerate(SYSTEMS.items(), start=100):
        path = os.path.join(folder, f"{name}.safetensors")
        write_case(path, {**TINY, **changes}, seed)
        print(f"{os.path.normpath(path)}  {os.path.getsize(path) // 1024} KiB")


if __name__ == "__main__":
    main()

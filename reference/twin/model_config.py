"""config.json of a model (SPEC 1 and 6), and the rotary frequencies that follow from it.

Plain Python and PyTorch. It travels beside the model in what `loopbank export` writes.
"""

import math
from dataclasses import dataclass, fields
from typing import List, Optional, Tuple, Union

import torch
from torch import Tensor

# What Hugging Face tools write into a config.json, and what an exported model says to them.
OF_OTHER_TOOLS = {
    "model_type",
    "architectures",
    "auto_map",
    "bos_token_id",
    "dtype",
    "eos_token_id",
    "exit_rule",
    "pad_token_id",
    "torch_dtype",
    "transformers_version",
    "use_cache",
}
INITIAL_DEVIATION = 0.02
CHOICES = {
    "qk_norm": ("none", "before", "after"),
    "hidden_act": ("silu",),
    "loop_scale_kind": ("softplus", "linear"),
    "depth_scale": ("none", "inverse", "inverse_sqrt"),
}


@dataclass
class Config:
    vocab_size: int = 50304
    hidden_size: int = 768
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_key_value_heads: int = 0  # 0: as num_attention_heads
    max_position_embeddings: int = 4096
    rope_theta: float = 500000.0
    rope_scaling: Optional[dict] = None  # Hugging Face's object: rope_type default, linear, llama3 or yarn
    rms_norm_eps: float = 1e-5
    head_dim: int = 0  # 0: hidden_size / num_attention_heads
    qk_norm: str = "after"  # none, before or after the rotation
    attention_bias: bool = False  # of queries, keys and values
    attention_output_bias: bool = False
    hidden_act: str = "silu"
    tie_word_embeddings: bool = False
    max_loops: Union[int, List[int]] = 0  # 0: dense
    loop_scale_kind: str = "softplus"  # softplus(alpha), or linear: alpha
    loop_scale_init: float = -7.0
    first_loop_scale_init: Optional[float] = None
    router_bias_init: float = 0.0
    ponder_weight: float = 0.0
    depth_scale: str = "none"
    local_memory_slots: int = 0
    global_memory_slots: int = 0
    memory_gate_bias_init: float = 0.0
    quantization_bits: int = 0  # what is trained is never quantized

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            if getattr(self, key) not in allowed:
                raise ValueError(f"config: {key}: expected one of {allowed}, got {getattr(self, key)!r}")

    @staticmethod
    def from_json(values: dict) -> "Config":
        values = dict(values)
        rope = values.pop("rope_parameters", None)  # its name in transformers 5
        if rope:
            values["rope_scaling"] = rope
        known = {f.name for f in fields(Config)}
        config = Config(**{key: value for key, value in values.items() if key in known})
        unknown = set(values) - known - OF_OTHER_TOOLS
        if unknown:
            raise ValueError(f"config: unknown keys {sorted(unknown)}")
        return config

    @property
    def head_size(self) -> int:
        return self.head_dim or self.hidden_size // self.num_attention_heads

    @property
    def key_value_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    def loops(self, layer: int) -> int:
        """N of a layer; 0 for a dense layer."""
        return self.max_loops[layer] if isinstance(self.max_loops, list) else self.max_loops

    @property
    def most_loops(self) -> int:
        """Passes through a layer's block, at most: 1 where all layers are dense."""
        return max(1, *(self.loops(layer) for layer in range(self.num_hidden_layers)))

    @property
    def has_memory(self) -> bool:
        adaptive = any(self.loops(layer) for layer in range(self.num_hidden_layers))
        return adaptive and self.local_memory_slots + self.global_memory_slots > 0

    def rotary_frequencies(self) -> Tuple[Tensor, float]:
        """Radians of each pair from one position to the next, [d/2] fp64, and the length of cosines and sines.

            default   f_i = rope_theta^(-2i / d)           g = 1: kept as it is, g = 0: divided by the factor
            linear    f_i / factor                         g = 0
            llama3    f_i (g + (1 - g) / factor)           g from 0 to 1 as pair i turns low_freq_factor
                                                           to high_freq_factor times in the original length
            yarn      f_i (g + (1 - g) / factor)           g from 1 to 0 along i, between the pairs that turn
                                                           beta_fast and beta_slow times
        """
        d = self.head_size
        i = torch.arange(d // 2, dtype=torch.float64)
        f = self.rope_theta ** (-2 * i / d)
        scaling = self.rope_scaling or {}
        kind = scaling.get("rope_type", scaling.get("type", "default"))
        if kind == "default":
            return f, 1.0
        factor = scaling["factor"]
        length = scaling.get("original_max_position_embeddings") or self.max_position_embeddings
        if kind == "linear":
            return f / factor, 1.0
        if kind == "llama3":
            low, high = scaling["low_freq_factor"], scaling["high_freq_factor"]
            turns = length * f / (2 * math.pi)
            g = ((turns - low) / (high - low)).clamp(0, 1)
            return f * (g + (1 - g) / factor), 1.0
        if kind == "yarn":
            first, last = self._mixed_pairs(scaling, length)
            g = 1 - ((i - first) / (last - first)).clamp(0, 1)
            return f * (g + (1 - g) / factor), yarn_amplitude(scaling)
        raise ValueError(f"config: rope_type: expected default, linear, llama3 or yarn, got {kind!r}")

    def _mixed_pairs(self, scaling: dict, length: int) -> Tuple[float, float]:
        """The pairs i that turn beta_fast and beta_slow times in the original length (YaRN)."""

        def pair_that_turns(times: float) -> float:
            return self.head_size * math.log(length / (times * 2 * math.pi)) / (2 * math.log(self.rope_theta))

        first = pair_that_turns(scaling.get("beta_fast") or 32.0)
        last = pair_that_turns(scaling.get("beta_slow") or 1.0)
        if scaling.get("truncate", True):
            first, last = math.floor(first), math.ceil(last)
        first, last = max(first, 0), min(last, self.head_size - 1)
        return first, last if last != first else first + 0.001

    def initial_value(self, name: str, shape, generator: Optional[torch.Generator] = None) -> Tensor:
        """What a parameter starts with (SPEC 1, initial values)."""
        if name.endswith("loop_scale"):
            value = torch.full(shape, self.loop_scale_init)
            if self.first_loop_scale_init is not None:
                value[0] = self.first_loop_scale_init
            return value
        if name.endswith("router.bias"):
            return torch.full(shape, self.router_bias_init)
        if name.endswith(("local_gate.bias", "global_gate.bias")):
            return torch.full(shape, self.memory_gate_bias_init)
        if name.endswith(("local_gate.weight", "global_gate.weight")):
            return torch.zeros(shape)
        if name.endswith("projection.weight"):
            bound = math.sqrt(6 / (shape[0] + shape[1]))
            return (torch.rand(shape, generator=generator) * 2 - 1) * bound
        if name.endswith("norm.weight"):
            return torch.ones(shape)
        if name.endswith(".bias"):
            return torch.zeros(shape)
        deviation = INITIAL_DEVIATION
        if name.endswith(("output.weight", "down.weight")):
            deviation /= math.sqrt(2 * self.num_hidden_layers)
        return torch.randn(shape, generator=generator) * deviation


def yarn_amplitude(scaling: dict) -> float:
    """attention_factor, or m(mscale) / m(mscale_all_dim), or m(1) with m(c) = 0.1 c ln factor + 1."""

    def m(c: float) -> float:
        return 0.1 * c * math.log(scaling["factor"]) + 1 if scaling["factor"] > 1 else 1.0

    if scaling.get("attention_factor") is not None:
        return scaling["attention_factor"]
    if scaling.get("mscale") and scaling.get("mscale_all_dim"):
        return m(scaling["mscale"]) / m(scaling["mscale_all_dim"])
    return m(1.0)

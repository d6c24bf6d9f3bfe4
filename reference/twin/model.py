"""The model of SPEC section 1 in plain PyTorch: what loopbank's C++ model is compared with, and what an
exported model runs in transformers (`loopbank export`).

Written from the equations, for reading and for parity; nothing here is tuned. Parameters carry SPEC's
names, so `model.state_dict()` and model.safetensors have the same keys.
The parts are in layers.py and block.py, the config in model_config.py.

Compute type: in fp32 call the model as it is; for bf16 call it under `compute("bf16", device)`, which
runs linear layers and matrix products in bf16 and leaves the hidden state, norms, softmax, gates,
router, halting and loss in fp32.

    h = embedding[tokens]                     [B, T, D]
    h, n_l = layer_l(h)      l = 1..L         [B, T, D], [B, T]
    logits = head(rms_norm(h))                [B, T, V]
"""

import contextlib
from typing import Any, List, NamedTuple, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .block import Pass, RMSNorm
from .layers import AdaptiveLayer, DenseLayer, GlobalMemory
from .model_config import Config

IGNORE_TARGET = -100
COMPUTE_TYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def compute(dtype: str, device: str):
    """The context in which forward passes run: fp32 as it is, bf16 and fp16 through autocast."""
    if dtype == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=COMPUTE_TYPES[dtype])


def rotary_angles(positions: Tensor, frequencies: Tensor) -> Tensor:
    """angle(p, i) = p * f_i in fp64, f_i = base^(-2i / d) where the config scales nothing; for positions [T]
    or [B, T]."""
    angles = positions.double()[..., None] * frequencies  # [.., T, d/2]
    return angles if angles.dim() == 2 else angles[:, None]  # [T, d/2] or [B, 1, T, d/2]


class Output(NamedTuple):
    logits: Tensor  # [B, T, V] fp32, or of the last tokens alone
    expected_loops: Tensor  # [L, B, T]
    halting: List[Optional[Tensor]]  # [N_l, B, T] each, None for dense layers
    gates: List[Optional[dict]]  # of each layer, where they are asked for


def visible(T: int, S: int, attention_mask: Optional[Tensor], device) -> Optional[Tensor]:
    """Which of S keys each of the last T tokens sees, [B or 1, 1, T, S]; None: all up to its own.

    attention_mask [B, S] is 0 for padding, which sees itself, so that no row of a softmax is empty."""
    if attention_mask is not None and bool(attention_mask.all()):
        attention_mask = None
    if attention_mask is None and (T == S or T == 1):
        return None
    key, query = torch.arange(S, device=device), torch.arange(S - T, S, device=device)[:, None]
    mask = (key <= query)[None, None]  # [1, 1, T, S]
    return mask if attention_mask is None else mask & attention_mask.bool()[:, None, None, :] | (key == query)


def exit_threshold(rule: str) -> Optional[float]:
    """Q of "cdf:Q" (SPEC 6); None of "all"."""
    kind, _, value = rule.partition(":")
    if rule == "all":
        return None
    if kind != "cdf" or not 0.0 <= float(value or "nan") <= 1.0:
        raise ValueError(f"exit rule: expected all or cdf:Q with Q from 0 to 1, got {rule!r}")
    return float(value)


class LanguageModel(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        self.add_parts(config)

    def add_parts(self, config: Config) -> None:
        self.settings = config
        self.embedding = nn.Embedding(config.vocab_size, config.hidden_size)
        self.layers = nn.ModuleList(
            AdaptiveLayer(config, l) if config.loops(l) else DenseLayer(config, l)
            for l in range(config.num_hidden_layers)
        )
        self.final_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        if not config.tie_word_embeddings:
            self.head = nn.Linear(config.hidden_size, config.vocab_size, bias=False)
        if config.has_memory:
            self.memory = GlobalMemory(config)

    def forward(
        self,
        tokens: Tensor,
        max_loops: int = 0,
        exit_rule: str = "all",
        attention_mask: Optional[Tensor] = None,
        positions: Optional[Tensor] = None,
        cache: Any = None,
        past: int = 0,
        last: Union[int, Tensor] = 0,
        wants_gates: bool = False,
        run=lambda layer, h, at: layer(h, at),
    ) -> Output:
        """tokens [B, T], behind `past` tokens in the cache; max_loops is a loop budget, 0 for each layer's own N.

        attention_mask [B, past + T]: 0 for padding. positions [B, T]: from 0 without padding where not given.
        last: logits of so many tokens at the end, or of these indices; 0: of all. run: calls a layer.
        Under cdf:Q the cache is kept as by the policy `full` (SPEC 6): every slot of a token is filled.
        """
        c, (B, T) = self.settings, tokens.shape
        if positions is None:
            positions = torch.arange(past, past + T, device=tokens.device)
            if attention_mask is not None and not bool(attention_mask.all()):
                positions = (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, past:]
        frequencies, amplitude = c.rotary_frequencies()
        angles = rotary_angles(positions, frequencies.to(tokens.device))
        at = Pass(
            cosines=(angles.cos() * amplitude).float(),
            sines=(angles.sin() * amplitude).float(),
            mask=visible(T, past + T, attention_mask, tokens.device),
            cache=cache,
            shared=self.memory if c.has_memory else None,
            max_loops=max_loops,
            exit_threshold=exit_threshold(exit_rule),
            wants_gates=wants_gates,
        )
        h = self.embedding(tokens)  # [B, T, D]
        outputs = []
        for layer in self.layers:
            outputs.append(run(layer, h, at))
            h = outputs[-1].h
        head = self.embedding.weight if c.tie_word_embeddings else self.head.weight
        h = h[:, -last:] if isinstance(last, int) else h[:, last]
        logits = F.linear(self.final_norm(h), head).float()
        loops = torch.stack([out.loops for out in outputs])
        return Output(logits, loops, [out.halting for out in outputs], [out.gates for out in outputs])

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        max_loops: int = 0,
        ponder_weight: Optional[float] = None,
    ):
        """Loss, cross-entropy and ponder term of a forward pass, and its output."""
        out = self(tokens, max_loops)
        return (*self.losses(out, targets, ponder_weight), out)

    def losses(
        self, out: Output, targets: Tensor, ponder_weight: Optional[float] = None, counted: Optional[Tensor] = None
    ):
        """CE + lambda * mean over the adaptive layers of (mean n - 1) / (N - 1); lambda is the config's
        unless another is given. counted [B, T]: tokens that are no padding."""
        c = self.settings
        ce = F.cross_entropy(out.logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_TARGET)
        loops = out.expected_loops if counted is None else out.expected_loops[:, counted]
        terms = [(loops[l].mean() - 1) / (c.loops(l) - 1) for l in range(c.num_hidden_layers) if c.loops(l) > 1]
        ponder = torch.stack(terms).mean() if terms else torch.zeros((), device=ce.device)
        weight = c.ponder_weight if ponder_weight is None else ponder_weight
        return ce + weight * ponder, ce, ponder

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Draws SPEC's initial values."""
        generator = torch.Generator().manual_seed(seed)
        for name, p in self.named_parameters():
            p.copy_(self.settings.initial_value(name, p.shape, generator))

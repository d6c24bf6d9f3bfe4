"""The model of SPEC section 1 in plain PyTorch: what loopbank's C++ model is compared with.

Written from the equations, for reading and for parity; nothing here is tuned. Parameters carry SPEC's
names, so `model.state_dict()` and model.safetensors have the same keys.

Compute type: in fp32 call the model as it is; for bf16 call it under `compute("bf16", device)`, which
runs linear layers and matrix products in bf16 and leaves the hidden state, norms, softmax, gates,
router, halting and loss in fp32.

    h = embedding[tokens]                     [B, T, D]
    h, n_l = layer_l(h)      l = 1..L         [B, T, D], [B, T]
    logits = head(rms_norm(h))                [B, T, V]
"""

import contextlib
import math
from dataclasses import dataclass, fields
from typing import List, NamedTuple, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

LAYER_NORM_EPS = 1e-5
IGNORE_TARGET = -100


@dataclass
class Config:
    """config.json's keys (SPEC 1)."""

    vocab_size: int = 50304
    hidden_size: int = 768
    intermediate_size: int = 2048
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    num_key_value_heads: int = 0  # 0: as num_attention_heads
    max_position_embeddings: int = 4096
    rope_theta: float = 500000.0
    rms_norm_eps: float = 1e-5
    tie_word_embeddings: bool = False
    max_loops: Union[int, List[int]] = 0  # 0: dense
    loop_scale_init: float = -7.0
    first_loop_scale_init: Optional[float] = None
    router_bias_init: float = 0.0
    ponder_weight: float = 0.0
    depth_scale: str = "none"
    local_memory_slots: int = 0
    global_memory_slots: int = 0
    memory_gate_bias_init: float = 0.0
    quantization_bits: int = 0  # what is trained is never quantized

    @staticmethod
    def from_json(values: dict) -> "Config":
        known = {f.name for f in fields(Config)}
        config = Config(**{key: value for key, value in values.items() if key in known})
        unknown = set(values) - known - {"model_type", "architectures"}
        if unknown:
            raise ValueError(f"config: unknown keys {sorted(unknown)}")
        return config

    @property
    def head_size(self) -> int:
        return self.hidden_size // self.num_attention_heads

    @property
    def key_value_heads(self) -> int:
        return self.num_key_value_heads or self.num_attention_heads

    def loops(self, layer: int) -> int:
        """N of a layer; 0 for a dense layer."""
        return self.max_loops[layer] if isinstance(self.max_loops, list) else self.max_loops

    @property
    def has_memory(self) -> bool:
        adaptive = any(self.loops(layer) for layer in range(self.num_hidden_layers))
        return adaptive and self.local_memory_slots + self.global_memory_slots > 0


def compute(dtype: str, device: str):
    """The context in which forward passes run: fp32 as it is, bf16 through autocast."""
    if dtype == "fp32":
        return contextlib.nullcontext()
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16)


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * w, in fp32."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * w + b, in fp32."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x.float(), self.weight.shape, self.weight, self.bias, LAYER_NORM_EPS)


def rotary_angles(num_tokens: int, head_size: int, base: float, device) -> Tensor:
    """angle(p, i) = p * base^(-2i / d), computed in fp64."""
    i = torch.arange(head_size // 2, dtype=torch.float64, device=device)
    p = torch.arange(num_tokens, dtype=torch.float64, device=device)
    return p[:, None] * base ** (-2 * i / head_size)  # [T, d/2]


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Turns the pairs (i, i + d/2) of x [B, H, T, d] by their angles, in fp32."""
    cosine, sine = angles.cos().float(), angles.sin().float()
    x1, x2 = x.float().chunk(2, dim=-1)  # [B, H, T, d/2] each
    return torch.cat((x1 * cosine - x2 * sine, x2 * cosine + x1 * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
        width, d = config.hidden_size, config.head_size
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, config.key_value_heads * d, bias=False)
        self.value = nn.Linear(width, config.key_value_heads * d, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.query_norm = RMSNorm(d, config.rms_norm_eps)
        self.key_norm = RMSNorm(d, config.rms_norm_eps)

    def forward(self, x: Tensor, angles: Tensor) -> Tensor:
        B, T, D = x.shape
        d = self.config.head_size

        def heads(y: Tensor) -> Tensor:
            return y.view(B, T, -1, d).transpose(1, 2)

        q = self.query_norm(rotate(heads(self.query(x)), angles))  # [B, H, T, d]
        k = self.key_norm(rotate(heads(self.key(x)), angles))  # [B, H_kv, T, d]
        v = heads(self.value(x))  # [B, H_kv, T, d]
        if k.shape[1] != q.shape[1]:
            k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # [B, H, T, d]
            v = v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        o = causal_attention(q, k, v)  # [B, H, T, d]
        return self.output(o.transpose(1, 2).reshape(B, T, D))


def causal_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """softmax(q k^T / sqrt d) v over the past, all [B, H, T, d]; softmax in fp32."""
    if hasattr(F, "scaled_dot_product_attention"):
        # As anyone would write it on a GPU; in v's type, which is the compute type.
        return F.scaled_dot_product_attention(q.to(v.dtype), k.to(v.dtype), v, is_causal=True)
    T = q.shape[-2]
    scores = torch.matmul(q, k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])  # [B, H, T, T]
    future = torch.ones(T, T, dtype=torch.bool, device=q.device).triu(1)
    weights = scores.masked_fill(future, float("-inf")).softmax(-1)
    return torch.matmul(weights, v)


class FeedForward(nn.Module):
    """down(silu(gate(x)) * up(x))"""

    def __init__(self, config: Config):
        super().__init__()
        self.gate = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.up = nn.Linear(config.hidden_size, config.intermediate_size, bias=False)
        self.down = nn.Linear(config.intermediate_size, config.hidden_size, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.down(F.silu(self.gate(x).float()) * self.up(x).float())


class Block(nn.Module):
    """f(h; s): a = h + s * attention(rms_norm(h)), a + s * feed_forward(rms_norm(a))."""

    def __init__(self, config: Config):
        super().__init__()
        self.attention_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.feed_forward = FeedForward(config)

    def forward(self, h: Tensor, s: Union[Tensor, float], angles: Tensor) -> Tensor:
        a = h + s * self.attention(self.attention_norm(h), angles).float()
        return a + s * self.feed_forward(self.feed_forward_norm(a)).float()


class DenseLayer(nn.Module):
    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.block = Block(config)
        depth = layer + 1
        self.scale = {"none": 1.0, "inverse": 1 / depth, "inverse_sqrt": depth**-0.5}[
            config.depth_scale
        ]

    def forward(self, h: Tensor, angles: Tensor, banks, max_loops: int):
        return self.block(h, self.scale, angles), torch.ones(h.shape[:2], device=h.device), None


class GlobalMemory(nn.Module):
    """What all layers share: the global bank, and the norms of queries and keys."""

    def __init__(self, config: Config):
        super().__init__()
        if config.global_memory_slots:
            shape = (config.global_memory_slots, config.hidden_size)
            self.keys = nn.Parameter(torch.empty(shape))
            self.values = nn.Parameter(torch.empty(shape))
        self.query_norm = LayerNorm(config.hidden_size)
        self.key_norm = LayerNorm(config.hidden_size)


def read_bank(q: Tensor, keys: Tensor, values: Tensor) -> Tensor:
    """softmax(q K^T / sqrt D) V for q [B, T, D] and normed keys [M, D]; softmax in fp32."""
    scores = torch.matmul(q, keys.t()).float() / math.sqrt(q.shape[-1])  # [B, T, M]
    return torch.matmul(scores.softmax(-1), values)  # [B, T, D]


class LayerMemory(nn.Module):
    """memory(h) = g_L * (W_L m_L) + g_G * (W_G m_G)"""

    def __init__(self, config: Config):
        super().__init__()
        width = config.hidden_size
        self.norm = LayerNorm(width)
        self.has_local = config.local_memory_slots > 0
        self.has_global = config.global_memory_slots > 0
        if self.has_local:
            self.keys = nn.Parameter(torch.empty(config.local_memory_slots, width))
            self.values = nn.Parameter(torch.empty(config.local_memory_slots, width))
            self.local_gate = nn.Linear(width, width)
            self.local_projection = nn.Linear(width, width, bias=False)
        if self.has_global:
            self.global_gate = nn.Linear(width, width)
            self.global_projection = nn.Linear(width, width, bias=False)

    def forward(self, h: Tensor, shared: GlobalMemory) -> Tensor:
        q = shared.query_norm(self.norm(h))  # [B, T, D]
        result = torch.zeros_like(h)
        if self.has_local:
            m = read_bank(q, shared.key_norm(self.keys), self.values)
            result = result + gated(self.local_gate, h, self.local_projection(m))
        if self.has_global:
            m = read_bank(q, shared.key_norm(shared.keys), shared.values)
            result = result + gated(self.global_gate, h, self.global_projection(m))
        return result


def gated(gate: nn.Linear, h: Tensor, m: Tensor) -> Tensor:
    """sigmoid(W h + b) * m; the bias joins in fp32."""
    return torch.sigmoid(F.linear(h, gate.weight).float() + gate.bias) * m.float()


class AdaptiveLayer(nn.Module):
    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.num_loops = config.loops(layer)
        self.block = Block(config)
        self.loop_scale = nn.Parameter(torch.empty(self.num_loops))
        self.router = nn.Linear(config.hidden_size + 1, 1)
        if config.has_memory:
            self.memory = LayerMemory(config)

    def stop_chance(self, h: Tensor, t: int) -> Tensor:
        """p_t [B, T] = sigmoid(w . [h ; (t-1)/(N-1)] + b), in fp32."""
        step = (t - 1) / (self.num_loops - 1) if self.num_loops > 1 else 0.0
        w = self.router.weight[0]  # [D + 1]
        return torch.sigmoid((h * w[:-1]).sum(-1) + step * w[-1] + self.router.bias)

    def forward(self, h: Tensor, angles: Tensor, shared: Optional[GlobalMemory], max_loops: int):
        """h [B, T, D]; at most max_loops loops, the last of which takes the rest."""
        N = min(self.num_loops, max_loops) if max_loops else self.num_loops
        remaining = torch.ones(h.shape[:2], device=h.device)  # prod_{i<t} (1 - p_i), [B, T]
        y, n, halting = 0.0, 0.0, []
        for t in range(1, N + 1):
            e = h + self.memory(h, shared) if shared is not None else h
            h = self.block(e, F.softplus(self.loop_scale[t - 1]), angles)
            if t < N:
                p = self.stop_chance(h, t)
                P = p * remaining
                remaining = remaining * (1 - p)
            else:
                P = remaining
            y = y + P.unsqueeze(-1) * h  # [B, T, D]
            n = n + t * P  # [B, T]
            halting.append(P)
        return y, n, torch.stack(halting)


class Output(NamedTuple):
    logits: Tensor  # [B, T, V] fp32
    expected_loops: Tensor  # [L, B, T]
    halting: List[Optional[Tensor]]  # [N_l, B, T] each, None for dense layers


class LanguageModel(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.config = config
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

    def forward(self, tokens: Tensor, max_loops: int = 0) -> Output:
        """tokens [B, T]; max_loops is a loop budget, 0 for each layer's own N."""
        c = self.config
        angles = rotary_angles(tokens.shape[1], c.head_size, c.rope_theta, tokens.device)
        shared = self.memory if c.has_memory else None
        h = self.embedding(tokens)  # [B, T, D]
        loops, halting = [], []
        for layer in self.layers:
            h, n, P = layer(h, angles, shared, max_loops)
            loops.append(n)
            halting.append(P)
        head = self.embedding.weight if c.tie_word_embeddings else self.head.weight
        logits = F.linear(self.final_norm(h), head).float()
        return Output(logits, torch.stack(loops), halting)

    def loss(
        self,
        tokens: Tensor,
        targets: Tensor,
        max_loops: int = 0,
        ponder_weight: Optional[float] = None,
    ):
        """CE + lambda * mean over the adaptive layers of (mean n - 1) / (N - 1); lambda is the config's
        unless another is given."""
        out = self(tokens, max_loops)
        ce = F.cross_entropy(
            out.logits.flatten(0, 1), targets.flatten(), ignore_index=IGNORE_TARGET
        )
        terms = [
            (out.expected_loops[l].mean() - 1) / (self.config.loops(l) - 1)
            for l in range(self.config.num_hidden_layers)
            if self.config.loops(l) > 1
        ]
        ponder = torch.stack(terms).mean() if terms else torch.zeros((), device=ce.device)
        weight = self.config.ponder_weight if ponder_weight is None else ponder_weight
        return ce + weight * ponder, ce, ponder, out

    @torch.no_grad()
    def initialize(self, seed: int) -> None:
        """Draws SPEC's initial values."""
        c = self.config
        generator = torch.Generator().manual_seed(seed)

        def normal(parameter: Tensor, std: float) -> None:
            parameter.copy_(torch.randn(parameter.shape, generator=generator) * std)

        for name, p in self.named_parameters():
            if name.endswith("loop_scale"):
                p.fill_(c.loop_scale_init)
                if c.first_loop_scale_init is not None:
                    p[0] = c.first_loop_scale_init
            elif name.endswith("router.bias"):
                p.fill_(c.router_bias_init)
            elif name.endswith(("local_gate.bias", "global_gate.bias")):
                p.fill_(c.memory_gate_bias_init)
            elif name.endswith(("local_gate.weight", "global_gate.weight")):
                p.zero_()
            elif name.endswith("projection.weight"):
                bound = math.sqrt(6 / (p.shape[0] + p.shape[1]))
                p.copy_((torch.rand(p.shape, generator=generator) * 2 - 1) * bound)
            elif name.endswith("norm.weight"):
                p.fill_(1.0)
            elif name.endswith(".bias"):
                p.zero_()
            elif name.endswith(("output.weight", "down.weight")):
                normal(p, 0.02 / math.sqrt(2 * c.num_hidden_layers))
            else:
                normal(p, 0.02)

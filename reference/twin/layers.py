"""The layers of SPEC section 1 in plain PyTorch: dense, or adaptive with loops, halting and memory banks."""

import math
from typing import List, NamedTuple, Optional

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .block import Block, Pass
from .model_config import Config

LAYER_NORM_EPS = 1e-5


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(var + eps) * w + b, in fp32."""

    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.bias = nn.Parameter(torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        weight, bias = self.weight.float(), self.bias.float()
        return F.layer_norm(x.float(), weight.shape, weight, bias, LAYER_NORM_EPS)


class LayerOutput(NamedTuple):
    h: Tensor  # [B, T, D]
    loops: Tensor  # n [B, T]; under cdf:Q the number of loops that a token ran
    halting: Optional[Tensor]  # P_t [N, B, T]; None for a dense layer
    gates: Optional[dict]  # g_L and g_G of each loop, mean over D, {"local": [N, B, T], "global": ...}


class DenseLayer(nn.Module):
    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.block = Block(config)
        self.slot = layer * config.most_loops
        depth = layer + 1
        self.scale = {"none": 1.0, "inverse": 1 / depth, "inverse_sqrt": depth**-0.5}[config.depth_scale]

    def forward(self, h: Tensor, at: Pass) -> LayerOutput:
        y = self.block(h, self.scale, at, self.slot)
        return LayerOutput(y, torch.ones(h.shape[:2], device=h.device), None, None)


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

    def forward(self, h: Tensor, shared: GlobalMemory, gates: Optional[dict]) -> Tensor:
        """`gates`, where there is one, takes the mean of each gate over D, [B, T]."""
        q = shared.query_norm(self.norm(h))  # [B, T, D]
        result = torch.zeros_like(h)
        if self.has_local:
            m = read_bank(q, shared.key_norm(self.keys), self.values)
            g = gate_of(self.local_gate, h)
            result = result + g * self.local_projection(m).float()
            note(gates, "local", g)
        if self.has_global:
            m = read_bank(q, shared.key_norm(shared.keys), shared.values)
            g = gate_of(self.global_gate, h)
            result = result + g * self.global_projection(m).float()
            note(gates, "global", g)
        return result


def gate_of(gate: nn.Linear, h: Tensor) -> Tensor:
    """sigmoid(W h + b); the bias joins in fp32."""
    return torch.sigmoid(F.linear(h, gate.weight).float() + gate.bias)


def note(gates: Optional[dict], name: str, g: Tensor) -> None:
    if gates is not None:
        gates.setdefault(name, []).append(g.mean(-1))


class AdaptiveLayer(nn.Module):
    def __init__(self, config: Config, layer: int):
        super().__init__()
        self.num_loops = config.loops(layer)
        self.slot = layer * config.most_loops  # of its first loop in the cache
        self.is_linear = config.loop_scale_kind == "linear"
        self.block = Block(config)
        self.loop_scale = nn.Parameter(torch.empty(self.num_loops))
        self.router = nn.Linear(config.hidden_size + 1, 1)
        if config.has_memory:
            self.memory = LayerMemory(config)

    def scale(self, t: int) -> Tensor:
        """s_t = softplus(alpha_t), or alpha_t."""
        alpha = self.loop_scale[t - 1].float()
        return alpha if self.is_linear else F.softplus(alpha)

    def stop_chance(self, h: Tensor, t: int) -> Tensor:
        """p_t [B, T] = sigmoid(w . [h ; (t-1)/(N-1)] + b), in fp32."""
        step = (t - 1) / (self.num_loops - 1) if self.num_loops > 1 else 0.0
        w = self.router.weight[0]  # [D + 1]
        return torch.sigmoid((h * w[:-1]).sum(-1) + step * w[-1] + self.router.bias)

    def entered(self, h: Tensor, at: Pass, gates: Optional[dict] = None) -> Tensor:
        """e = h + memory(h)"""
        return h if at.shared is None else h + self.memory(h, at.shared, gates)

    def forward(self, h: Tensor, at: Pass) -> LayerOutput:
        """h [B, T, D]; at most `at.max_loops` loops, the last of which takes the rest."""
        N = min(self.num_loops, at.max_loops) if at.max_loops else self.num_loops
        remaining = torch.ones(h.shape[:2], device=h.device)  # prod_{i<t} (1 - p_i), [B, T]
        y, n, halting = 0.0, torch.zeros_like(remaining), []
        gates = {} if at.wants_gates else None
        left = None if at.exit_threshold is None else remaining < 0  # who has left, [B, T]
        for t in range(1, N + 1):
            ran = self.block(self.entered(h, at, gates), self.scale(t), at, self.slot + t - 1)
            h = ran if left is None else torch.where(left[..., None], h, ran)  # who has left stays h^(tau)
            if t < N:
                p = self.stop_chance(h, t)
                P = p * remaining
                remaining = remaining * (1 - p)
            else:
                P = remaining
            n = n + (t * P if left is None else (~left).float())
            if left is not None and t < N:
                leaves = 1 - remaining.double() > at.exit_threshold  # C_t > Q
                P = torch.where(leaves, P + remaining, P)  # 1 - C_{tau-1}, and nothing after tau
                remaining = remaining.masked_fill(leaves, 0.0)
                left = left | leaves
            y = y + P.unsqueeze(-1) * h  # [B, T, D]
            halting.append(P)
            if left is not None and t < N and bool(left.all()):
                self.fill_slots(h, at, t, N)
                break
        return LayerOutput(y, n, padded(halting, N), stacked(gates, N))

    def fill_slots(self, h: Tensor, at: Pass, tau: int, N: int) -> None:
        """Keys and values of the loops after tau, made of h^(tau): later tokens that run them find them."""
        if at.cache is not None:
            x = self.block.attention_norm(self.entered(h, at))
            for t in range(tau + 1, N + 1):
                self.block.attention.keys_values(x, at, self.slot + t - 1)


def padded(loops: List[Tensor], N: int) -> Tensor:
    """[N, B, T], 0 for the loops that were not run."""
    return torch.stack(loops + [torch.zeros_like(loops[0])] * (N - len(loops)))


def stacked(gates: Optional[dict], N: int) -> Optional[dict]:
    return {name: padded(loops, N) for name, loops in gates.items()} if gates else None

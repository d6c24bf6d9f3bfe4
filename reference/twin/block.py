"""The block of SPEC section 1 in plain PyTorch: attention and feed-forward, one set of weights.

    a        = h + s * attention(rms_norm(h))
    f(h; s)  = a + s * feed_forward(rms_norm(a))
"""

import math
from typing import Any, NamedTuple, Optional, Tuple, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .model_config import Config


class Pass(NamedTuple):
    """What the layers of a forward pass over T tokens share."""

    cosines: Tensor  # [T, d/2] of the rotary angles, or [B, 1, T, d/2] where texts differ in positions
    sines: Tensor
    mask: Optional[Tensor]  # [B or 1, 1, T, S] which keys a query sees; None: the tokens up to its own
    cache: Any  # keys and values of the S - T tokens before: update(keys, values, slot) gives all S; or None
    shared: Optional[nn.Module]  # GlobalMemory, where the model has banks
    max_loops: int  # loop budget; 0: each layer's own N
    exit_threshold: Optional[float]  # Q of the exit rule cdf:Q; None: every loop is run
    wants_gates: bool


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * w, in fp32."""

    def __init__(self, size: int, eps: float):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        x = x.float()
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + self.eps) * self.weight.float()


def rotate(x: Tensor, cosine: Tensor, sine: Tensor) -> Tensor:
    """Turns the pairs (i, i + d/2) of x [B, H, T, d] by their angles, in fp32."""
    x1, x2 = x.float().chunk(2, dim=-1)  # [B, H, T, d/2] each
    return torch.cat((x1 * cosine - x2 * sine, x2 * cosine + x1 * sine), dim=-1)


class Attention(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        width, self.head_size = config.hidden_size, config.head_size
        of_queries = config.num_attention_heads * self.head_size
        of_keys = config.key_value_heads * self.head_size
        self.query = nn.Linear(width, of_queries, bias=config.attention_bias)
        self.key = nn.Linear(width, of_keys, bias=config.attention_bias)
        self.value = nn.Linear(width, of_keys, bias=config.attention_bias)
        self.output = nn.Linear(of_queries, width, bias=config.attention_output_bias)
        self.qk_norm = config.qk_norm
        if self.qk_norm != "none":
            self.query_norm = RMSNorm(self.head_size, config.rms_norm_eps)
            self.key_norm = RMSNorm(self.head_size, config.rms_norm_eps)

    def forward(self, x: Tensor, at: Pass, slot: int) -> Tensor:
        """x [B, T, D]; `slot` is the loop's place in the cache."""
        q = self.positioned(self.query(x), "query_norm", at)  # [B, H, T, d]
        k, v = self.keys_values(x, at, slot)  # [B, H_kv, S, d]
        if k.shape[1] != q.shape[1]:
            k = k.repeat_interleave(q.shape[1] // k.shape[1], dim=1)  # [B, H, S, d]
            v = v.repeat_interleave(q.shape[1] // v.shape[1], dim=1)
        o = causal_attention(q.to(v.dtype), k, v, at.mask)  # [B, H, T, d]
        return self.output(o.transpose(1, 2).flatten(2))

    def keys_values(self, x: Tensor, at: Pass, slot: int) -> Tuple[Tensor, Tensor]:
        """Those of x, behind those of earlier tokens where there is a cache; in the compute type."""
        v = self.heads(self.value(x))  # [B, H_kv, T, d]
        k = self.positioned(self.key(x), "key_norm", at).to(v.dtype)
        return (k, v) if at.cache is None else at.cache.update(k, v, slot)

    def positioned(self, y: Tensor, norm: str, at: Pass) -> Tensor:
        """Queries or keys by head, rotated, and normed before or after that."""
        y = self.heads(y)
        if self.qk_norm == "before":
            y = getattr(self, norm)(y)
        y = rotate(y, at.cosines, at.sines)
        return getattr(self, norm)(y) if self.qk_norm == "after" else y

    def heads(self, y: Tensor) -> Tensor:
        return y.view(*y.shape[:2], -1, self.head_size).transpose(1, 2)


def causal_attention(q: Tensor, k: Tensor, v: Tensor, mask: Optional[Tensor]) -> Tensor:
    """softmax(q k^T / sqrt d) v over the past, q [B, H, T, d], k and v [B, H, S, d]; softmax in fp32."""
    T, S = q.shape[-2], k.shape[-2]
    if hasattr(F, "scaled_dot_product_attention"):
        # As anyone would write it on a GPU.
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None and T == S > 1)
    scores = torch.matmul(q, k.transpose(-1, -2)).float() / math.sqrt(q.shape[-1])  # [B, H, T, S]
    if mask is None and T > 1:
        mask = torch.ones(T, S, dtype=torch.bool, device=q.device).tril(S - T)
    weights = (scores if mask is None else scores.masked_fill(~mask, float("-inf"))).softmax(-1)
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

    def forward(self, h: Tensor, s: Union[Tensor, float], at: Pass, slot: int) -> Tensor:
        a = h + s * self.attention(self.attention_norm(h), at, slot).float()
        return a + s * self.feed_forward(self.feed_forward_norm(a)).float()

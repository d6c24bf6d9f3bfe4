"""The training step of SPEC section 3 in plain PyTorch: AdamW with its groups, clipping, one rate."""

from typing import List

import torch
from torch import Tensor

from twin.model import LanguageModel, compute

BETAS = (0.9, 0.95)
EPS = 1e-8


def decays(name: str) -> bool:
    """Weight decay acts on linear weights alone: not on embeddings, norms, biases, loop scales, banks."""
    return name.endswith(".weight") and "norm" not in name and name != "embedding.weight"


def make_optimizer(model: LanguageModel, weight_decay: float = 0.1, **options):
    """AdamW in two groups. `options` go to torch.optim.AdamW, such as fused=True on a GPU."""
    named = list(model.named_parameters())
    groups = [
        {"params": [p for name, p in named if decays(name)], "weight_decay": weight_decay},
        {"params": [p for name, p in named if not decays(name)], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.0, betas=BETAS, eps=EPS, **options)


def ponder_weight_at(ponder_weight: float, warmup_fraction: float, step: int, steps: int) -> float:
    """The weight in force at a step (from 1): 0 at the first, whole after that share of the steps."""
    warmup = warmup_fraction * steps
    return ponder_weight * min(1.0, (step - 1) / warmup) if warmup > 0 else ponder_weight


def train_step(
    loss_of, parameters: List[Tensor], optimizer, learning_rate: float, clip_norm: float
) -> Tensor:
    """One full step: forward, backward, clip, AdamW. `loss_of()` gives the scalar loss."""
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(parameters, clip_norm)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()
    return loss.detach()


def train(
    model: LanguageModel,
    tokens: Tensor,
    targets: Tensor,
    steps: int,
    learning_rate: float,
    weight_decay: float = 0.1,
    clip_norm: float = 1.0,
    dtype: str = "fp32",
    ponder_warmup_fraction: float = 0.0,
) -> List[float]:
    """Steps on one batch at one learning rate; returns the loss before each."""
    optimizer = make_optimizer(model, weight_decay)
    parameters = list(model.parameters())

    def loss_at(step: int) -> Tensor:
        weight = ponder_weight_at(model.config.ponder_weight, ponder_warmup_fraction, step, steps)
        with compute(dtype, str(tokens.device)):
            return model.loss(tokens, targets, ponder_weight=weight)[0]

    return [
        train_step(
            lambda: loss_at(step), parameters, optimizer, learning_rate, clip_norm
        ).item()
        for step in range(1, steps + 1)
    ]

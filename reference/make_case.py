"""Writes what the twin computes for a config, as one safetensors file that the C++ tests compare with.

    python3 reference/make_case.py CASES.json

CASES.json is a list of {"path": FILE.safetensors, "config_json": {config.json's keys}, "seed": 7,
"batch": 2, "num_tokens": 9, "max_loops": 0, "ponder_warmup_fraction": 0.0}; the last four may be left out.

Tensors: `tokens`, `targets`; `initial.<parameter>`; and for each of fp32 and bf16 (the prefix)
`logits`, `loss`, `cross_entropy`, `ponder`, `expected_loops`, `gradient.<parameter>`, `losses` (before each
optimizer step), `trained.<parameter>` (after the steps). The metadata holds the config, the loop budget
and the optimizer's settings.
"""

import argparse
import copy
import json

import torch

import tensors
from twin.model import IGNORE_TARGET, LanguageModel, compute
from twin.model_config import Config
from train import train

STEPS = 10
LEARNING_RATE = 1e-2
WEIGHT_DECAY = 0.1
CLIP_NORM = 1.0


@torch.no_grad()
def scatter_parameters(model: LanguageModel, seed: int) -> None:
    """Values far from the initial ones, so that every gradient is large enough to be compared: loop
    scales of a trained model, gates that depend on their input, norms that are not 1."""
    generator = torch.Generator().manual_seed(seed)
    width = model.config.hidden_size
    for name, p in model.named_parameters():
        noise = torch.randn(p.shape, generator=generator)
        if name.endswith("loop_scale"):
            p.copy_(0.3 * noise)  # softplus around 0.7
            if model.config.first_loop_scale_init is not None:
                p[0] = model.config.first_loop_scale_init
        elif name.endswith("router.bias"):
            p.copy_(model.config.router_bias_init + 0.3 * noise)
        elif name.endswith("gate.bias"):
            p.copy_(model.config.memory_gate_bias_init / 3 + 0.3 * noise)
        elif name.endswith("norm.weight"):
            p.copy_(1 + 0.2 * noise)
        elif name.endswith(".bias"):
            p.copy_(0.3 * noise)
        elif name == "embedding.weight" or name.endswith(("keys", "values")):
            p.copy_(0.7 * noise)
        else:
            p.copy_(noise / width**0.5)


def make_case(
    config: Config,
    seed: int,
    batch: int,
    num_tokens: int,
    max_loops: int = 0,
    ponder_warmup_fraction: float = 0.0,
) -> dict:
    """All tensors of a case by name; the optimizer steps run without a loop budget."""
    start = LanguageModel(config)
    scatter_parameters(start, seed)
    generator = torch.Generator().manual_seed(seed + 1)
    text = torch.randint(config.vocab_size, (batch, num_tokens + 1), generator=generator)
    tokens, targets = text[:, :-1].contiguous(), text[:, 1:].clone()
    targets[0, 1] = IGNORE_TARGET
    case = {"tokens": tokens, "targets": targets}
    case.update({f"initial.{name}": p for name, p in start.named_parameters()})
    for dtype in ("fp32", "bf16"):
        model = copy.deepcopy(start)
        with compute(dtype, "cpu"):
            total, ce, ponder, out = model.loss(tokens, targets, max_loops)
        total.backward()
        case[f"{dtype}.logits"] = out.logits
        case[f"{dtype}.loss"] = total
        case[f"{dtype}.cross_entropy"] = ce
        case[f"{dtype}.ponder"] = ponder
        case[f"{dtype}.expected_loops"] = out.expected_loops
        for name, p in model.named_parameters():
            # A loop that the budget leaves out gives its parameters no gradient.
            gradient = torch.zeros_like(p) if p.grad is None else p.grad
            case[f"{dtype}.gradient.{name}"] = gradient
        model = copy.deepcopy(start)
        losses = train(
            model,
            tokens,
            targets,
            STEPS,
            LEARNING_RATE,
            WEIGHT_DECAY,
            CLIP_NORM,
            dtype,
            ponder_warmup_fraction,
        )
        case[f"{dtype}.losses"] = torch.tensor(losses)
        case.update({f"{dtype}.trained.{name}": p for name, p in model.named_parameters()})
    return case


def write_case(
    path: str,
    config_json: dict,
    seed: int,
    batch: int = 2,
    num_tokens: int = 9,
    max_loops: int = 0,
    ponder_warmup_fraction: float = 0.0,
) -> None:
    case = make_case(
        Config.from_json(config_json), seed, batch, num_tokens, max_loops, ponder_warmup_fraction
    )
    metadata = {
        "config": json.dumps(config_json),
        "max_loops": str(max_loops),
        "steps": str(STEPS),
        "learning_rate": str(LEARNING_RATE),
        "weight_decay": str(WEIGHT_DECAY),
        "clip_norm": str(CLIP_NORM),
        "ponder_warmup_fraction": str(ponder_warmup_fraction),
    }
    tensors.save(path, case, metadata)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", metavar="CASES.json")
    with open(parser.parse_args().cases) as file:
        for case in json.load(file):
            write_case(**case)


if __name__ == "__main__":
    main()

"""The twin beside itself: a cache, padding, loop budgets and early exit change nothing that they should not.

    python3 reference/check_twin.py

Random models with and without the further config keys; one text as a whole, in pieces by a cache, and behind padding.
The largest difference of a logit is printed; exit status 1 where it is above 1e-5, or where what is told of loops,
halting and gates does not hold together.
"""

import torch

from make_case import scatter_parameters
from twin.model import LanguageModel
from twin.model_config import Config

TOLERANCE = 1e-5
TOKENS = 24
PADDING = 5
SMALL = {
    "vocab_size": 61,
    "hidden_size": 24,
    "intermediate_size": 20,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
}
BANKS = {"local_memory_slots": 5, "global_memory_slots": 3}
MODELS = {
    "dense": {"qk_norm": "before", "attention_bias": True, "head_dim": 10, "tie_word_embeddings": True},
    "loops": {"max_loops": [3, 0, 4], "num_key_value_heads": 2, "qk_norm": "none", "loop_scale_kind": "linear"},
    "memory": {"max_loops": 3, **BANKS},
}


class Cache:
    """Keys and values by slot, as transformers' DynamicCache keeps them."""

    def __init__(self):
        self.slots = {}

    def update(self, keys, values, slot):
        if slot in self.slots:
            keys, values = (torch.cat(pair, 2) for pair in zip(self.slots[slot], (keys, values)))
        self.slots[slot] = (keys, values)
        return keys, values


def expect(holds, what: str) -> None:
    if not bool(holds):
        raise SystemExit(f"check_twin: {what}")


def in_pieces(model: LanguageModel, tokens: torch.Tensor, sizes: list, **options):
    """Logits and loops of a text that is read piece by piece."""
    cache, past, outputs = Cache(), 0, []
    for size in sizes:
        outputs.append(model(tokens[:, past : past + size], cache=cache, past=past, **options))
        past += size
    return torch.cat([out.logits for out in outputs], 1), torch.cat([out.expected_loops for out in outputs], 2)


def difference(name: str, a: torch.Tensor, b: torch.Tensor) -> float:
    found = (a - b).abs().max().item()
    expect(found <= TOLERANCE, f"{name}: expected within {TOLERANCE}, got {found:.2e}.")
    return found


@torch.no_grad()
def check(name: str, config: Config) -> float:
    model = LanguageModel(config)
    scatter_parameters(model, seed=3)
    tokens = torch.randint(config.vocab_size, (2, TOKENS), generator=torch.Generator().manual_seed(4))
    padded = torch.cat((tokens[:, :1].expand(-1, PADDING), tokens), 1)
    mask = (torch.arange(PADDING + TOKENS) >= PADDING).long().expand(2, -1)
    largest = 0.0
    for options in ({}, {"max_loops": 2}, {"exit_rule": "cdf:0.6"}, {"exit_rule": "cdf:0"}):
        what = f"{name}, {options}"
        whole = model(tokens, wants_gates=True, **options)
        logits, loops = in_pieces(model, tokens, [9, 1, 1, TOKENS - 11], **options)
        alone, _ = in_pieces(model, tokens[:1], [1] * TOKENS, **options)
        behind = model(padded, attention_mask=mask, **options)
        for other, mine in ((logits, whole.logits), (alone, whole.logits[:1]), (behind.logits[:, PADDING:], whole.logits)):
            largest = max(largest, difference(what, other, mine))
        difference(what, loops, whole.expected_loops)
        for layer, halting in enumerate(whole.halting):
            if halting is not None:
                difference(f"{what}: sum of P", halting.sum(0), torch.ones(2, TOKENS))
                check_exit(what, options, halting, whole.expected_loops[layer])
            gates = whole.gates[layer]
            expect((gates is not None) == (config.has_memory and halting is not None), f"{what}: gates {gates}")
            for gate in (gates or {}).values():
                expect(gate.shape == halting.shape, f"{what}: gates of shape {tuple(gate.shape)}")
    return largest


def check_exit(what: str, options: dict, halting: torch.Tensor, loops: torch.Tensor) -> None:
    """Nothing behind the loop with which a token leaves, and tokens that leave at different loops."""
    rule = options.get("exit_rule", "all")
    N = halting.shape[0]
    if rule == "cdf:0":
        expect((loops == 1).all() and (halting[0] == 1).all(), f"{what}: expected one loop for all.")
    if rule != "all":
        t = torch.arange(1, N + 1)[:, None, None]
        expect((halting[t.expand_as(halting) > loops.expand_as(halting)] == 0).all(), f"{what}: weight behind the exit.")
    if rule == "cdf:0.6":
        expect(loops.min() < loops.max(), f"{what}: expected tokens that leave at different loops.")


def main() -> None:
    torch.set_num_threads(1)
    for name, changes in MODELS.items():
        print(f"{name}: within {check(name, Config(**SMALL, **changes)):.1e}")


if __name__ == "__main__":
    main()

"""The model in transformers: AutoModelForCausalLM.from_pretrained(DIR, trust_remote_code=True).

Parts and equations are those of model.py; here is what transformers asks of a model around them: generation with
a cache, padding, labels, dtypes, and what is to be known of loops and gates.

    model.generate(**inputs, max_loops=2)                 a loop budget
    model.generate(**inputs, exit_rule="cdf:0.9")         tokens leave early, each by itself
    model(**inputs, output_loops=True).expected_loops     [L, B, T]
"""

from dataclasses import dataclass
from typing import List, Optional, Union

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers import GenerationMixin, PreTrainedModel
from transformers.cache_utils import DynamicCache, DynamicLayer
from transformers.modeling_outputs import CausalLMOutputWithPast

# All of them by name: transformers copies the files that this one imports, and not those that they import.
from .block import Pass  # noqa: F401
from .configuration_loopbank import LoopbankConfig
from .layers import LayerOutput
from .model import IGNORE_TARGET, LanguageModel, Output, compute
from .model_config import Config  # noqa: F401

# What transformers calls the cache in outputs; newer ones of 5 have another name for it.
CACHE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
COMPUTE_TYPES = {torch.float32: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}


@dataclass
class LoopbankOutput(CausalLMOutputWithPast):
    """With output_loops=True also, over L layers and the N loops that a layer has at most:

    expected_loops  [L, B, T]     n of each token; under an exit rule the loops that it ran
    halting         [L, N, B, T]  P_t, 0 for loops that were not run; 1 for a dense layer's one pass
    local_gate      [L, N, B, T]  mean over D; None without such a bank. global_gate likewise
    """

    expected_loops: Optional[Tensor] = None
    halting: Optional[Tensor] = None
    local_gate: Optional[Tensor] = None
    global_gate: Optional[Tensor] = None


class LoopSlots:
    """A cache of transformers with a slot for every loop, layer * N + loop.

    It grows as loops are run: a cache that a config made has one slot a layer.
    """

    def __init__(self, cache: DynamicCache):
        if not isinstance(cache, DynamicCache):
            raise ValueError(f"past_key_values: expected a DynamicCache, got a {type(cache).__name__}")
        self.cache = cache

    def update(self, keys: Tensor, values: Tensor, slot: int):
        while len(self.cache.layers) <= slot:
            self.cache.layers.append(DynamicLayer())
        return self.cache.update(keys, values, slot)


def by_layer(layers: List[Optional[Tensor]], num_loops: int, like: Tensor) -> Tensor:
    """[N_l, B, T] of each layer as [L, N, B, T], with 0 where a layer has nothing."""
    result = torch.zeros(len(layers), num_loops, *like.shape, device=like.device)
    for l, values in enumerate(layers):
        if values is not None:
            result[l, : values.shape[0]] = values
    return result


class LoopbankForCausalLM(PreTrainedModel, GenerationMixin):
    config_class = LoopbankConfig
    supports_gradient_checkpointing = True
    accepts_loss_kwargs = False
    _supports_sdpa = True
    _no_split_modules = ["AdaptiveLayer", "DenseLayer"]

    add_parts = LanguageModel.add_parts
    run_layers = LanguageModel.forward
    losses = LanguageModel.losses

    def __init__(self, config: LoopbankConfig):
        super().__init__(config)
        self.add_parts(config.settings())
        self.gradient_checkpointing = False
        self.post_init()

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """SPEC's initial values, by name, of what no file has given a value."""
        name = next((name for name, part in self.named_modules() if part is module), "")
        for own_name, p in module.named_parameters(recurse=False):
            if not getattr(p, "_is_hf_initialized", False):
                p.copy_(self.settings.initial_value(f"{name}.{own_name}", p.shape))

    def get_input_embeddings(self) -> nn.Module:
        return self.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.embedding = value

    def get_output_embeddings(self) -> Optional[nn.Module]:
        """None where the embedding is the head too: it is one parameter, and there is nothing to tie."""
        return getattr(self, "head", None)

    def set_output_embeddings(self, value: nn.Module) -> None:
        self.head = value

    def prepare_inputs_for_generation(self, *arguments, **kwargs) -> dict:
        inputs = super().prepare_inputs_for_generation(*arguments, **kwargs)
        inputs.pop("cache_position", None)  # of transformers 4: the cache knows how many tokens it holds
        return inputs

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Optional[Tensor] = None,
        position_ids: Optional[Tensor] = None,
        past_key_values: Optional[DynamicCache] = None,
        labels: Optional[Tensor] = None,
        use_cache: Optional[bool] = None,
        inputs_embeds: None = None,
        output_attentions: Optional[bool] = None,
        output_hidden_states: Optional[bool] = None,
        return_dict: Optional[bool] = None,
        cache: Optional[DynamicCache] = None,
        logits_to_keep: Union[int, Tensor] = 0,
        max_loops: int = 0,
        exit_rule: Optional[str] = None,
        output_loops: bool = False,
    ) -> LoopbankOutput:
        """As of any causal model of transformers (`cache` is what newer ones call `past_key_values`), and

        labels        ids, shifted here; the loss is cross-entropy plus the weighted ponder term
        max_loops     a loop budget; 0: each layer's own N
        exit_rule     "all" or "cdf:Q" (a token leaves a layer after the first loop t with P_1 + ... + P_t > Q); the
                      config's where not given. Keys and values of loops that a token did not run are made of the
                      state with which it left, so that the cache always holds all of them
        output_loops  returns loops, halting and gates
        """
        if inputs_embeds is not None or output_attentions:
            raise ValueError("loopbank: inputs_embeds and output_attentions are not supported")
        if use_cache is None:
            use_cache = self.config.use_cache and not self.training
        recomputes = self.gradient_checkpointing and self.training
        cache = past_key_values if cache is None else cache
        if cache is None and use_cache and not recomputes:
            cache = DynamicCache()
        states: List[Tensor] = []

        def run(layer, h, at) -> LayerOutput:
            out = checkpoint(layer, h, at, use_reentrant=False) if recomputes else layer(h, at)
            states.extend((h, out.h) if output_hidden_states else ())
            return out

        with compute(COMPUTE_TYPES[self.embedding.weight.dtype], input_ids.device.type):
            out = self.run_layers(
                input_ids,
                max_loops,
                self.config.exit_rule if exit_rule is None else exit_rule,
                attention_mask=attention_mask,
                positions=position_ids,
                cache=None if cache is None else LoopSlots(cache),
                past=0 if cache is None else cache.get_seq_length(),
                last=0 if labels is not None else logits_to_keep,
                wants_gates=output_loops,
                run=run,
            )
        loss = None
        if labels is not None:
            targets = F.pad(labels[:, 1:], (0, 1), value=IGNORE_TARGET)
            counted = None if attention_mask is None else attention_mask.bool()
            loss = self.losses(out, targets, counted=counted)[0]
        result = LoopbankOutput(
            loss=loss,
            logits=out.logits,
            hidden_states=(*states[::2], self.final_norm(states[-1])) if output_hidden_states else None,
            **{CACHE: cache if use_cache else None},
            **(self._inside(out, input_ids) if output_loops else {}),
        )
        return result if return_dict is not False else result.to_tuple()

    def _inside(self, out: Output, tokens: Tensor) -> dict:
        N = self.settings.most_loops
        one = torch.ones(1, *tokens.shape, device=tokens.device)  # a dense layer runs once
        halting = [one if values is None else values for values in out.halting]
        inside = {"expected_loops": out.expected_loops, "halting": by_layer(halting, N, tokens)}
        for name in ("local", "global"):
            values = [gates.get(name) if gates else None for gates in out.gates]
            if any(value is not None for value in values):
                inside[f"{name}_gate"] = by_layer(values, N, tokens)
        return inside

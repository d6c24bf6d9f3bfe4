"""config.json as transformers reads it: the settings of model_config.py with their names and defaults."""

from dataclasses import fields
from typing import Optional

from transformers import PretrainedConfig

from .model_config import Config

# What transformers calls the object of rotary scaling: it has had another name since 5.0.
ROPE = "rope_parameters" if hasattr(PretrainedConfig, "convert_rope_params_to_dict") else "rope_scaling"


class LoopbankConfig(PretrainedConfig):
    """A model's settings, and `exit_rule`: how its tokens leave their layers where a call names no rule."""

    model_type = "loopbank"
    keys_to_ignore_at_inference = ["past_key_values", "cache"]

    def __init__(
        self,
        exit_rule: str = "all",
        use_cache: bool = True,
        rope_scaling: Optional[dict] = None,
        rope_parameters: Optional[dict] = None,
        **others,
    ):
        for field in fields(Config):
            if field.name != "rope_scaling":
                setattr(self, field.name, others.pop(field.name, field.default))
        rope = rope_parameters or rope_scaling
        self.rope_theta = (rope or {}).get("rope_theta", self.rope_theta)
        setattr(self, ROPE, rope)
        self.exit_rule = exit_rule
        self.use_cache = use_cache
        super().__init__(tie_word_embeddings=self.tie_word_embeddings, **others)
        self.settings()

    def settings(self) -> Config:
        """What the model is made of; a ValueError names a setting that no model has."""
        values = {field.name: getattr(self, field.name) for field in fields(Config) if field.name != "rope_scaling"}
        return Config(rope_scaling=getattr(self, ROPE), **values)

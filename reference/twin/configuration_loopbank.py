"""config.json as transformers reads it: the settings of model_config.py with their names and defaults."""

from dataclasses import fields

from transformers import PretrainedConfig

from .model_config import Config


class LoopbankConfig(PretrainedConfig):
    """A model's settings, and `exit_rule`: how its tokens leave their layers where a call names no rule."""

    model_type = "loopbank"
    keys_to_ignore_at_inference = ["past_key_values"]

    def __init__(self, exit_rule: str = "all", use_cache: bool = True, **others):
        values = {field.name: others.pop(field.name, field.default) for field in fields(Config)}
        for name, value in values.items():
            setattr(self, name, value)
        self.exit_rule = exit_rule
        self.use_cache = use_cache
        super().__init__(tie_word_embeddings=values["tie_word_embeddings"], **others)
        self.settings()

    def settings(self) -> Config:
        """What the model is made of; a ValueError names a setting that no model has."""
        return Config(**{field.name: getattr(self, field.name) for field in fields(Config)})

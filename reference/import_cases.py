"""The models that reference/import_peer.py makes with transformers, and those of tests/interop/import_test.cpp."""

import shutil
from pathlib import Path

import tokenizers
import torch
import transformers
from tokenizers import decoders, models, pre_tokenizers, trainers

TEXT = [
    "The quick brown fox jumps over the lazy dog, and the dog does not mind.",
    "What is six plus nine? Six plus nine is fifteen.",
    "A transformer that loops reads its own state again before it answers.",
    "Memory is where a fact can be looked up when it is not in the weights.",
]

SMALL = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 128,
    "initializer_range": 0.09,
    "rms_norm_eps": 1e-5,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32}
YARN_ALL = {
    **YARN,
    "beta_fast": 16.0,
    "beta_slow": 2.0,
    "mscale": 0.8,
    "mscale_all_dim": 0.5,
    "truncate": False,
}
ALPHA = {"type": "dynamic", "alpha": 50.0, "factor": 1.0, "mscale": 1.0}

# name: (configuration class, its arguments over SMALL)
CASES = {
    "llama": ("LlamaConfig", {}),
    "llama, one head each": ("LlamaConfig", {"num_key_value_heads": 4}),
    "llama, tied": ("LlamaConfig", {"tie_word_embeddings": True}),
    "llama, biases": ("LlamaConfig", {"attention_bias": True}),
    "llama, head_dim": ("LlamaConfig", {"head_dim": 24}),
    "llama, linear": ("LlamaConfig", {"rope_scaling": {"rope_type": "linear", "factor": 4.0}}),
    "llama, dynamic": ("LlamaConfig", {"rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}),
    "llama, llama3": ("LlamaConfig", {"rope_scaling": LLAMA3, "rope_theta": 500000.0}),
    "llama, yarn": ("LlamaConfig", {"rope_scaling": YARN}),
    "llama, yarn of many keys": ("LlamaConfig", {"rope_scaling": YARN_ALL, "rope_theta": 500000.0}),
    "llama, yarn, given length": (
        "LlamaConfig",
        {"rope_scaling": {**YARN, "attention_factor": 1.3}},
    ),
    "mistral, no window": ("MistralConfig", {"sliding_window": None}),
    "mistral, wide window": ("MistralConfig", {"sliding_window": 128}),
    "qwen2": ("Qwen2Config", {}),
    "qwen2, tied": ("Qwen2Config", {"tie_word_embeddings": True}),
    "qwen2, yarn": ("Qwen2Config", {"rope_scaling": {**YARN, "type": "yarn"}}),
    "qwen3": ("Qwen3Config", {"head_dim": 24}),
    "qwen3, usual head_dim": ("Qwen3Config", {"head_dim": 16, "tie_word_embeddings": True}),
    "qwen3, biases": ("Qwen3Config", {"head_dim": 24, "attention_bias": True}),
    "hunyuan": ("HunYuanDenseV1Config", {"head_dim": 16}),
    "hunyuan, alpha": ("HunYuanDenseV1Config", {"head_dim": 32, "rope_scaling": ALPHA}),
    "hunyuan, biases, tied": (
        "HunYuanDenseV1Config",
        {"head_dim": 16, "attention_bias": True, "tie_word_embeddings": True},
    ),
}

# What is refused: name, configuration class, arguments, what the error must say.
UNSUPPORTED = [
    ("GPT-2", "GPT2Config", {"n_embd": 32, "n_layer": 1, "n_head": 2}, "GPT-2: learned positions are not supported"),
    (
        "GPT-NeoX",
        "GPTNeoXConfig",
        {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1, "num_attention_heads": 2},
        "GPT-NeoX: parallel residual branches are not supported",
    ),
    (
        "Gemma",
        "GemmaConfig",
        {**SMALL, "head_dim": 16},
        "Gemma: norms scaled by 1 + weight",
    ),
    ("Mixtral", "MixtralConfig", {**SMALL}, "Mixtral: a mixture of experts is not supported"),
    (
        "T5",
        "T5Config",
        {"d_model": 32, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2},
        "T5: an encoder beside the decoder is not supported",
    ),
    (
        "BERT",
        "BertConfig",
        {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32},
        "BERT: attention to later tokens (an encoder) is not supported",
    ),
]


# Models of tests/interop/import_test.cpp, whose weights follow from a rule that both sides know.
FROZEN = {
    "llama": ("LlamaConfig", {"rope_scaling": {**LLAMA3, "original_max_position_embeddings": 4}}),
    "qwen2": ("Qwen2Config", {"tie_word_embeddings": True}),
    "qwen3": ("Qwen3Config", {"head_dim": 6}),
    "hunyuan": ("HunYuanDenseV1Config", {"head_dim": 4, "rope_scaling": ALPHA}),
}
FROZEN_SIZES = {
    "vocab_size": 11,
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "max_position_embeddings": 16,
    "rms_norm_eps": 1e-5,
    "rope_theta": 100.0,
}
FROZEN_TOKENS = [3, 1, 4, 1, 5, 9, 2, 6]


@torch.no_grad()
def print_frozen() -> None:
    """Element i of the k-th tensor by name is ((7919 i + 10007 k) mod 1009) / 1009 - 1/2 times 1.2, in norms 1 + 0.4
    times it."""
    print(f"transformers {transformers.__version__}: logits behind tokens {FROZEN_TOKENS}")
    for name, (kind, options) in FROZEN.items():
        config = getattr(transformers, kind)(**{**FROZEN_SIZES, **options})
        model = transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()
        for k, (parameter_name, parameter) in enumerate(sorted(model.named_parameters())):
            i = torch.arange(parameter.numel(), dtype=torch.float64)
            x = ((7919 * i + 10007 * k) % 1009) / 1009 - 0.5
            x = 1 + 0.4 * x if "norm" in parameter_name else 1.2 * x
            parameter.copy_(x.reshape(parameter.shape))
        logits = model(torch.tensor([FROZEN_TOKENS])).logits[0, -1].tolist()
        print(f"{name}: {{{', '.join(f'{value:.6f}' for value in logits)}}}")


def train_tokenizer(path: Path) -> tokenizers.Tokenizer:
    tokenizer = tokenizers.Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(TEXT, trainer)
    tokenizer.save(str(path))
    return tokenizer


@torch.no_grad()
def make_model(kind: str, arguments: dict, vocabulary: int, seed: int):
    torch.manual_seed(seed)
    config = getattr(transformers, kind)(**{**SMALL, "vocab_size": vocabulary, **arguments})
    model = transformers.AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():  # norms that are not 1, biases that are not 0
        if "norm" in name:
            parameter.copy_(1 + 0.3 * torch.randn_like(parameter))
        elif name.endswith(".bias"):
            parameter.copy_(0.3 * torch.randn_like(parameter))
    return model.eval()


def save(model, folder: Path, tokenizer: Path, dtype: str, shards: bool) -> None:
    model.to(getattr(torch, dtype)).save_pretrained(folder, max_shard_size="100KB" if shards else "5GB")
    shutil.copy(tokenizer, folder / "tokenizer.json")
    stored = sorted(path.name for path in folder.glob("*.safetensors"))
    if shards != (len(stored) > 1):
        raise RuntimeError(f"{folder}: expected {'shards' if shards else 'one file'}, got {stored}.")

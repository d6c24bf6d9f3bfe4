"""Small tokenizer.json files: the layouts of known families, and random ones of every kind and option."""

import json
import random
from dataclasses import dataclass, field

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|" + TAIL
QWEN2 = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|" + TAIL
CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|"
          r"\s+(?!\S)|\s+")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?|"
         r"\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
PATTERNS = [
    GPT2, LLAMA3, QWEN2, CL100K, O200K, r"\p{N}{1,3}", r"\d+", r"\d", r"\s", r"\s+", r"\w+", r"\w+|[^\w\s]+", r"[\w&&[^\d]]+",
    r"[a-c[0-9]]+", r"\h+", r"^\w+", r"\w+$", r"(?m)a.+", r".+", r"\p{N}{1,2}+", r"(?<=a+|bc)x", r"(?=[A-Z])", r"\d*", "",
    r"\R", r"\X", r"\b", r"\p{Letter}+", r"\p{Han}+", r"[[:punct:]]", r"[[:alpha:]]+", r"(?i)ab|st", r"(?<!a)b", r"(a)\1",
    r" ?[^(\s|[.,!?])]+", r"[^\S\n]+", r"\p{Lu}\p{Ll}+", r"[\p{L}\p{M}]+", r"\p{P}", r"x*?b", r"a{,2}b", r"[a-z]{2}?",
    r"[\p{Han}\p{N}]+|[\p{L}&&[^\p{Han}]]+", r"(?>a+|b)", r"\W", r"[^\w\s]", r"'(?i:[sdmt]|ll)", r"\p{Sc}?\d", r"\u2581",
]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}


@dataclass
class Case:
    name: str
    file: dict
    words: list[str] = field(default_factory=list)  # to put into texts


def byte_level(add_prefix_space: bool = False, use_regex: bool = True) -> dict:
    return {**BYTE_LEVEL, "add_prefix_space": add_prefix_space, "use_regex": use_regex}


def split(pattern: str, behavior: str = "Isolated", invert: bool = False, text: bool = False) -> dict:
    return {"type": "Split", "pattern": {"String" if text else "Regex": pattern}, "behavior": behavior, "invert": invert}


def sequence(*steps: dict) -> dict:
    return {"type": "Sequence", "pretokenizers": list(steps)}


def metaspace(scheme: str = "always", cut: bool = True) -> dict:
    return {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": scheme, "split": cut}


def template(bos: str | None, eos: str | None, ids: dict[str, int]) -> dict:
    token = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    single = ([token(bos)] if bos else []) + [{"Sequence": {"id": "A", "type_id": 0}}] + ([token(eos)] if eos else [])
    pair = single + [{"Sequence": {"id": "B", "type_id": 1}}]
    names = [name for name in (bos, eos) if name]
    return {"type": "TemplateProcessing", "single": single, "pair": pair,
            "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in names}}


def trained(corpus: list[str], size: int, bytes_wanted: bool, pre_tokenizer: dict | None = None, first: tuple = (),
            normalizer: dict | None = None) -> dict:
    """`model` of a small BPE: its merges join whatever the pre-tokenizer leaves side by side."""
    tokenizer = Tokenizer(models.BPE())
    if normalizer or pre_tokenizer:
        parts = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [], "normalizer": normalizer,
                 "pre_tokenizer": pre_tokenizer, "post_processor": None, "decoder": None,
                 "model": {"type": "BPE", "vocab": {}, "merges": []}}
        tokenizer = Tokenizer.from_str(json.dumps(parts))
    elif bytes_wanted:
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet()) if bytes_wanted else []
    trainer = trainers.BpeTrainer(vocab_size=size, initial_alphabet=alphabet, special_tokens=list(first), show_progress=False,
                                  min_frequency=2, max_token_length=8, limit_alphabet=300)
    tokenizer.train_from_iterator([line for line in corpus if len(line) < 400], trainer)
    return json.loads(tokenizer.to_str())["model"]


def file_of(model: dict, pre_tokenizer: dict | None, added: list[dict] = (), **parts) -> dict:
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": list(added),
            "normalizer": parts.get("normalizer"), "pre_tokenizer": pre_tokenizer,
            "post_processor": parts.get("post_processor"), "decoder": parts.get("decoder"), "model": model}


def added_token(number: int, content: str, special: bool = True, **flags) -> dict:
    return {"id": number, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
            "special": special, **flags}


def families(corpus: list[str]) -> list[Case]:
    """Published settings of known tokenizers, as facts, around small vocabularies."""
    cases = []

    def byte_family(name, pre_tokenizer, specials, normalizer=None, frame=(None, None), model_options=(), holes=0):
        model = trained(corpus, 700, True, pre_tokenizer, normalizer=normalizer)
        model.update(model_options)
        start = len(model["vocab"]) + holes
        ids = {content: start + i for i, content in enumerate(specials)}
        added = [added_token(ids[content], content) for content in specials]
        post = template(*frame, ids) if any(frame) else byte_level(True)
        cases.append(Case(name, file_of(model, pre_tokenizer, added, normalizer=normalizer, post_processor=post,
                                        decoder=byte_level(True)), list(specials)))

    nfc = {"type": "NFC"}
    byte_family("GPT-2", byte_level(), ["<|endoftext|>"])
    byte_family("GPT-NeoX, OLMo 1", byte_level(), ["<|endoftext|>", "<|padding|>", "   ", "  "], nfc)
    byte_family("OLMo 2", sequence(split(LLAMA3), byte_level(use_regex=False)), ["<|endoftext|>", "<|im_start|>"])
    byte_family("Llama 3", sequence(split(LLAMA3), byte_level(use_regex=False)),
                ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"], frame=("<|begin_of_text|>", None),
                model_options={"ignore_merges": True})
    byte_family("Qwen 2, Qwen 3", sequence(split(QWEN2), byte_level(use_regex=False)),
                ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], nfc)
    byte_family("SmolLM2", sequence({"type": "Digits", "individual_digits": True}, byte_level()),
                ["<|endoftext|>", "<|im_start|>"])
    byte_family("cl100k", sequence(split(CL100K, "Removed", True), byte_level(use_regex=False)), ["<|endoftext|>"], holes=1)
    byte_family("o200k", sequence(split(O200K, "Removed", True), byte_level(use_regex=False)), ["<|endoftext|>"], holes=18)
    byte_family("Mistral (tekken)", sequence(split(O200K.replace(CONTRACTIONS + "?", "")), byte_level(use_regex=False)),
                ["<s>", "</s>", "[INST]"], frame=("<s>", None), model_options={"ignore_merges": True})
    byte_family("DeepSeek", sequence(split(r"\p{N}{1,3}"), split("[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+"),
                                     split(r"[!\"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|"
                                           r" ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"), byte_level(use_regex=False)),
                ["<begin>", "<end>"], frame=("<begin>", None))
    byte_family("BLOOM", sequence(split(" ?[^(\\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+"), byte_level(use_regex=False)),
                ["<s>", "</s>"])
    byte_family("Falcon", sequence({"type": "Punctuation", "behavior": "Contiguous"}, byte_level(), {"type": "Digits",
                "individual_digits": False}, split("[0-9][0-9][0-9]")), ["<|endoftext|>"])
    for name, normalizer, pre_tokenizer, decoder_space in [
            ("Llama 2, TinyLlama", {"type": "Sequence", "normalizers": [
                {"type": "Prepend", "prepend": "\u2581"},
                {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}]}, None, True),
            ("Mistral 0.1 (Metaspace)", None, metaspace("first", False), True),
            ("Gemma", {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
             split(" ", "MergedWithPrevious", text=True), False)]:
        first = ("<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256)))
        model = trained(corpus, 1200, False, metaspace("always", False), first)
        model.update(byte_fallback=True, fuse_unk=True, unk_token="<unk>")
        steps = [{"type": "Replace", "pattern": {"String": "\u2581"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
        if decoder_space:
            steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
        added = [added_token(i, content) for i, content in enumerate(("<unk>", "<s>", "</s>"))]
        cases.append(Case(name, file_of(model, pre_tokenizer, added, normalizer=normalizer,
                                        post_processor=template("<s>", None, {"<s>": 1}),
                                        decoder={"type": "Sequence", "decoders": steps}), ["<s>", "</s>", "<0x41>"]))
    return cases


class RandomFiles:
    """Random combinations; the same for the same seed."""

    def __init__(self, seed: int, corpus: list[str]):
        self.rng = random.Random(seed)
        self.models = {wanted: [trained(self.rng.sample(corpus, 120), size, wanted) for size in (330, 420, 600)]
                       for wanted in (True, False)}

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def normalizer(self, depth: int = 0) -> dict | None:
        pick = self.rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "Strip", "Replace", "ReplaceRegex",
                                "Prepend", "Sequence" if depth == 0 else "NFC", "Nmt"])
        if pick == "Strip":
            return {"type": "Strip", "strip_left": self.chance(0.5), "strip_right": self.chance(0.5)}
        if pick == "Replace":
            return {"type": "Replace", "pattern": {"String": self.rng.choice([" ", "a", "ab", "''", "\n"])},
                    "content": self.rng.choice(["\u2581", "", "b", "  "])}
        if pick == "ReplaceRegex":
            return {"type": "Replace", "pattern": {"Regex": self.rng.choice([r" {2,}", r"\s", r"\d+", r"[aeiou]", r"^\s+"])},
                    "content": self.rng.choice([" ", "", "x"])}
        if pick == "Prepend":
            return {"type": "Prepend", "prepend": self.rng.choice(["\u2581", " ", "x"])}
        if pick == "Sequence":
            return {"type": "Sequence", "normalizers": [self.normalizer(1) for _ in range(self.rng.randint(0, 3))]}
        return {"type": pick}

    def step(self) -> dict:
        pick = self.rng.choice(["Split"] * 6 + ["SplitText"] * 2 + ["Digits", "Punctuation", "Metaspace", "Whitespace",
                                "WhitespaceSplit", "CharDelimiterSplit", "BertPreTokenizer", "FixedLength", "Sequence",
                                "UnicodeScripts"])
        behavior, invert = self.rng.choice(BEHAVIORS), self.chance(0.3)
        if pick == "Split":
            return split(self.rng.choice(PATTERNS), behavior, invert)
        if pick == "SplitText":
            return split(self.rng.choice([" ", "a", "--", "'", "\n", "", ".", "\u00e9"]), behavior, invert, text=True)
        return {"Digits": {"type": pick, "individual_digits": self.chance(0.5)}, "Punctuation": {"type": pick, "behavior": behavior},
                "Metaspace": {"type": "Metaspace", "replacement": self.rng.choice(["\u2581", "\u2581", "_"]), "split": self.chance(0.6),
                              "prepend_scheme": self.rng.choice(["always", "never", "first"])},
                "CharDelimiterSplit": {"type": pick, "delimiter": self.rng.choice([" ", "a", "\u00e9"])},
                "FixedLength": {"type": pick, "length": self.rng.randint(1, 4)},
                "Sequence": {"type": pick, "pretokenizers": [split(r"\s+", behavior)] if invert else []}}.get(pick, {"type": pick})

    def added(self, start: int, vocab: dict) -> list[dict]:
        contents = self.rng.sample(["<s>", "</s>", "<|x|>", "abc", "cde", "ab", " a", "  ", "caf\u00e9", "A", "the", "12", "\n\n", "'s",
                                    "[A]", "de", "\u00e9", "HELLO", "hello", "\u2581a", "-", "<0x41>"], self.rng.randint(0, 6))
        tokens = []
        for content in contents:
            number = vocab.get(content, start)
            start += number == start
            tokens.append(added_token(number, content, special=self.chance(0.5), single_word=self.chance(0.2),
                                      lstrip=self.chance(0.2), rstrip=self.chance(0.2), normalized=self.chance(0.5)))
        return tokens

    def case(self, number: int) -> Case:
        use_bytes = self.chance(0.65)
        model = json.loads(json.dumps(self.rng.choice(self.models[use_bytes])))
        steps = [self.step() for _ in range(self.rng.choice([0, 1, 1, 1, 2, 2, 3]))]
        if use_bytes:
            steps.append(byte_level(self.chance(0.25), self.chance(0.5)))
            if self.chance(0.1):
                self.rng.shuffle(steps)
        vocab = model["vocab"]
        if self.chance(0.3):
            model["ignore_merges"] = True
        if self.chance(0.2):  # an alphabet that lacks some bytes
            self.drop_some(model)
        if not use_bytes and self.chance(0.5):
            for byte in range(256):
                if self.chance(0.95):
                    vocab.setdefault(f"<0x{byte:02X}>", max(vocab.values()) + 1)
            model["byte_fallback"] = True
        if self.chance(0.5):
            vocab.setdefault("<unk>", max(vocab.values()) + 1)
            model.update(unk_token="<unk>", fuse_unk=self.chance(0.5))
        holes = len(vocab) <= max(vocab.values())
        added = self.added(max(vocab.values()) + (self.rng.choice([1, 4]) if holes else 1), vocab)
        names = {token["content"]: token["id"] for token in added}
        post = None
        if names and not holes and self.chance(0.4):  # new tokens get other ids there behind holes
            post = template(self.rng.choice([None, *names]), self.rng.choice([None, *names]), names)
        if self.chance(0.2):
            post = {"type": "Sequence", "processors": [byte_level(), *([post] if post else [])]}
        pre_tokenizer = None if not steps else steps[0] if len(steps) == 1 and self.chance(0.5) else sequence(*steps)
        decoder = byte_level() if use_bytes else self.rng.choice([None, metaspace(), {"type": "Fuse"}, {"type": "ByteFallback"}])
        normalizer = self.normalizer() if self.chance(0.45) else None
        return Case(f"random {number}", file_of(model, pre_tokenizer, added, normalizer=normalizer, post_processor=post,
                                                decoder=decoder), list(names))

    def drop_some(self, model: dict) -> None:
        used = {half for merge in model["merges"] for half in (*merge, "".join(merge))}
        for token in self.rng.sample([token for token in model["vocab"] if token not in used], 5):
            del model["vocab"][token]

"""The small cases of tests/tokenize/reference_cases.jsonl by Hugging Face `tokenizers`.

    python reference/tokenizer_cases.py           compares what the file expects; status 1 on a difference
    python reference/tokenizer_cases.py --write   writes what the library gives into it

A case is a small tokenizer.json, changed by a JSON merge patch (RFC 7396), and texts: each with its
ids, the text of these ids, and the ids with the post-processor's tokens where those are others. Added
tokens stand as [content, flags], of w (single_word), l (lstrip), r (rstrip), n (normalized), s (special).
"""

import argparse
import json
import sys
from pathlib import Path

from tokenizers import Tokenizer, __version__

CASES = Path(__file__).parents[1] / "tests/tokenize/reference_cases.jsonl"
FLAGS = {"w": "single_word", "l": "lstrip", "r": "rstrip", "n": "normalized", "s": "special"}
BYTE_LEVEL = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
CHARACTERS = ["<unk>", "<s>", "</s>", "\u2581", "a", "b", "c", "d", "\u00e9", "ab", "\u2581a", "\u2581ab",
              "<0xE4>", "<0xB8>", "<0x96>"]


def byte_alphabet():
    """The character that stands for each byte in a byte-level vocabulary."""
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {byte: chr(byte) for byte in plain} | {byte: chr(256 + i) for i, byte in enumerate(others)}


def base(name):
    """The tokenizer.json that a case starts from."""
    if name == "bytes":
        vocab = {character: byte for byte, character in byte_alphabet().items()}
        vocab |= {"ab": 256, "abc": 257, "<|endoftext|>": 258}
        parts = {"added_tokens": [["<|endoftext|>", "s"]], "pre_tokenizer": BYTE_LEVEL, "decoder": BYTE_LEVEL}
        merges = ["a b", "ab c"]
    else:
        vocab = {token: i for i, token in enumerate(CHARACTERS)}
        parts = {"added_tokens": [], "pre_tokenizer": None, "decoder": None}
        merges = ["a b", "\u2581 a", "\u2581 ab", "\u2581a b"]
    return {"version": "1.0", "normalizer": None, "post_processor": None,
            "model": {"type": "BPE", "vocab": vocab, "merges": merges}} | parts


def merge_patch(target, patch):
    """RFC 7396: objects within each other are merged, null takes a key away."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge_patch(result.get(key), value)
    return result


def load(case):
    """The case's tokenizer in the library."""
    definition = merge_patch(base(case["base"]), case["patch"])
    definition["added_tokens"] = [
        {"id": i, "content": content} | {flag: letter in letters for letter, flag in FLAGS.items()}
        for i, (content, letters) in enumerate(definition["added_tokens"])]
    for processor in processors(definition.get("post_processor")):
        if "single" in processor:  # what a text and its pair become plays no part here
            processor.setdefault("pair", [*processor["single"], {"Sequence": {"id": "B", "type_id": 1}}])
    return Tokenizer.from_str(json.dumps(definition))


def processors(part):
    """The post-processors of a Sequence, or the one there is."""
    return [] if part is None else part.get("processors", [part])


def expected_of(tokenizer, text):
    """A text with what the library makes of it."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    framed = tokenizer.encode(text).ids
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    return [text, ids, decoded] + ([framed] if framed != ids else [])


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", help="write the library's values into the file")
    write = parser.parse_args().write
    cases = [json.loads(line) for line in CASES.read_text().splitlines()]
    texts = different = 0
    for case in cases:
        tokenizer = load(case)
        rows = [expected_of(tokenizer, row[0]) for row in case["texts"]]
        for row, now in zip(case["texts"], rows):
            texts += 1
            if row != now:
                different += 1
                print(f"{case['about']}: the file has {json.dumps(row)}, the library gives {json.dumps(now)}")
        case["texts"] = rows
    if write:
        CASES.write_text("".join(json.dumps(case, separators=(",", ":")) + "\n" for case in cases))
    print(f"tokenizers {__version__}: {texts} texts of {len(cases)} cases, {different} of them different")
    sys.exit(0 if write or different == 0 else 1)


if __name__ == "__main__":
    main()

"""Broken safetensors files, made byte by byte: what the format's own package takes, and what we do.

The program must take every file that the package takes and refuse every one that it refuses, but
for those listed in STRICTER with their reason.
"""

import argparse
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile

import numpy
import safetensors
import safetensors.numpy

ON_PURPOSE = {
    "leading space": "the format: a header begins with its brace",
    "metadata key twice": "the format: keys stand once",
    "tensor twice": "the format: keys stand once",
    "tensor as list": "the format: an object",
    "float8": "LibTorch 1.13 has no such type",
    "bool of 2": "LibTorch has no bool of 2",
    "name with half a pair": "a name like any other, as it is spelt; no model has it",
}


def header_of(names):
    entry = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
    return json.dumps({name: entry for name in names}).encode()


def cases():
    """name: (header, bytes of data); the tensor "a" is two fp32 where it is whole."""
    good = header_of(["a"])
    entry = good[len(b'{"a": ') : -1]
    other = entry.replace(b"[0, 8]", b"[8, 16]")

    def entry_of(dtype, shape, begin, end):
        offsets = f'"data_offsets": [{begin}, {end}]'
        return f'{{"dtype": "{dtype}", "shape": {shape}, {offsets}}}'.encode()

    yield "whole", good, 8
    yield "spaces behind", good + b"   ", 8
    yield "newline behind", good + b"\n\t", 8
    yield "NUL behind", good + b"\0\0", 8
    yield "text behind", good + b" x", 8
    yield "leading space", b" " + good, 8
    yield "byte order mark", b"\xef\xbb\xbf" + good, 8
    yield "metadata null", b'{"__metadata__": null, ' + good[1:], 8
    yield "metadata empty", b'{"__metadata__": {}, ' + good[1:], 8
    yield "metadata of a number", b'{"__metadata__": {"x": 1}, ' + good[1:], 8
    yield "metadata of null", b'{"__metadata__": {"x": null}, ' + good[1:], 8
    yield "metadata list", b'{"__metadata__": [], ' + good[1:], 8
    yield "metadata twice", b'{"__metadata__": {}, "__metadata__": {}, ' + good[1:], 8
    yield "metadata key twice", b'{"__metadata__": {"x": "1", "x": "2"}, ' + good[1:], 8
    yield "tensor twice", b'{"a": ' + entry + b', "a": ' + entry + b"}", 8
    yield "tensor twice elsewhere", b'{"a": ' + entry + b', "a": ' + other + b"}", 16
    yield "dtype twice", good.replace(b'"dtype"', b'"dtype": "F32", "dtype"'), 8
    yield "another field", good.replace(b'"dtype"', b'"more": 1, "dtype"'), 8
    yield "NaN in another field", good.replace(b'"dtype"', b'"more": NaN, "dtype"'), 8
    yield "tensor as list", b'{"a": ["F32", [2], [0, 8]]}', 8
    yield "hole at the start", b'{"a": ' + entry_of("F32", [2], 4, 12) + b"}", 12
    yield "hole", good[:-1] + b', "b": ' + entry_of("F32", [1], 12, 16) + b"}", 16
    yield "overlap", good[:-1] + b', "b": ' + entry_of("F32", [1], 4, 8) + b"}", 8
    yield "same bytes", good[:-1] + b', "b": ' + entry + b"}", 8
    yield "rest", good, 9
    yield "short", good, 7
    yield "offsets turned", good.replace(b"[0, 8]", b"[8, 0]"), 8
    yield "three offsets", good.replace(b"[0, 8]", b"[0, 8, 8]"), 8
    yield "shape of a float", good.replace(b"[2]", b"[2.0]"), 8
    yield "shape below 0", good.replace(b"[2]", b"[-2]"), 8
    yield "shape null", good.replace(b"[2]", b"null"), 8
    yield "scalar", b'{"a": ' + entry_of("F64", [], 0, 8) + b"}", 8
    yield "empty tensor", good[:-1] + b', "b": ' + entry_of("F32", [0], 8, 8) + b"}", 8
    yield "empty tensor within", good[:-1] + b', "b": ' + entry_of("F32", [0], 4, 4) + b"}", 8
    yield "unknown dtype", good.replace(b"F32", b"F3"), 8
    yield "dtype in lower case", good.replace(b"F32", b"f32"), 8
    yield "float8", b'{"a": ' + entry_of("F8_E4M3", [8], 0, 8) + b"}", 8
    yield "bool of 2", b'{"a": ' + entry_of("BOOL", [8], 0, 8) + b"}", -8
    yield "name without letters", header_of([""]), 8
    yield "name with half a pair", good.replace(b'"a"', b'"\\ud800"'), 8
    yield "no tensors", b"{}", 0
    yield "no header", b"", 0
    yield "list", b"[]", 0
    yield "overflow", good.replace(b"[2]", b"[9223372036854775807, 9]"), 8


def taken_by_package(path):
    try:
        with safetensors.safe_open(path, "np") as file:
            list(file.keys())
        return True
    except Exception:  # whichever the package raises
        return False


def taken_by_us(program, model, path):
    """Whether the reader took it; what a model lacks in it is another matter."""
    shutil.copy(path, os.path.join(model, "model.safetensors"))
    done = subprocess.run(
        [program, "generate", model, "--prompt", "a", "--max-tokens", "1"],
        capture_output=True,
        text=True,
    )
    return "Write the file anew" not in done.stderr and "known dtype" not in done.stderr


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--program", default="build/release/loopbank")
    parser.add_argument("--model", default="", help="a model directory (a config of its own)")
    options = parser.parse_args()
    wrong = []
    print(f"safetensors {safetensors.__version__}, numpy {numpy.__version__}")
    print("| file | the package | loopbank | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        model = os.path.join(folder, "model")
        os.makedirs(model)
        write_model(model)
        for name, header, size in cases():
            path = os.path.join(folder, "a.safetensors")
            with open(path, "wb") as file:
                data = b"\2" * -size if size < 0 else b"\0" * size
                file.write(struct.pack("<Q", len(header)) + header + data)
            theirs, ours = taken_by_package(path), taken_by_us(options.program, model, path)
            reason = ON_PURPOSE.get(name, "")
            print(f"| {name} | {'taken' if theirs else 'refused'} | "
                  f"{'taken' if ours else 'refused'} | {reason} |")
            if ours != theirs and not reason:
                wrong.append(name)
    if wrong:
        sys.exit(f"safetensors: taken and refused otherwise than by the package: {wrong}")


def write_model(folder):
    """The rest of a model directory; the tensors never fit it, which is not asked here."""
    config = {"model_type": "loopbank", "vocab_size": 257, "hidden_size": 8,
              "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1}
    with open(os.path.join(folder, "config.json"), "w", encoding="utf-8") as file:
        json.dump(config, file)
    subprocess.run(
        ["build/release/loopbank", "data", "train-tokenizer", "README.md", "--vocab-size", "257",
         "--out", os.path.join(folder, "tokenizer.json")],
        capture_output=True, check=True)


if __name__ == "__main__":
    main()

"""Texts that tokenizers disagree about: scripts, code, white space, marks, emoji, all written from Unicode's tables."""

import random
import unicodedata

# Characters of Unicode 15.0, 15.1 and 16.0: letters, digits, marks, signs. Python's own tables may be older.
NEWER = [0x31350, 0x323AF, 0x2EBF0, 0x2EE5D, 0x1E4D0, 0x1E4F0, 0x11F04, 0x11F50, 0x1C89, 0xA7CB, 0x10D40, 0x1FAE8,
         0x1E5D0, 0x16D40, 0x16D70, 0x11240, 0x1CC00, 0x1F6DC, 0x0CF3, 0x0897, 0x11B00, 0x13460]
CODE = [
    "def f(x, *args):\n\treturn x**2 if x>=0 else -x  # caf\u00e9\n",
    "for (int i=0;i<n;++i){ a[i] += b[i]*0x1F; }\r\n",
    "SELECT * FROM t WHERE a='it''s' AND b<>3.14e-10;",
    "<div class=\"x\">&nbsp;<br/></div>\n\n\n<!-- -->",
    "    if err != nil {\n        return fmt.Errorf(\"%w\", err)\n    }\n",
    "let s = `${a}_${b}`; // => \"a_b\" \\n \\t \\\\",
    "HTTPServer2XMLParser fooBarBaz snake_case_name kebab-case CONSTANT_1",
]
BLANKS = [" ", "  ", "   ", "\t", "\n", "\n\n", "\r\n", "\r", " \n", "\n ", "\u00a0", "\u3000", "\u2003\u2003", "\u0085",
          "\u180e", "\ufeff", "\u2028", "\u2029", "\u200b", "\u202f", "\x0b\x0c", "\x1c", "\u1680", "\u205f", "\u2581"]
MARKS = ["e\u0301", "n\u0303a", "\u0915\u094d\u0937", "\u0e01\u0e33", "a\u0308\u0301\u0323", "\u1100\u1161\u11a8", "\u0130I\u0131i",
         "\u1e9eSS\u00df", "\ufb01\ufb03\ufb06", "\u00c5\u212b", "\u0958", "\u03a3\u03c3\u03c2 \u039f\u03a3", "\u01c4\u01c5\u01c6", "\u1f88\u1fb3",
         "\u2126\u03a9", "\uac00", "\u00bd\u00b2\u2460\u2167\u0663\u096b\u4e09", "\u017ft's\u212aK", "\ufdfa", "\u0345\u0300"]
SIGNS = ["\u2026\u2014\u201cx\u201d\u2018y\u2019\u00ab\u00bb", "!?#$%&*()_+-=[]{}|;:,./<>~`^@\\\"'", "\u00d7\u00f7\u2211\u221e\u20ac\u00a3\u2122", "\u3001\u3002\u300c\u300d\uff01",
         "a,,b..c--d__e", "\u061f\u060c\u061d\u2e43\u166d\u111c9", "''''s 'S 'LL 'Re 'M'D'T 'VE don't CAN'T we\u2019ll", "x\u203fy\u2040z", "\u00ad\u200c\u200d\u2060"]
EMOJI = ["\U0001f600\U0001f680", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f44d\U0001f3fd", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "1\ufe0f\u20e3",
         "\U0001f3f4\U000e0067\U000e0062\U000e007f", "\u202eabc\u202c \u2066x\u2069", "\ufffd\ufffe\U0010ffff\ue000", "\x00a\x01\x7f"]
WORDS = ["the quick brown fox jumps over the lazy dog", "It's 2024-05-17, 12:30; 1,234,567.89 or 3/4?", "Stra\u00dfe na\u00efve r\u00e9sum\u00e9 \u0141\u00f3d\u017a",
         "aaaaaaaa bbb aab abab", "1234567890 12 345 6 7,8", "ab_cd-ef gh ij.kl", "Hello World hello world HELLO", " leading and trailing "]


def scripts() -> dict[str, list[str]]:
    """Letters and marks by the first word of their names, which tells the script."""
    found: dict[str, list[str]] = {}
    for point in range(0x80, 0x30000):
        name = unicodedata.name(chr(point), "")
        if name and unicodedata.category(chr(point))[0] in "LMN":
            found.setdefault(name.split()[0].split("-")[0], []).append(chr(point))
    return {script: letters for script, letters in found.items() if len(letters) >= 8}


def texts(seed: int, per_script: int = 1) -> list[str]:
    """The corpus, in an order of its own; the same for the same seed."""
    rng = random.Random(seed)
    lines = CODE + BLANKS + MARKS + SIGNS + EMOJI + WORDS + ["", "a"]
    for letters in scripts().values():
        for _ in range(per_script):
            words = ["".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(rng.randint(1, 4))]
            lines.append(rng.choice(BLANKS).join(words))
    lines.append(" ".join(chr(point) for point in NEWER))
    lines.append("".join(chr(point) + "a1" for point in NEWER))
    pieces = CODE + BLANKS * 3 + MARKS + SIGNS + EMOJI + WORDS
    for _ in range(60):
        lines.append("".join(rng.choices(pieces, k=rng.randint(2, 5))))
    return lines


def random_texts(rng: random.Random, count: int, more: list[str]) -> list[str]:
    """Short texts of pieces, among them those of the caller, such as added tokens."""
    pieces = BLANKS + MARKS + SIGNS + EMOJI + WORDS + CODE + list("abcde AB12,.'-_\n") * 3 + more * 6
    return ["".join(rng.choices(pieces, k=rng.randint(1, 6))) for _ in range(count)]

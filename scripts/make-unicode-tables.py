#!/usr/bin/env python3
"""Writes src/base/unicode_table.c from Python's own Unicode data, which must be version 14.0.0 (CPython 3.11).

    scripts/make-unicode-tables.py > src/base/unicode_table.c

What Python does not tell directly (Cased, Case_Ignorable) is asked of str.lower: how a final sigma is lower-cased gives
the properties away. Simple upper case is str.upper where that gives one character; where it gives several (U+00DF),
the title case if that is one character (U+1FB3), else the character itself, as UnicodeData.txt has it.
"""
import re
import sys
import unicodedata

LAST = 0x10FFFF
WORD, SPACE, CASED, IGNORABLE, NO_DIGIT = 0x10, 0x20, 0x40, 0x80, 0x0F
SIGMA, FINAL = "\u03a3", "\u03c2"


def final(before):
    return (before + SIGMA).lower().endswith(FINAL)


def properties(char):
    category = unicodedata.category(char)
    digit = unicodedata.decimal(char, None)
    word = char == "_" or category[0] in "LN"
    assert (digit is not None) == (category == "Nd") == (re.match(r"\d", char) is not None), hex(ord(char))
    assert word == (re.match(r"\w", char) is not None), hex(ord(char))
    value = NO_DIGIT if digit is None else int(char)
    assert digit is None or digit == value
    if word:
        value |= WORD
    if re.match(r"\s", char):
        value |= SPACE
    # A character that is both is skipped by the rule of the final sigma, so that only its Case_Ignorable counts.
    if final(char):
        value |= CASED
    elif final("A" + char):
        value |= IGNORABLE
    return value


def simple_lower(char):
    if char == "\u0130":
        return "i"  # str.lower gives "i" and U+0307
    lower = char.lower()
    assert len(lower) == 1
    return lower


def simple_upper(char):
    upper, title = char.upper(), char.title()
    return upper if len(upper) == 1 else title if len(title) == 1 else char


def two_stages(values):
    """The blocks and the index of blocks that take the least room together: (shift, blocks, index)."""
    best = None
    for shift in range(5, 10):
        size = 1 << shift
        blocks, index = {}, []
        for start in range(0, len(values), size):
            index.append(blocks.setdefault(tuple(values[start : start + size]), len(blocks)))
        bytes_used = len(index) * (1 if len(blocks) <= 256 else 2) + len(blocks) * size
        if len(blocks) <= 256 and (best is None or bytes_used < best[0]):
            best = bytes_used, shift, [value for block in blocks for value in block], index
    return best[1:]


def array(kind, name, values):
    print(f"\nconst {kind} {name}[{len(values)}] = {{")
    line = ""
    for value in values:
        item = f"{value},"
        if len(line) + len(item) > 120:
            print(line)
            line = ""
        line += item
    print(line + "\n};")


def tables(name, values):
    shift, blocks, index = two_stages(values)
    array("uint8_t", f"gm_unicode_{name}_index", index)
    array("uint8_t", f"gm_unicode_{name}_blocks", blocks)
    return shift, len(index), len(blocks)


def main():
    assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version
    chars = [chr(c) for c in range(LAST + 1)]
    space = {c for c in range(LAST + 1) if re.match(r"\s", chr(c))}
    assert space == {*range(9, 14), *range(0x1C, 0x21), 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029,
                     0x202F, 0x205F, 0x3000}
    cases = {(0, 0): 0}
    case_of = []
    for char in chars:
        # str.title of a lone surrogate is itself, as are all its mappings.
        deltas = ord(simple_lower(char)) - ord(char), ord(simple_upper(char)) - ord(char)
        case_of.append(cases.setdefault(deltas, len(cases)))
    assert len(cases) <= 256
    print("/* Made by scripts/make-unicode-tables.py from Unicode 14.0.0. Do not edit. */\n"
          '#include "base/unicode_table.h"\n\n/* clang-format off */')
    sizes = [tables("property", [properties(char) for char in chars]), tables("case", case_of)]
    print(f"\nconst struct gm_unicode_case gm_unicode_cases[{len(cases)}] = {{")
    for lower, upper in cases:
        print(f"\t{{{lower}, {upper}}},")
    print("};")
    print(sizes, len(cases), file=sys.stderr)


if __name__ == "__main__":
    main()

"""Scripts: full-width signs as ASCII, and letters of which a number is no part although they touch it."""

from __future__ import annotations

import re

_WIDE = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)} | {
    0x3000: " ", ord("，"): ", ", ord("；"): "; ", ord("。"): ". ", ord("．"): ".", ord("、"): ", ", ord("："): ": ",
    ord("【"): "[", ord("】"): "]", ord("〔"): "(", ord("〕"): ")", ord("−"): "-", ord("﹣"): "-", ord("≒"): "≈",
    ord("「"): "\"", ord("」"): "\"", ord("『"): "\"", ord("』"): "\"",
}  # fmt: skip
# Each pattern begins with the sign that it is about, which `re` skips to; what stands before is looked back at.
_WIDE_GROUPS = re.compile(r"，(?<=[０-９]，)(?=[０-９]{3}(?![０-９]))")
_PARTS = {"½": "1/2", "¼": "1/4", "¾": "3/4", "⅓": "1/3", "⅔": "2/3", "⅛": "1/8", "⅜": "3/8", "⅝": "5/8", "⅞": "7/8"}
_PART = re.compile(r"([½¼¾⅓⅔⅛⅜⅝⅞])(?:(?<![\d.,√^/*({)}A-Za-z].)(?![\w√])|(?<=\d.)(?P<mixed>)(?![\d√^A-Za-z]))")
_DASHES = "–‒‐‑"
_DASH = re.compile(rf"[{_DASHES}](?<![^\s(\[{{=:,$*][{_DASHES}])(?=[$€£]?\d)")

JOINED = r"A-Za-z0-9_\u00c0-\u024f\u0370-\u052f"
"""Of these letters and digits (Latin, Greek, Cyrillic) a number beside them is a part; of all others it is none."""


_ANY = re.compile("[" + re.escape("".join(map(chr, _WIDE))) + "]")
_MANY = " " * 40
_BLANKS = re.compile(r"[ \t][ \t][ \t]+")


def plain(text: str) -> str:
    """Full-width signs as ASCII, and a dash that is a minus sign as one: directly before a digit, behind no letter.

    Long runs of blanks are cut to two, so that no pattern has to go through them from every one of their places.
    """
    if _MANY in text or ("\t" in text and "\t\t\t" in text):
        text = _BLANKS.sub("  ", text)
    if text.isascii():
        return text
    # A lone sign is found many times as fast as a set of them.
    if any(map(text.__contains__, _PARTS)):
        text = _PART.sub(lambda m: _PARTS[m.group(1)] if m["mixed"] is None else " " + _PARTS[m.group(1)], text)
    text = _ANY.sub(lambda m: _WIDE[ord(m.group())], _WIDE_GROUPS.sub(",", text))
    return _DASH.sub("-", text) if any(map(text.__contains__, _DASHES)) else text

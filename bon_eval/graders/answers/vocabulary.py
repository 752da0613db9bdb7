"""The words of answers: Unicode signs as LaTeX, aliases of commands, style commands, functions, units."""

from __future__ import annotations

UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "×": r"\times ", "·": r"\cdot ", "⋅": r"\cdot ", "÷": r"\div ",
    "π": r"\pi ", "θ": r"\theta ", "α": r"\alpha ", "β": r"\beta ", "γ": r"\gamma ", "λ": r"\lambda ", "ω": r"\omega ",
    "φ": r"\phi ", "μ": r"\mu ", "σ": r"\sigma ", "δ": r"\delta ", "ε": r"\epsilon ", "√": r"\sqrt ",
    "∞": r"\infty ", "≤": r"\le ", "≥": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "∪": r"\cup ", "∩": r"\cap ",
    "∈": r"\in ", "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ", "²": "^2", "³": "^3", "¹": "^1", "⁴": "^4", "⁵": "^5",
    "⁰": "^0", "⁶": "^6", "⁷": "^7", "⁸": "^8", "⁹": "^9", "½": r"\frac{1}{2}", "¼": r"\frac{1}{4}",
    "¾": r"\frac{3}{4}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "ℝ": r"\mathbb{R}", "∅": r"\emptyset ", "’": "'",
    "′": "'", "“": '"', "”": '"', "\u00a0": " ", "\u2009": " ", "\u202f": " ", "\u200b": "", "，": ", ",
    "、": ", ", "；": ";", "．": ".", "≡": r"\equiv ", "℃": r"\text{ celsius}",
    "℉": r"\text{ fahrenheit}", "∖": r"\setminus ", "（": "(",
    "）": ")", "：": ":", "。": ".", "％": "%", "∣": "|", "⟨": r"\langle ", "⟩": r"\rangle ",
}  # fmt: skip
ALIASES = {
    "dfrac": "frac", "sfrac": "frac", "nicefrac": "frac", "flatfrac": "frac",
    "smallsetminus": "setminus", "backslash": "setminus",
    "tfrac": "frac", "cfrac": "frac", "dbinom": "binom", "tbinom": "binom", "leq": "le", "geq": "ge",
    "leqslant": "le", "geqslant": "ge", "lt": "<", "gt": ">", "neq": "ne", "colon": ":", "lbrace": "{", "rbrace": "}",
    "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")", "vert": "|", "lvert": "|", "rvert": "|", "mid": "|",
    "ast": "*", "times": "*", "cdot": "*", "bullet": "*", "div": "/", "degree": "circ", "degrees": "circ",
    "thickapprox": "approx", "simeq": "approx", "varnothing": "emptyset", "varphi": "phi", "varepsilon": "epsilon",
    "arctg": "arctan", "tg": "tan", "ctg": "cot", "cosec": "csc", "imath": "i", "percent": "%",
    "land": "and", "lor": "or", "wedge": "and", "vee": "or", "R": "Reals", "reals": "Reals",
}  # fmt: skip
STYLE = {
    "text", "mbox", "textbf", "textit", "textrm", "textnormal", "textsf", "texttt", "mathrm", "mathbf", "mathit",
    "mathsf", "operatorname", "mathcal", "mathfrak", "hbox", "emph", "underline", "textup", "boxed", "fbox", "vec",
    "overrightarrow", "hat", "mathbb", "pmb", "mathtt", "textsc",
}  # fmt: skip
FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "sinh", "cosh", "tanh", "log", "ln",
    "exp", "max", "min", "gcd", "lcm",
}  # fmt: skip
WORD_COMMANDS = FUNCTIONS | {"sqrt", "pi", "infty", "cup", "in", "alpha", "beta", "gamma", "theta", "lambda", "omega"}
WORD_ALIASES = {"infinity": "infty", "inf": "infty", "union": "cup", "oo": "infty"}
UNITS = {
    "cm", "mm", "km", "dm", "nm", "ft", "in", "inch", "inches", "yd", "mi", "mile", "miles", "kg", "mg", "lb", "lbs",
    "oz", "ml", "mL", "hr", "hrs", "h", "min", "mins", "sec", "secs", "ms", "mph", "kph", "mpg", "usd", "USD", "pm",
    "am", "sq", "cubic", "square", "deg", "rad", "radians", "unit", "units", "cents", "cent", "pct", "per", "day",
    "days", "way", "ways", "eggs", "year", "years", "gal", "pts", "hz", "Hz", "ton", "tons", "rpm", "cups", "cup",
    "dollars", "dollar", "people", "each", "total", "percent", "of", "the", "for", "are",
}  # fmt: skip
CHANGES_MEANING = {
    "not", "no", "less", "more", "greater", "fewer", "least", "most", "over", "under", "above", "below", "about",
    "approximately", "almost", "nearly", "except", "between", "minus", "negative", "half", "twice", "double",
    "different", "unlike", "multiple", "divisible",
}  # fmt: skip
"""Words before a value that make it another one."""
GREEK = {
    "alpha", "beta", "gamma", "delta", "epsilon", "zeta", "eta", "theta", "kappa", "lambda", "mu", "nu", "xi", "rho",
    "sigma", "tau", "phi", "chi", "psi", "omega", "Gamma", "Delta", "Theta", "Lambda", "Sigma", "Phi", "Psi", "Omega",
    "ell", "hbar",
}  # fmt: skip
BASES = {
    "two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9",
    "ten": "10", "twelve": "12", "sixteen": "16",
}  # fmt: skip

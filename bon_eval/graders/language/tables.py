"""What is said before an answer, what joins answers, and words that are numbers: one line a language."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Language:
    """How a language announces an answer. Words are separated by spaces, `_` stands for a space within."""

    name: str
    answer: str
    """Nouns for "answer"."""
    states: str
    """What stands between the noun and the answer, beside a colon and an equals sign."""
    joins: str
    """What joins two answers."""
    true: str
    false: str
    because: str
    """What begins a reason."""
    options: str
    """Words for "option", and verbs of choosing one."""
    spaced: bool = True
    """Whether spaces part the words."""


LANGUAGES = (
    Language("German", "antwort lösung", "ist lautet wäre beträgt", "und oder", "wahr richtig", "falsch",
             "weil denn da", "option buchstabe"),
    Language("French", "réponse", "est sera serait", "et ou", "vrai", "faux", "car parce puisque", "option lettre"),
    Language("Spanish", "respuesta", "es será sería son", "y o", "verdadero", "falso", "porque ya_que pues",
             "opción letra"),
    Language("Italian", "risposta", "è sarà sarebbe", "e o", "vero", "falso", "perché poiché", "opzione lettera"),
    Language("Portuguese", "resposta", "é será seria", "e ou", "verdadeiro", "falso", "porque pois",
             "opção letra alternativa"),
    Language("Dutch", "antwoord", "is luidt", "en of", "waar", "onwaar", "omdat want", "optie"),
    Language("Polish", "odpowiedź odpowiedzią", "to brzmi jest", "i lub", "prawda", "fałsz", "ponieważ bo", "opcja"),
    Language("Turkish", "cevap yanıt", "", "ve veya", "doğru", "yanlış", "çünkü", "seçenek"),
    Language("Vietnamese", "đáp_án câu_trả_lời", "là", "và hoặc", "đúng", "sai", "vì", "phương_án"),
    Language("Russian", "ответ ответом", "это является равен — –", "и или", "истина верно", "ложь неверно",
             "потому поскольку так_как", "вариант"),
    Language("Ukrainian", "відповідь", "це — –", "і або", "істина", "хибність", "бо тому_що", "варіант"),
    Language("Indonesian", "jawaban jawabannya", "adalah ialah", "dan atau", "benar", "salah", "karena",
             "opsi pilihan"),
    Language("Swedish", "svar svaret", "är blir", "och eller", "sant", "falskt", "eftersom", "alternativ"),
    Language("Swahili", "jibu", "ni", "", "kweli", "uongo", "kwa_sababu kwani", "chaguo"),
    Language("Yoruba", "ìdáhùn", "ni", "", "", "", "", ""),
    Language("Bengali", "উত্তর", "হল হলো", "এবং বা", "সত্য", "মিথ্যা", "কারণ", "বিকল্প"),
    Language("Telugu", "సమాధానం జవాబు", "", "మరియు లేదా", "నిజం", "తప్పు", "ఎందుకంటే", "ఎంపిక"),
    Language("Thai", "คำตอบ", "คือ", "และ หรือ", "จริง", "เท็จ", "เพราะ", "ตัวเลือก", spaced=False),
    Language("Arabic", "الجواب الإجابة", "هو هي", "و أو", "صحيح", "خطأ", "لأن", "الخيار"),
    Language("Hindi", "उत्तर", "है", "और या", "सत्य", "असत्य", "क्योंकि", "विकल्प"),
    Language("Chinese", "答案 答", "应该是 應該是 应是 就是 是 应为 應為 为 為 等于", "和 或 与 及 以及 或者 、",
             "正确 真 对", "错误 假 错", "因为 因此 所以 由于 其中",
             "选项 故选 应选 所以选 因此选 选择 选 選項 故選 應選 選擇 選", spaced=False),
    Language("Japanese", "答え 答 解答 正解", "は", "と または 、", "真 正しい", "偽", "なぜなら", "選択肢",
             spaced=False),
    Language("Korean", "정답 답변 답", "은 는", "과 와 또는", "참", "거짓", "왜냐하면", "선택지 보기", spaced=False),
)  # fmt: skip

BESIDE = "also daher folglich donc ainsi entonces quindi portanto la le el a o die der das l'"
"""Small words between "the answer is" in a language and an option."""
DENIALS = "不是 并非 不为 不為 nicht pas no non não niet nie не"
"""Words that deny what follows, before true and false."""

NOT_AN_ANSWER = {"不是", "不", "非", "没有", "没", "少于", "小于", "大于", "超过", "至少", "至多", "最多", "近",
                 "未満", "以上", "以下", "не", "nicht", "pas", "no", "non", "não", "niet", "nie"}  # fmt: skip
"""Words before a value that make it another one, beside the English ones of the answers' vocabulary."""

BEHIND = frozenset(["or", "more", "less", "fewer", "greater", "squared", "cubed", "factorial", "plus"])
"""English words behind a value that make it another one."""
NOT_BEHIND = ("以上", "以下", "未満", "以内", "不到", "多", "이상", "이하", "미만", "초과", "より")
"""Words behind a value that make it another one."""

SCALES = {
    "hundred": 2, "thousand": 3, "million": 6, "billion": 9, "trillion": 12,
    "百": 2, "千": 3, "万": 4, "萬": 4, "亿": 8, "億": 8, "兆": 12, "천": 3, "만": 4, "억": 8,
    "tausend": 3, "mille": 3, "millones": 6, "millions": 6, "millionen": 6, "тысяч": 3, "миллионов": 6,
}  # fmt: skip
"""Words that scale the number before them, as powers of ten."""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
    "eighteen nineteen"
)
TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
OTHER_NUMBER_WORDS = (
    "- eins zwei drei vier fünf sechs sieben acht neun zehn elf zwölf",
    "zéro - deux trois quatre cinq six sept huit neuf dix onze douze",
    "cero uno dos tres cuatro cinco seis siete ocho nueve diez - doce",
    "零 一 二 三 四 五 六 七 八 九 十 十一 十二",
)
"""From nought to twelve; a dash stands for a word that is another one in English."""


FRACTION_WORDS = {
    "half": "1/2", "a half": "1/2", "one half": "1/2", "a third": "1/3", "one third": "1/3", "two thirds": "2/3",
    "a quarter": "1/4", "one quarter": "1/4", "a fourth": "1/4", "one fourth": "1/4", "three quarters": "3/4",
    "three fourths": "3/4", "one fifth": "1/5", "two fifths": "2/5", "three fifths": "3/5", "four fifths": "4/5",
    "one sixth": "1/6", "five sixths": "5/6", "one eighth": "1/8", "three eighths": "3/8", "one tenth": "1/10",
}  # fmt: skip


def _number_words() -> dict[str, int]:
    words = {word: n for n, word in enumerate(ONES.split())}
    for k, ten in enumerate(TENS.split()):
        words[ten] = 10 * (k + 2)
        words |= {f"{ten} {one}": 10 * (k + 2) + n for n, one in enumerate(ONES.split()[:10]) if n}
    words |= {"hundred": 100, "a hundred": 100, "one hundred": 100, "a dozen": 12, "dozen": 12}
    for line in OTHER_NUMBER_WORDS:
        words |= {word: n for n, word in enumerate(line.split()) if word not in {*words, "-"}}
    return words


NUMBER_WORDS = _number_words()
"""Words that are whole numbers up to a hundred; a hyphen counts as a space."""


def words(of: str) -> list[str]:
    """The words of a table's cell, the longest first."""
    return sorted((word.replace("_", " ") for word in of.split()), key=len, reverse=True)


CJK_JOINS = tuple(sorted({w for x in LANGUAGES if not x.spaced for w in words(x.joins)}, key=len, reverse=True))
OR_WORDS = [
    "or",
    "oder",
    "ou",
    "o",
    "lub",
    "veya",
    "hoặc",
    "atau",
    "eller",
    "или",
    "або",
    "أو",
    "या",
    "或者",
    "或",
    "または",
    "또는",
]
"""Of the joining words, those that leave open which."""
LETTER_JOINS = frozenset(w for x in LANGUAGES if x.spaced for w in words(x.joins))
TRUE_ENDINGS = {"不是真的": False, "不为真": False, "不是假的": True, "为真": True, "为假": False,
                "是真的": True, "是假的": False, "是正确的": True, "是错误的": False,
                "不正确": False, "不成立": False, "成立": True}  # fmt: skip
"""How a line ends that says whether a statement is true; the first that fits counts."""
TRUE_WORDS = {w: truth for x in LANGUAGES for cell, truth in ((x.true, True), (x.false, False)) for w in words(cell)}

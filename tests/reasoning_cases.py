r"""Hand-written cases of reasoning before an answer: (grader, response, gold, verdict)."""

from __future__ import annotations

PEN = "C\n(A) ink\n(B) wax\n(C) chalk\n(D) soot"

REASONING: list[tuple[str, str, str, bool]] = [
    # the answer is what follows the last closed block
    ("math", "<think>Perhaps \\boxed{31}? 31 is odd, so no.</think>The total is \\boxed{30}.", "30", True),
    ("math", "<think>Perhaps \\boxed{31}? 31 is odd, so no.</think>The total is \\boxed{30}.", "31", False),
    ("gsm8k", "<thinking>#### 8, then four more</thinking>\n#### 12", "12", True),
    ("gsm8k", "<thinking>#### 8, then four more</thinking>\nTwelve ducks in total.\nA: 12", "8", False),
    ("numeric", "<reasoning>The answer is 70.</reasoning> It takes 75 minutes.", "75", True),
    ("numeric", "<reasoning>The answer is 70.</reasoning> It takes 75 minutes.", "70", False),
    ("choice", "[THINK]The answer is (B), unless wax melts.[/THINK]\nThe answer is (C).", PEN, True),
    ("choice", "[THINK]The answer is (C), unless it rains.[/THINK]\nThe answer is (B).", PEN, False),
    ("true_false", "<THINK>The answer is True, or is it?</THINK>\nThe answer is False.", "False", True),
    ("true_false", "<THINK>The answer is True, or is it?</THINK>\nThe answer is False.", "True", False),
    ("game24", "<think>\nAnswer: 5 * 5 - 1 * 1\n</think>\nAnswer: 5 * (5 - 1 / 5)", "1 5 5 5", True),
    ("game24", "<think>\nAnswer: 5 * (5 - 1 / 5)\n</think>\nAnswer: 5 * 5 - 1 * 5", "1 5 5 5", False),
    ("math", "<think>first</think>So 4.<think>again: 6</think> It is $6$.", "6", True),
    ("math", "<think>first</think>So \\boxed{4}.<think>again: 6</think> It is $6$.", "4", False),
    ("math", "<think>outer <think>inner \\boxed{1}</think> still \\boxed{2}</think>\n\\boxed{3}", "3", True),
    ("math", "<think>outer <think>inner \\boxed{1}</think> still \\boxed{2}</think>\n", "2", False),
    ("gsm8k", "<|begin_of_thought|>#### 3<|end_of_thought|>\n#### 5", "5", True),
    # channels, with their special tokens and without
    (
        "gsm8k",
        "<|channel|>analysis<|message|>6*7 is 41? No, 42.<|end|><|start|>assistant<|channel|>final<|message|>Each "
        "child gets 42 stickers.<|return|>",
        "42",
        True,
    ),
    (
        "gsm8k",
        "<|channel|>analysis<|message|>The answer is 41.<|end|><|start|>assistant<|channel|>final<|message|>It is 42.",
        "41",
        False,
    ),
    ("math", "analysisWe try \\boxed{7} first.assistantfinalThe value is 9.", "9", True),
    ("math", "analysisWe try \\boxed{7} first.assistantfinalThe value is 9.", "7", False),
    ("math", "analysis of the terms gives $x = 9$", "9", True),
    ("math", "analysisWe try \\boxed{7} first and", "7", False),
    # a block that never closes has no answer
    ("math", "<think>So far \\boxed{18}, but the second case", "18", False),
    ("gsm8k", "It is 14.\n#### 14\n<think>Let me see whether", "14", False),
    ("choice", "<think>The answer is (C). Let me check the others", PEN, False),
    ("true_false", "<thinking>The statement is false.", "False", False),
    ("numeric", "<think>a</think>The answer is 5. <think>or is it", "5", False),
    ("math", "<think>they want <reasoning>this</reasoning> in tags, so \\boxed{2}", "2", False),
    # a closing marker alone ends what the prompt opened
    ("gsm8k", "Maybe the answer is 90.\nNo.\n</think>\n\nThe train needs 96 minutes.", "96", True),
    ("gsm8k", "Maybe the answer is 90.\nNo.\n</think>\n\nThe train needs 96 minutes.", "90", False),
    ("math", "\\boxed{11}? no\n[/THINK]\n\\boxed{13}", "13", True),
    ("math", "\\boxed{13}\n</think>\n\n", "13", False),
    # markers that are only spoken of
    ("math", "I was told to use `<think>` first. The answer is 64.", "64", True),
    ("math", "I kept my steps out of <think> tags. The answer is 64.", "64", True),
    ("math", 'Between "<think>" and "</think>" stood nothing. The answer is 64.', "64", True),
    ("math", "<think>a</think>\n```\n<think>\n```\nis how it began; so \\boxed{8}", "8", True),
    ("math", "<think>I have to write `</think>` soon, so \\boxed{8}", "8", False),
    ("math", "<think>\n```\nprint(3)\n```\n8\n</think>\n```\nprint(9)\n```\nIt is \\boxed{9}.", "9", True),
    # an answer element
    ("math", "<think>3 or 4</think><answer>4</answer>", "4", True),
    ("math", "<think>3 or 4</think><answer>4</answer>", "3", False),
    ("math", "It factors. <answer>x^2 - 1</answer>", "(x-1)(x+1)", True),
    ("math", "It factors. <answer>x^2 + 1</answer>", "1", False),
    ("math", "<answer>2</answer> no wait <answer>5</answer>", "5", True),
    ("math", "<answer>2</answer> no wait <answer>5</answer>", "2", False),
    ("math", "<answer>\nx = 2\ny = 6\n</answer>", "(2, 6)", True),
    ("math", "<answer>\nx = 2\ny = 6\n</answer>", "2", False),
    ("gsm8k", "<answer>\n**18 eggs in 7 days**\n</answer>", "18", True),
    ("gsm8k", "<ANSWER>18 eggs in 7 days</ANSWER>", "7", False),
    ("choice", "<reasoning>A and B are wet</reasoning>\n<answer>\nC\n</answer>", PEN, True),
    ("choice", "<reasoning>C is dry</reasoning>\n<answer>B</answer>", PEN, False),
    ("true_false", "<think>True...</think><answer>false</answer>", "False", True),
    ("true_false", "<think>False...</think><answer>true</answer>", "False", False),
    ("game24", "<think>?</think><answer>5 * (5 - 1 / 5)</answer>", "1 5 5 5", True),
    ("game24", "<think>?</think><answer>5 * 5 - 1</answer>", "1 5 5 5", False),
    ("numeric", "<answer>...</answer> is where it goes: <answer>3.5</answer>", "3.5", True),
    ("numeric", "<think>The answer is 3.5<answer>", "3.5", False),
]

"""Engine transformers against the model itself: direct forward passes, transformers' own generate, exact chances."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pools import only_pool, pools
from scipy import stats
from truncated import GIVEN, chi_square, distribution

torch = pytest.importorskip("torch")
pytest.importorskip("transformers")

from tokenizers import Tokenizer, decoders, models, pre_tokenizers  # noqa: E402
from transformers import (  # noqa: E402
    AutoModelForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    PreTrainedTokenizerFast,
)

from bon_eval.engines.base import EngineSpec  # noqa: E402
from bon_eval.engines.transformers import TransformersEngine  # noqa: E402
from bon_eval.errors import EngineError, ModelError  # noqa: E402
from bon_eval.records import ForcedSequence, Request, Response, Sampling  # noqa: E402

VOCABULARY = 24
END = 2
SIZES: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.6,
    "bos_token_id": 1,
    "eos_token_id": END,
    "pad_token_id": 0,
    "tie_word_embeddings": False,
}


def save_checkpoint(folder: Path, config: Any, kind: Any, dtype: Any = torch.float32) -> str:
    """A random model and a tokenizer of letters (ids 3..23 are a..u), saved as an ordinary checkpoint."""
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = kind(config).to(dtype).eval()
    model.generation_config.temperature = 0.1  # a trap: the engine must not read it
    model.generation_config.top_k = 1
    model.generation_config.do_sample = True
    model.save_pretrained(folder)
    words = {"<pad>": 0, "<s>": 1, "</s>": END} | {chr(ord("a") + i): i + 3 for i in range(VOCABULARY - 3)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    tokenizer.decoder = decoders.Fuse()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return save_checkpoint(tmp_path_factory.mktemp("llama"), LlamaConfig(**SIZES), LlamaForCausalLM)


@pytest.fixture(scope="module")
def model(checkpoint: str) -> Any:
    return AutoModelForCausalLM.from_pretrained(checkpoint).eval()


@pytest.fixture
def engine(checkpoint: str) -> Iterator[TransformersEngine]:
    with TransformersEngine(EngineSpec(checkpoint, engine_args={"batch_size": 7})) as opened:
        yield opened


def prompts(count: int, longest: int = 30, seed: int = 0) -> list[tuple[int, ...]]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, longest, size=count)
    return [(1, *map(int, rng.integers(3, VOCABULARY, size=size))) for size in sizes]


def requests(
    count: int = 6, n: int = 5, temperature: float = 1.0, max_tokens: int = 40, **sampling: Any
) -> list[Request]:
    settings = Sampling(temperature=temperature, max_tokens=max_tokens, stop_token_ids=(END,), **sampling)
    arm = "sample" if temperature else "greedy"
    return [Request(f"p{i}", arm, p, n, settings) for i, p in enumerate(prompts(count))]


def draw(engine: TransformersEngine, asked: list[Request]) -> dict[str, list[Response]]:
    return {problem: pool for (problem, _), pool in pools(engine.sample(asked)).items()}


def direct_logprobs(model: Any, prompt: tuple[int, ...], response: tuple[int, ...]) -> list[float]:
    """One forward pass of the whole sequence, no cache and no batch."""
    ids = torch.tensor([prompt + response])
    with torch.inference_mode():
        table = torch.log_softmax(model(input_ids=ids, use_cache=False).logits[0].float(), dim=-1)
    at = len(prompt) - 1
    return [table[at + i, token].item() for i, token in enumerate(response)]


def largest_difference(left: Any, right: Any) -> float:
    assert len(left) == len(right)
    return max(abs(a - b) for a, b in zip(left, right, strict=True))


def test_responses_are_complete_and_well_formed(engine: TransformersEngine) -> None:
    asked = requests()
    groups = list(pools(engine.sample(asked)).values())
    assert sorted(g[0].problem_id for g in groups) == sorted(r.problem_id for r in asked)
    seen = set()
    for group in groups:
        assert [r.index for r in group] == list(range(5))
        for r in group:
            seen.add(r.finish_reason)
            assert len(r.token_ids) == len(r.token_logprobs) == r.n_tokens <= 40
            assert all(math.isfinite(x) and x <= 0 for x in r.token_logprobs)
            assert END not in r.token_ids[:-1]
            assert (r.token_ids[-1] == END) == (r.finish_reason == "stop")
            letters = [t for t in r.token_ids if t != END]
            # Ids 0 and 1 are special tokens like the end: part of the response, not of its text.
            assert r.text == "".join(chr(ord("a") + t - 3) for t in letters if t >= 3)
    assert seen == {"stop", "length"}


@pytest.mark.parametrize("temperature", [1.0, 2.0, 0.5])
def test_logprobs_are_those_of_a_direct_forward_pass(
    engine: TransformersEngine, model: Any, temperature: float
) -> None:
    asked = requests(temperature=temperature, max_tokens=300)
    drawn = draw(engine, asked)
    for request in asked:
        for r in drawn[request.problem_id]:
            expected = direct_logprobs(model, request.prompt_token_ids, r.token_ids)
            assert largest_difference(r.token_logprobs, expected) < 1e-4


def test_score_gives_the_sampled_logprobs_in_any_batch(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = requests(count=8, n=6)
    drawn = draw(engine, asked)
    sequences, expected = [], {}
    for request in asked:
        # Few and many responses to one prompt take different ways through the scorer.
        for r in drawn[request.problem_id][: 2 if request.problem_id < "p4" else 6]:
            key = f"{r.problem_id}/{r.index}"
            sequences.append(ForcedSequence(key, request.prompt_token_ids, r.token_ids))
            expected[key] = r.token_logprobs
    scored = dict(engine.score(iter(sequences)))
    assert scored.keys() == expected.keys()
    assert max(largest_difference(scored[key], expected[key]) for key in expected) < 1e-4
    for tokens, elements in ((1, 2**25), (100, 500), (8192, 30)):
        monkeypatch.setattr("bon_eval.engines.transformers.engine._SCORE_TOKENS", {"cpu": tokens})
        monkeypatch.setattr("bon_eval.engines.transformers.force._LOGIT_ELEMENTS", elements)
        again = dict(engine.score(sequences))
        # Rounding in another order of adding, which is another one on another processor.
        assert max(largest_difference(again[key], scored[key]) for key in expected) < 1e-4


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_greedy_equals_generate(checkpoint: str, model: Any, batch_size: int) -> None:
    asked = requests(count=7, n=1, temperature=0.0, max_tokens=60)
    with TransformersEngine(EngineSpec(checkpoint, engine_args={"batch_size": batch_size})) as engine:
        drawn = draw(engine, asked)
    for request in asked:
        ids = torch.tensor([request.prompt_token_ids])
        out = model.generate(
            ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=60, eos_token_id=END
        )
        assert drawn[request.problem_id][0].token_ids == tuple(out[0, ids.shape[1] :].tolist())


@pytest.mark.parametrize("temperature", [1.0, 2.0])
def test_draws_follow_the_tempered_distribution(checkpoint: str, model: Any, temperature: float) -> None:
    prompt, n = (1, 5, 9), 20_000
    sampling = Sampling(temperature=temperature, max_tokens=2)
    with TransformersEngine(EngineSpec(checkpoint, seed=3, engine_args={"batch_size": 512})) as engine:
        group = only_pool(engine.sample([Request("p", "sample", prompt, n, sampling)]))
    with torch.inference_mode():
        first = torch.softmax(model(torch.tensor([prompt])).logits[0, -1].double() / temperature, -1)
        second = torch.softmax(
            model(torch.tensor([[*prompt, t] for t in range(VOCABULARY)])).logits[:, -1].double() / temperature, -1
        )
    expected = (first[:, None] * second).numpy().ravel() * n
    observed = np.zeros(VOCABULARY**2)
    for r in group:
        observed[r.token_ids[0] * VOCABULARY + r.token_ids[1]] += 1
    rare = expected < 10
    expected = np.append(expected[~rare], expected[rare].sum())
    observed = np.append(observed[~rare], observed[rare].sum())
    assert len(expected) > 20
    assert stats.chisquare(observed, expected * observed.sum() / expected.sum()).pvalue > 0.01


def test_draws_of_every_kind_in_one_stream_follow_what_is_left(checkpoint: str, model: Any) -> None:
    """Two tokens each, with greedy and the model's own distribution among them; exact over all pairs of tokens."""
    prompt, n = (1, 5, 9), 4000
    kinds = [*GIVEN, {"temperature": 1.0}, {"temperature": 0.4}]
    asked = [Request(f"p{i}", f"draw{i}", prompt, n, Sampling(max_tokens=2, **kind)) for i, kind in enumerate(kinds)]
    greedy = Request("g", "greedy", prompt, 1, Sampling(0.0, 2))
    with TransformersEngine(EngineSpec(checkpoint, seed=3, engine_args={"batch_size": 700})) as engine:
        groups = {arm: pool for (_, arm), pool in pools(engine.sample([asked[0], greedy, *asked[1:]])).items()}
    with torch.inference_mode():
        first = model(torch.tensor([prompt])).logits[0, -1].numpy()
        second = model(torch.tensor([[*prompt, t] for t in range(VOCABULARY)])).logits[:, -1].numpy()
    assert groups["greedy"][0].token_ids == (first.argmax(), second[first.argmax()].argmax())
    raw = [np.log(distribution(row, {"temperature": 1.0})) for row in (first, *second)]
    for request, kind in zip(asked, kinds, strict=True):
        counts = np.zeros((VOCABULARY, VOCABULARY))
        for r in groups[request.arm]:
            one, two = r.token_ids
            counts[one, two] += 1
            assert largest_difference(r.token_logprobs, (raw[0][one], raw[1 + one][two])) < 1e-4
        p = distribution(first, kind)[:, None] * np.stack([distribution(row, kind) for row in second])
        assert chi_square(counts.ravel(), p.ravel()) > 1e-3, kind


def test_one_temperature_does_not_touch_the_rows_of_another(checkpoint: str, model: Any) -> None:
    hot, greedy = requests(count=4, n=3, temperature=5.0), requests(count=4, n=1, temperature=0.0)
    mixed = [r for pair in zip(hot, greedy, strict=True) for r in pair]
    with TransformersEngine(EngineSpec(checkpoint, engine_args={"batch_size": 6})) as engine:
        groups = list(pools(engine.sample(mixed)).values())
        alone = draw(engine, greedy)
    together = {g[0].problem_id: g[0] for g in groups if g[0].arm == "greedy"}
    assert {k: r.token_ids for k, r in together.items()} == {k: g[0].token_ids for k, g in alone.items()}


def test_seed(checkpoint: str) -> None:
    def run(seed: int) -> dict[str, list[tuple[int, ...]]]:
        with TransformersEngine(EngineSpec(checkpoint, seed=seed, engine_args={"batch_size": 4})) as engine:
            return {k: [r.token_ids for r in g] for k, g in draw(engine, requests()).items()}

    state = torch.random.get_rng_state()
    assert run(0) == run(0)
    assert run(0) != run(1)
    assert torch.equal(state, torch.random.get_rng_state())


def test_samples_of_one_request_differ(engine: TransformersEngine) -> None:
    group = only_pool(engine.sample(requests(count=1, n=16)))
    assert len({r.token_ids for r in group}) > 8


def test_stop_strings_end_the_text_before_them_and_keep_their_tokens(engine: TransformersEngine, model: Any) -> None:
    asked = requests(count=10, n=4, stop=("bc", "e", "fe"))
    stopped = 0
    for request in asked:
        for r in draw(engine, [request])[request.problem_id]:
            letters = "".join(chr(ord("a") + t - 3) for t in r.token_ids if t >= 3)
            assert not any(s in r.text for s in ("bc", "e"))
            if letters.endswith(("bc", "e")):
                stopped += 1
                assert r.finish_reason == "stop"
                # "fe" and "e" are complete with the same token; the one that was given first wins.
                assert r.text == letters[: -2 if letters.endswith("bc") else -1]
            expected = direct_logprobs(model, request.prompt_token_ids, r.token_ids)
            assert largest_difference(r.token_logprobs, expected) < 1e-4
    assert stopped > 10


def test_max_tokens_and_the_end_of_the_context_cut(engine: TransformersEngine) -> None:
    assert engine.context_length == 512
    [cut] = only_pool(engine.sample([Request("p", "sample", (1, 4), 1, Sampling(1.0, 1))]))
    assert (cut.n_tokens, cut.finish_reason, cut.truncated) == (1, "length", True)
    long = (1, *[4] * 508)
    group = only_pool(engine.sample([Request("p", "sample", long, 8, Sampling(1.0, 50))]))
    assert {r.n_tokens for r in group} == {3}
    with pytest.raises(EngineError, match="prompt of 512 tokens"):
        list(engine.sample([Request("p", "sample", (1, *[4] * 511), 1, Sampling(1.0, 5))]))
    with pytest.raises(EngineError, match="takes 512 together"):
        list(engine.score([ForcedSequence("s", long, (4, 4, 4, 4))]))


def test_requests_are_taken_lazily_and_finish_before_the_stream_ends(engine: TransformersEngine) -> None:
    taken = 0

    def stream() -> Iterator[Request]:
        nonlocal taken
        for request in requests(count=50, n=3):
            taken += 1
            yield request

    finished = engine.sample(stream())
    first = next(found for found in finished if found)
    assert taken < 20
    assert len(pools([first, *finished])) == 50


def test_a_small_cache_budget_changes_only_the_speed(checkpoint: str, model: Any) -> None:
    asked = requests(count=3, n=9)
    with TransformersEngine(EngineSpec(checkpoint, engine_args={"kv_cache_gib": 1e-4})) as engine:
        drawn = draw(engine, asked)
    for request in asked:
        for r in drawn[request.problem_id]:
            assert largest_difference(
                r.token_logprobs, direct_logprobs(model, request.prompt_token_ids, r.token_ids)
            ) < 1e-4  # fmt: skip


def test_sliding_window_model(tmp_path: Path) -> None:
    config = MistralConfig(**SIZES, sliding_window=6, head_dim=4)
    folder = save_checkpoint(tmp_path, config, MistralForCausalLM)
    model = AutoModelForCausalLM.from_pretrained(folder).eval()
    asked = requests(max_tokens=60)
    with TransformersEngine(EngineSpec(folder, engine_args={"batch_size": 8})) as engine:
        drawn = draw(engine, asked)
        for request in asked:
            for r in drawn[request.problem_id]:
                expected = direct_logprobs(model, request.prompt_token_ids, r.token_ids)
                assert largest_difference(r.token_logprobs, expected) < 1e-4
                [(_, scored)] = engine.score([ForcedSequence("s", request.prompt_token_ids, r.token_ids)])
                assert largest_difference(scored, expected) < 1e-4


def save_adapter(checkpoint: str, folder: Path) -> str:
    """A LoRA adapter with random weights."""
    peft = pytest.importorskip("peft")
    with torch.random.fork_rng():
        torch.manual_seed(5)
        base = AutoModelForCausalLM.from_pretrained(checkpoint)
        lora = peft.LoraConfig(r=2, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
        peft.get_peft_model(base, lora).save_pretrained(folder)
    return str(folder)


def test_lora_adapter_changes_samples_and_scores(checkpoint: str, tmp_path: Path, model: Any) -> None:
    peft = pytest.importorskip("peft")
    adapter = save_adapter(checkpoint, tmp_path)
    asked = requests(count=3)
    tuned = peft.PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(checkpoint), adapter).eval()
    with TransformersEngine(EngineSpec(checkpoint, adapter_dir=adapter, adapter_hash="x")) as engine:
        drawn = draw(engine, asked)
        for request in asked:
            for r in drawn[request.problem_id]:
                expected = direct_logprobs(tuned, request.prompt_token_ids, r.token_ids)
                assert largest_difference(r.token_logprobs, expected) < 1e-4
                [(_, scored)] = engine.score([ForcedSequence("s", request.prompt_token_ids, r.token_ids)])
                assert largest_difference(scored, expected) < 1e-4
                base = direct_logprobs(model, request.prompt_token_ids, r.token_ids)
                assert largest_difference(scored, base) > 1e-2
                [(_, plain)] = engine.score(
                    [ForcedSequence("s", request.prompt_token_ids, r.token_ids)], use_adapter=False
                )
                assert largest_difference(plain, base) < 1e-4


def test_folder_without_an_adapter(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"does not fit the model: .*adapter_config.json"):
        TransformersEngine(EngineSpec(checkpoint, adapter_dir=str(tmp_path)))


def test_facts_and_dtype(checkpoint: str) -> None:
    with TransformersEngine(EngineSpec(checkpoint, dtype="bfloat16")) as engine:
        facts = engine.facts
        group = only_pool(engine.sample(requests(count=1)))
    assert facts["name"] == "transformers"
    assert facts["dtype"] == "bfloat16"
    assert facts["context_length"] == 512
    assert all(math.isfinite(r.log_likelihood) for r in group)
    with TransformersEngine(EngineSpec(checkpoint)) as engine:
        assert engine.facts["dtype"] == "float32"


@pytest.mark.parametrize(
    ("spec", "kind", "message"),
    [
        ({"engine_args": {"batchsize": 4}}, EngineError, "batchsize.*batch_size"),
        ({"engine_args": {"batch_size": 0}}, EngineError, "batch_size is 0"),
        ({"engine_args": {"kv_cache_gib": -1}}, EngineError, "kv_cache_gib is -1"),
        ({"engine_args": {"device": "abacus"}}, EngineError, "abacus"),
        ({"engine_args": {"attn_implementation": "abacus"}}, ModelError, "abacus"),
        ({"dtype": "int3"}, EngineError, "int3.*float32"),
    ],
)
def test_bad_arguments_are_one_line(checkpoint: str, spec: dict[str, Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message) as caught:
        TransformersEngine(EngineSpec(checkpoint, **spec))
    assert "\n" not in str(caught.value)


def test_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="could not load"):
        TransformersEngine(EngineSpec(str(tmp_path)))


def test_logits_that_are_no_numbers_stop_the_run(checkpoint: str) -> None:
    with TransformersEngine(EngineSpec(checkpoint)) as engine:
        engine._model.lm_head.weight.data.fill_(float("nan"))
        with pytest.raises(EngineError, match=r"not finite.*p0"):
            list(engine.sample(requests(count=1)))


def test_statistics_are_those_of_a_direct_forward_pass(engine: TransformersEngine, model: Any) -> None:
    asked = prompts(9)
    sequences = [ForcedSequence(str(i), p, tuple(reversed(p))) for i, p in enumerate(asked)]
    names = ("self_certainty", "topk", "entropy")
    found = dict(engine.statistics(sequences, names))
    assert sorted(found) == sorted(s.key for s in sequences)
    for s in sequences:
        ids = torch.tensor([s.prompt_token_ids + s.response_token_ids])
        with torch.inference_mode():
            logits = model(input_ids=ids, use_cache=False).logits[0].double().numpy()
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        p = p[len(s.prompt_token_ids) - 1 : -1]
        uniform = np.full(VOCABULARY, 1 / VOCABULARY)
        expected = (
            [float((uniform * np.log(uniform / row)).sum()) for row in p],
            [float(-np.log(np.sort(row)[-20:]).mean()) for row in p],
            [float(stats.entropy(row)) for row in p],
        )
        for values, wanted in zip(found[s.key], expected, strict=True):
            assert largest_difference(values, wanted) < 1e-4


def test_sampled_top_k_confidence_is_the_forced_one(engine: TransformersEngine) -> None:
    wanted, plain = requests(topk=True), requests(count=2)
    groups = list(engine.sample([*wanted, *plain]))
    responses = [r for group in groups for r in group]
    prompt_of = {r.problem_id: r.prompt_token_ids for r in wanted}
    carried = [r for r in responses if r.token_topk is not None]
    assert len(carried) == 6 * 5
    assert len(responses) == 8 * 5
    sequences = [ForcedSequence(str(i), prompt_of[r.problem_id], r.token_ids) for i, r in enumerate(carried)]
    for key, [forced] in engine.statistics(sequences, ("topk",)):
        assert largest_difference(forced, carried[int(key)].token_topk) < 1e-4

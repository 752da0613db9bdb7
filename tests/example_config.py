"""A run's configuration for tests that need one and no model."""

from bon_eval.config import RunConfig

CONFIG = RunConfig(
    task="t",
    model="m",
    revision=None,
    adapter=None,
    engine="transformers",
    dtype="float32",
    n=4,
    limit=None,
    temperature=1.0,
    max_tokens=8,
    stop=(),
    stop_token_ids=(2,),
    prompt_style="plain",
    shots=0,
    seed=0,
    grader="gsm8k",
    data=None,
    train_data=None,
    spec_hash="a",
    model_hash="b",
    adapter_hash=None,
    first_prompt="c",
    task_hash="d",
    prompts_hash="e",
)

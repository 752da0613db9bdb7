"""Whether float32 matrix products on a GPU are of float32, or of TF32 with its 11 significant bits."""

from __future__ import annotations

from bon_eval.errors import EngineError

_TF32 = {"highest": False, "high": True, "medium": True, "ieee": False, "none": False, "tf32": True}


def float32_products(precision: str) -> str:
    """What an engine's facts say of its float32 on a GPU.

    Args:
        precision: ``torch.get_float32_matmul_precision()`` (``highest``, ``high`` or ``medium``, which vLLM sets by
            ``VLLM_FLOAT32_MATMUL_PRECISION``) or ``torch.backends.cuda.matmul.fp32_precision`` (``ieee``, ``none`` or
            ``tf32``), which tells ``allow_tf32`` and the former too.

    Raises:
        EngineError: another word.

    >>> float32_products("ieee"), float32_products("high")
    ('float32', 'TF32 (high)')
    """
    if precision not in _TF32:
        raise EngineError(f"precision of float32 products is {precision!r}, which is none of {', '.join(_TF32)}")
    return f"TF32 ({precision})" if _TF32[precision] else "float32"

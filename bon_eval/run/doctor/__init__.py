"""Does an engine's sampling agree with its own teacher forcing, and with other engines'? `bon-eval doctor`."""

from bon_eval.run.doctor.examine import examine

__all__ = ["examine"]

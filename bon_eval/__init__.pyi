from bon_eval.report.notebook.arrays import analyse as analyse
from bon_eval.report.notebook.comparison import Comparison as Comparison
from bon_eval.report.notebook.comparison import compare as compare
from bon_eval.report.notebook.run import Run as Run
from bon_eval.report.notebook.run import load_run as load_run
from bon_eval.report.notebook.sample import run as run
from bon_eval.tasks.load import load_task as load_task
from bon_eval.tasks.spec import TaskSpec as TaskSpec

__version__: str
__all__ = ["Comparison", "Run", "TaskSpec", "__version__", "analyse", "compare", "load_run", "load_task", "run"]

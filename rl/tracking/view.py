"""The progress of a training: its steps, the time left, and what each step came to."""

from collections.abc import Mapping
from typing import Any

from problems.progress import Progress


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


class StepView(Progress):
    """Shows the steps of a run."""

    def show(self, step: int, metrics: Mapping[str, Any], timing: Mapping[str, float]) -> None:
        """Show one training step."""
        reward = _number(metrics.get("reward"))
        tokens = _number(metrics.get("completions/mean_length"), 0)
        accuracy = metrics.get("eval/accuracy")
        held_out = "" if accuracy is None else f"  held-out {_number(accuracy)}"
        seconds = "/".join(_number(timing.get(name, 0.0), 1) for name in ("sample", "score", "train"))
        line = f"reward {reward}  tokens {tokens}{held_out}  sample/score/train {seconds} s"
        self.update(step, line, urgent="eval/accuracy" in metrics)

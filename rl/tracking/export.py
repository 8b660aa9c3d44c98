"""A checkpoint as a plain Hugging Face directory that any other program can open."""

import json
import shutil
import sys
from pathlib import Path

from problems.errors import LabError
from rl.policy.opening import save_policy
from rl.runtime import quiet_libraries
from rl.tracking.checkpoint import find_fault, latest


class ExportError(LabError):
    """Nothing that could be exported."""


def policy_directory(source: Path, *, best: bool = False) -> Path:
    """Return the `policy/` of a checkpoint directory, or of a run directory's newest (or best) whole checkpoint."""
    if (source / "manifest.json").is_file():
        if fault := find_fault(source):
            raise ExportError(f"checkpoint {source} is not whole: {fault}")
        return source / "policy"
    if not (source / "checkpoints").is_dir():
        raise ExportError(f"{source} is neither a run directory with checkpoints nor a checkpoint")
    found = latest(source / "checkpoints", lambda message: print(message, file=sys.stderr))
    if found is None:
        raise ExportError(f"{source} holds no whole checkpoint")
    if best:
        step = json.loads((found / "state.json").read_text())["best_step"]
        if step is None:
            raise ExportError(f"{source} was trained without held-out evaluation (evaluation.every_steps), so none is best")
        found = source / "checkpoints" / f"step-{step:06d}"
        if fault := find_fault(found):
            raise ExportError(f"the best checkpoint, {found}, cannot be used: {fault}; export the newest without --best")
    return found / "policy"


def export(source: Path, output: Path, *, adapter: bool = False, best: bool = False) -> Path:
    """Write the model of `source` to `output`; a LoRA adapter is merged into its base unless `adapter`."""
    if output.exists():
        raise ExportError(f"{output} exists already; choose another directory")
    policy = policy_directory(source, best=best)
    is_adapter = (policy / "adapter_config.json").is_file()
    if adapter and not is_adapter:
        raise ExportError(f"{policy} is a whole model, it has no adapter; leave --adapter out")
    output.parent.mkdir(parents=True, exist_ok=True)
    if not is_adapter or adapter:
        temporary = output.with_name(f".{output.name}.tmp")
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.copytree(policy, temporary)
        temporary.rename(output)
        return output
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    quiet_libraries()
    model = AutoPeftModelForCausalLM.from_pretrained(policy, dtype="auto")
    save_policy(model, AutoTokenizer.from_pretrained(policy), output, merge=True)
    return output

"""A checkpoint as a plain Hugging Face directory that any other program can open, or as one GGUF file."""

import json
import shutil
import tempfile
from pathlib import Path

from problems.errors import LabError
from problems.telling import warn
from rl.policy.gguf import check_gguf
from rl.policy.gguf_writing import write_gguf
from rl.policy.opening import save_policy, write_plain
from rl.policy.paths import check_model_path, first_line
from rl.runtime import quiet_libraries
from rl.settings.model_files import TensorType, is_gguf
from rl.settings.schema import ModelSettings
from rl.tracking.checkpoint import find_fault, latest
from rl.tracking.lineage import write_lineage


class ExportError(LabError):
    """Nothing that could be exported."""


def policy_directory(source: Path, *, best: bool = False) -> Path:
    """Return the `policy/` of a checkpoint directory, or of a run directory's newest (or best) whole checkpoint."""
    if (source / "manifest.json").is_file():
        fault = find_fault(source)
        if fault is not None:
            raise ExportError(f"checkpoint {source} is not whole: {fault}")
        return source / "policy"
    if not (source / "checkpoints").is_dir():
        raise ExportError(f"{source} is neither a run directory with checkpoints nor a checkpoint")
    newest = latest(source / "checkpoints", warn)
    if newest is None:
        raise ExportError(f"{source} holds no whole checkpoint")
    chosen = _best(source, newest) if best else newest
    return chosen / "policy"


def _best(run: Path, newest: Path) -> Path:
    """Return the checkpoint that the newest one says is best."""
    step = json.loads((newest / "state.json").read_text())["best_step"]
    if step is None:
        raise ExportError(f"{run} was trained without held-out evaluation (evaluation.every_steps), so none is best")
    best = run / "checkpoints" / f"step-{step:06d}"
    fault = find_fault(best)
    if fault is not None:
        raise ExportError(f"the best checkpoint, {best}, cannot be used: {fault}; export the newest without --best")
    return best


def model_directory(source: Path, *, best: bool = False) -> Path:
    """Return the model directory of a run, a checkpoint, a cold start or a model directory itself."""
    if (source / "config.json").is_file() or (source / "adapter_config.json").is_file():
        return source
    if (source / "model" / "config.json").is_file() and not (source / "checkpoints").is_dir():
        return source / "model"  # a finished cold start
    return policy_directory(source, best=best)


def export(source: Path, output: Path, *, adapter: bool = False, best: bool = False) -> Path:
    """Write the model of `source`, a run, a checkpoint, a model directory or a GGUF file, to the directory `output`.

    A LoRA adapter is merged into its base unless `adapter`; a GGUF file is dequantised, to float32.
    """
    if output.exists():
        raise ExportError(f"{output} exists already; choose another directory")
    if is_gguf(str(source)):
        _write_dequantised(source, output)
        return output
    policy = model_directory(source, best=best)
    is_adapter = (policy / "adapter_config.json").is_file()
    if adapter and not is_adapter:
        raise ExportError(f"{policy} is a whole model, it has no adapter; leave --adapter out")
    output.parent.mkdir(parents=True, exist_ok=True)
    if is_adapter and not adapter:
        _write_merged(policy, output)
    else:
        _copy(policy, output)
    write_lineage(output, policy)
    return output


def export_gguf(source: Path, output: Path, *, best: bool = False, tensor_type: TensorType | None = None) -> Path:
    """Write the model of `source` to the GGUF file `output`, a LoRA adapter merged; see rl/policy/gguf_writing.py."""
    if output.exists():
        raise ExportError(f"{output} exists already; choose another file")
    if is_gguf(str(source)):
        raise ExportError(f"{source} is a GGUF file already")
    quiet_libraries()
    policy = model_directory(source, best=best)
    output.parent.mkdir(parents=True, exist_ok=True)
    if not (policy / "adapter_config.json").is_file():
        write_gguf(policy, output, tensor_type)
        return output
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".merging-") as scratch:
        _write_merged(policy, Path(scratch) / output.stem)
        write_gguf(Path(scratch) / output.stem, output, tensor_type)
    return output


def _copy(policy: Path, output: Path) -> None:
    """Copy the directory; `output` appears whole or not at all."""
    temporary = output.with_name(f".{output.name}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    shutil.copytree(policy, temporary)
    temporary.rename(output)


def _write_dequantised(file: Path, output: Path) -> None:
    """Write what a GGUF file holds as a model directory."""
    quiet_libraries()
    check_model_path(str(file))
    check_gguf(file)
    output.parent.mkdir(parents=True, exist_ok=True)
    write_plain(ModelSettings(path=str(file)), output)


def _write_merged(adapter: Path, output: Path) -> None:
    """Write base and adapter as one model."""
    from peft import AutoPeftModelForCausalLM
    from transformers import AutoTokenizer

    quiet_libraries()
    try:
        model = AutoPeftModelForCausalLM.from_pretrained(adapter, dtype="auto")
    except (OSError, ValueError) as error:
        base = json.loads((adapter / "adapter_config.json").read_text(encoding="utf-8")).get("base_model_name_or_path")
        raise ExportError(
            f"cannot open {base}, the model that the adapter {adapter} belongs to: {first_line(error)}. Put it back there "
            "(a relative path is looked up from where the command runs), or take the adapter alone with --adapter"
        ) from None
    tokenizer = AutoTokenizer.from_pretrained(adapter)
    save_policy(model, tokenizer, output, merge=True)

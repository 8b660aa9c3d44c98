"""Faults to plant in a run, each with the name of the finding that must name it; used on tiny models and on a real one.

A fault takes a Plant (a sound model, the settings of a sound run with it, a folder to write to) and returns settings that stand
above the sound ones.
"""

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file


@dataclass(frozen=True, kw_only=True)
class Plant:
    """A sound run to spoil."""

    model: Path
    home: Path
    settings: list[str]  # of the sound run
    short: int  # a limit in tokens that no answer fits
    stop: str  # a token of the vocabulary that its answers do not end with
    doubled: str  # the chat's own turn, written around the question once more
    thought: str  # what opens a thought that this model will not close
    hard: list[str]  # settings with problems that it answers and never solves
    positions: int  # more tokens than it reads

    def copy(self, name: str) -> Path:
        """Return a copy of the model that may be changed."""
        directory = self.home / name
        shutil.copytree(self.model, directory, dirs_exist_ok=True)
        return directory


Fault = Callable[[Plant], list[str]]
FAULTS: dict[str, tuple[Fault, str]] = {}


def fault(finding: str) -> Callable[[Fault], Fault]:
    def register(function: Fault) -> Fault:
        FAULTS[function.__name__] = (function, finding)
        return function

    return register


def _template(directory: Path) -> tuple[Path, str]:
    file = directory / "chat_template.jinja"
    return file, file.read_text()


def _edit(file: Path, change: Callable[[dict[str, Any]], None]) -> None:
    data = json.loads(file.read_text())
    change(data)
    file.write_text(json.dumps(data))


def _weights(directory: Path, change: Callable[[dict[str, torch.Tensor]], None]) -> None:
    file = directory / "model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file(tensors, file, metadata={"format": "pt"})


def _problems(plant: Plant, name: str, rows: Sequence[Mapping[str, Any]]) -> list[str]:
    file = plant.home / f"{name}.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return [f"problems=[{{domain: jsonl, path: {json.dumps(str(file))}}}]"]


@fault("limit_too_short")
def a_limit_that_cuts_answers(plant: Plant) -> list[str]:
    return [f"sampling.max_completion_tokens={plant.short}"]


@fault("thinking_open")
def a_template_that_opens_a_thought(plant: Plant) -> list[str]:
    directory = plant.copy("thought")
    file, text = _template(directory)
    file.write_text(text + plant.thought)
    return [f"model.path={directory}"]


@fault("stop_token")
def another_stop_token(plant: Plant) -> list[str]:
    directory = plant.copy("stop")

    def tokenizer(data: dict[str, Any]) -> None:
        data["eos_token"] = plant.stop

    def generation(data: dict[str, Any]) -> None:
        data["eos_token_id"] = ids[plant.stop]

    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(directory).get_vocab()
    _edit(directory / "tokenizer_config.json", tokenizer)
    _edit(directory / "generation_config.json", generation)
    return [f"model.path={directory}"]


@fault("template_doubled")
def a_chat_inside_a_chat(plant: Plant) -> list[str]:
    return [f"prompt.template={json.dumps(plant.doubled)}"]


@fault("template_missing")
def no_chat_template(plant: Plant) -> list[str]:
    directory = plant.copy("plain")
    (directory / "chat_template.jinja").unlink()
    return [f"model.path={directory}"]


@fault("references_unreadable")
def references_that_no_verifier_reads(plant: Plant) -> list[str]:
    rows = [{"prompt": f"{a}+{b}=?", "reference": f"see page {a + b}", "domain": "chain"} for a in range(6) for b in range(8)]
    return _problems(plant, "unreadable", rows)


@fault("pays_for_anything")
def tests_that_assert_nothing(plant: Plant) -> list[str]:
    checks = {"style": "stdin", "tests": [{"stdin": "", "stdout": ""}]}  # any program that prints nothing is right
    rows = [{"prompt": f"Print the sum of the first {n} squares.", "domain": "code", "checks": checks} for n in range(40)]
    return _problems(plant, "vacuous", rows)


@fault("same_answer")
def one_answer_for_all(plant: Plant) -> list[str]:
    rows = [{"prompt": f"{a}+{b}-{b}-{a}+4=?", "reference": "4", "domain": "chain"} for a in range(7) for b in range(8)]
    return _problems(plant, "constant", rows)


@fault("learning_rate")
def a_rate_for_another_optimizer(plant: Plant) -> list[str]:
    return ["optimizer.learning_rate=0.3"]


@fault("learning_rate")
def a_rate_of_full_training_on_adapters(plant: Plant) -> list[str]:
    return ["model.lora={r: 8}", "optimizer.learning_rate=1e-6"]  # the default, for all weights of 7 B


@fault("noise")
def weights_of_no_training(plant: Plant) -> list[str]:
    directory = plant.copy("fresh")

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        generator = torch.Generator().manual_seed(0)
        for name, tensor in tensors.items():
            if tensor.dim() == 2:
                tensors[name] = torch.randn(tensor.shape, generator=generator) * 0.02

    _weights(directory, spoil)
    return [f"model.path={directory}"]


@fault("prompt_too_long")
def a_limit_beyond_the_positions(plant: Plant) -> list[str]:
    return [f"sampling.max_completion_tokens={plant.positions}"]


@fault("always_the_same")
def a_temperature_near_zero(plant: Plant) -> list[str]:
    return ["sampling.temperature=0.01"]


@fault("temperature_high")
def a_temperature_of_noise(plant: Plant) -> list[str]:
    return ["sampling.temperature=4"]


@fault("kl_too_strong")
def a_kl_that_outweighs_the_reward(plant: Plant) -> list[str]:
    return ["algorithm.kl_coef=5"]


@fault("warmup_too_long")
def a_warmup_longer_than_the_run(plant: Plant) -> list[str]:
    return ["optimizer.warmup_steps=2000", "train.steps=100"]


@fault("too_hard")
def problems_far_too_hard(plant: Plant) -> list[str]:
    return plant.hard


def weights_with_a_nan(plant: Plant) -> list[str]:
    """No figure is needed to see it: the model is refused when it is opened."""
    directory = plant.copy("nan")

    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        tensors["model.norm.weight"][3] = torch.nan

    _weights(directory, spoil)
    return [f"model.path={directory}"]


def the_tokenizer_of_another_model(plant: Plant) -> list[str]:
    """Token ids changed about; on a large vocabulary only, whose model has learnt to expect prompts."""
    directory = plant.copy("foreign")

    def change_about(data: dict[str, Any]) -> None:
        vocabulary = data["model"]["vocab"]
        special = {token["id"] for token in data["added_tokens"]}
        plain = [token for token, number in vocabulary.items() if number not in special]
        numbers = sorted((vocabulary[token] for token in plain), reverse=True)
        vocabulary.update(zip(plain, numbers, strict=True))

    _edit(directory / "tokenizer.json", change_about)
    return [f"model.path={directory}"]

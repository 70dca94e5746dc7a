"""Configuration is typed: every key is known, every mistake is named with its cure."""

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from wenet_lite.config import apply_overrides, differences, dump_yaml, from_dict, load_yaml, to_dict
from wenet_lite.errors import ConfigError
from wenet_lite.experiment import ExperimentConfig, read_experiment

ROOT = Path(__file__).resolve().parents[1]
CONF = ROOT / "conf"
RECIPE = ROOT / "egs/librispeech"


@dataclass(frozen=True)
class Inner:
    rate: float = 0.1
    kind: Literal["a", "b"] = "a"


@dataclass(frozen=True)
class Outer:
    size: int
    inner: Inner = field(default_factory=Inner)
    maybe: Inner | None = None
    factors: tuple[float, ...] = (1.0,)


def test_yaml_maps_one_to_one(tmp_path: Path) -> None:
    config = Outer(3, Inner(0.5, "b"), None, (0.9, 1.1))
    dump_yaml(config, tmp_path / "x.yaml")
    assert from_dict(Outer, load_yaml(tmp_path / "x.yaml")) == config


@pytest.mark.parametrize(
    "tree, message",
    [
        ({"size": 1, "iner": {}}, "unknown key 'iner'; did you mean 'inner'"),
        ({"size": 1, "inner": {"rat": 1}}, "unknown key 'inner.rat'; did you mean 'rate'"),
        ({}, "key 'size' is missing"),
        ({"size": "x"}, "'size' must be of type int, got 'x'"),
        ({"size": True}, "'size' must be of type int"),
        ({"size": 1, "inner": {"kind": "c"}}, "'inner.kind' must be one of a, b"),
        ({"size": 1, "inner": 5}, "'inner' must be a section"),
        ({"size": 1, "factors": [1.0, "y"]}, "'factors"),
    ],
)
def test_mistakes_are_named(tree: dict, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        from_dict(Outer, tree, path="x.yaml")
    assert str(caught.value).startswith("x.yaml: ")


def test_overrides_change_one_value() -> None:
    tree = apply_overrides({"a": {"b": 1, "c": 2}}, ["a.b=3e-3", "d=[1, 2]"])
    assert from_dict(Inner, {"rate": tree["a"]["b"]}).rate == 0.003
    assert tree["a"]["c"] == 2 and tree["d"] == [1, 2]


@pytest.mark.parametrize("override", ["a", "=1", "a.b.c=1"])
def test_malformed_overrides_are_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="--set"):
        apply_overrides({"a": {"b": 1}}, [override])


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_is_valid_and_survives_a_round_trip(path: Path) -> None:
    config = read_experiment(path)
    assert from_dict(ExperimentConfig, to_dict(config)) == config


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_configuration_names_the_command_that_trains_it(path: Path) -> None:
    head = path.read_text().partition("schema:")[0].replace("\\\n#", "")
    (command,) = [line for line in head.splitlines() if line.startswith("#   bash run.sh")]
    words = shlex.split(command.removeprefix("#"))[2:]
    options = dict(zip(words[::2], words[1::2]))
    for name in options:
        assert f"\n  {name} " in (RECIPE / "run.sh").read_text()
    corpus = (RECIPE / "corpora" / f"{options.get('--corpus', 'smoke')}.sh").read_text()
    default = re.search(r"^train_config=(\S+)$", corpus, re.MULTILINE)
    assert options.get("--train-config", default and default[1]) == f"conf/{path.name}"


@pytest.mark.parametrize(
    "setting",
    [
        "seed=-1", "seed=4294967296", "features.num_mel_bins=0", "features.dither=-1", "batch.bucket_width=.nan",
        "batch.bucket_width=.inf", "model.encoder.dropout_rate=1", "model.encoder.attention_dropout_rate=-0.1",
        "model.decoder.positional_dropout_rate=2", "model.encoder.moe.dropout_rate=1.5", "training.max_epochs=-1",
        "training.max_updates=-1", "training.max_hours=-1", "training.early_stop=-1", "training.max_bad_fraction=-1",
        "training.checkpoint_interval=-1", "training.checkpoint_minutes=-1", "training.keep_best=-1",
        "training.num_workers=-1", "training.profile_updates=-1", "training.grad_clip=0", "training.grad_clip=-5",
        "training.grad_clip=nan", "training.optimizer.lr=0", "training.optimizer.lr=-0.001",
        "training.optimizer.lr=.inf", "training.optimizer.betas=[0.9, 1]", "training.optimizer.betas=[-0.1, 0.9]",
        "training.optimizer.eps=-1", "training.optimizer.weight_decay=-1", "training.schedule.final_ratio=-1",
        "training.spec_augment.num_t_mask=-1", "training.spec_augment.max_f=-1",
        "training.spec_augment.max_t_ratio=1.1", "training.spec_sub.num_t_sub=-1", "training.spec_trim.max_t=-1",
    ],
)  # fmt: skip
def test_values_that_cannot_be_meant_are_refused_by_name(setting: str) -> None:
    with pytest.raises(ConfigError, match=setting.partition("=")[0].rpartition(".")[2]):
        read_experiment(CONF / "smoke.yaml", [setting])


@pytest.mark.parametrize(
    "setting",
    [
        "seed=0", "batch.bucket_width=0", "model.encoder.dropout_rate=0", "training.max_updates=0",
        "training.checkpoint_interval=0", "training.keep_best=0", "training.num_workers=0", "training.grad_clip=.inf",
        "training.optimizer.betas=[0, 0.9]", "training.optimizer.lr=1e-30", "training.spec_augment.num_t_mask=0",
        "training.spec_augment=null",
    ],
)  # fmt: skip
def test_what_has_a_meaning_at_the_edge_is_taken(setting: str) -> None:
    read_experiment(CONF / "smoke.yaml", [setting])


def test_differences_name_key_and_both_values() -> None:
    before, now = to_dict(Outer(3)), to_dict(Outer(3, Inner(0.2), None, (1.0, 2.0)))
    assert differences(before, now) == ["factors: [1.0] -> [1.0, 2.0]", "inner.rate: 0.1 -> 0.2"]
    assert differences(now, now) == []


def test_broken_yaml_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("a: 1\nb: [1\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:\d: is not valid YAML"):
        load_yaml(tmp_path / "x.yaml")
    with pytest.raises(ConfigError, match="cannot read"):
        load_yaml(tmp_path / "y.yaml")

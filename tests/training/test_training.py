"""Training survives being killed, does not depend on the number of ranks, and says what it leaves out."""

import json
import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toy import ROOT, Toy, run_module
from toy_run import assert_same_weights, losses, newest, records

from wenet_lite.bin import make_shards, train
from wenet_lite.distributed import World
from wenet_lite.errors import CheckpointError, ConfigError, DataError
from wenet_lite.model.asr_model import Losses
from wenet_lite.text.tokenizer import read_units, write_units
from wenet_lite.training.average import average_checkpoints, choose_checkpoints
from wenet_lite.training.checkpoint import load_checkpoint, save_checkpoint
from wenet_lite.training.meter import Meter
from wenet_lite.training.unreadable import Unreadable

FIXED = ("model.encoder.dropout_rate=0.0", "model.encoder.positional_dropout_rate=0.0", "batch.speed_factors=[1.0]")
LONGER = ("training.max_epochs=8",)


@pytest.fixture(scope="module")
def undisturbed(toy: Toy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    exp_dir = tmp_path_factory.mktemp("undisturbed")
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(exp_dir, *LONGER))
    assert result.returncode == 0, result.stderr
    return exp_dir


@pytest.mark.parametrize("norm", ["layer_norm", "batch_norm"])
def test_two_ranks_take_the_updates_of_one(toy: Toy, tmp_path: Path, norm: str) -> None:
    for processes in (1, 2):
        arguments = toy.train_arguments(tmp_path / str(processes), *FIXED, f"model.encoder.cnn_module_norm={norm}")
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
    one, two = records(tmp_path / "1"), records(tmp_path / "2")
    assert len(one) == len(two) > 5
    for a, b in zip(one, two):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-4)  # metrics keep six digits
    for a, b in zip(records(tmp_path / "1", "dev"), records(tmp_path / "2", "dev")):
        assert b["loss"] == pytest.approx(a["loss"], rel=1e-3)
    one, two = (newest(tmp_path / str(processes)).model for processes in (1, 2))
    for name, value in one.items():
        if "running" in name or "num_batches" in name:
            torch.testing.assert_close(two[name], value, rtol=1e-3, atol=1e-3, msg=name)


def test_another_network_does_not_go_on_with_the_weights_of_this_one(toy: Toy, tmp_path: Path) -> None:
    """Shapes do not tell true distances from absolute positions."""
    train.main(toy.train_arguments(tmp_path, "training.max_epochs=1"))
    other = "model.encoder.pos_enc_layer_type=rel_pos_true"
    with pytest.raises(CheckpointError, match="is of another model: model.encoder.pos_enc_layer_type: rel_pos -> "):
        train.main(toy.train_arguments(tmp_path, "training.max_epochs=2", other))


@pytest.mark.parametrize(("before", "now"), [("adam", "novograd"), ("novograd", "adamw")])
def test_an_optimizer_does_not_go_on_with_the_moments_of_another_kind(
    toy: Toy, tmp_path: Path, before: str, now: str
) -> None:
    one, two = (f"training.max_epochs={epochs}" for epochs in (1, 2))
    assert train.main(toy.train_arguments(tmp_path, one, f"training.optimizer.type={before}")) == 0
    other = toy.train_arguments(tmp_path, two, f"training.optimizer.type={now}")
    with pytest.raises(CheckpointError, match=rf"moments of another optimiser: .*type: {before} -> {now} \("):
        train.main([*other, "--allow-config-change"])


@pytest.mark.parametrize("change", ["another order", "one more"])
def test_a_run_with_other_units_does_not_go_on_in_any_case(toy: Toy, tmp_path: Path, change: str) -> None:
    """Rows of the weights belong to units."""
    exp_dir, lang = tmp_path / "exp", tmp_path / "lang"
    assert train.main(toy.train_arguments(exp_dir, "training.max_epochs=1")) == 0
    units = list(read_units(toy.folder / "lang" / "units.txt"))[3:]
    shutil.copytree(toy.folder / "lang", lang)
    write_units(reversed(units) if change == "another order" else [*units, "Z"], lang / "units.txt")
    arguments = [*toy.train_arguments(exp_dir, "training.max_epochs=2"), "--allow-config-change"]
    arguments[arguments.index("--lang-dir") + 1] = str(lang)
    before = {path: path.read_bytes() for path in exp_dir.rglob("*") if path.is_file() and path.name != ".lock"}
    with pytest.raises(ConfigError, match=r"lang: units or BPE model are not those of .*/exp, .* \(give the lang dir"):
        train.main(arguments)
    assert {path: path.read_bytes() for path in exp_dir.rglob("*") if path.name != ".lock" and path.is_file()} == before


def test_a_changed_run_goes_on_only_when_that_is_wanted(toy: Toy, tmp_path: Path) -> None:
    train.main(toy.train_arguments(tmp_path / "exp", "training.max_epochs=1"))
    arguments = toy.train_arguments(tmp_path / "exp", "training.max_epochs=2", "training.optimizer.lr=0.002")
    with pytest.raises(
        ConfigError, match=r"training\.optimizer\.lr: 0\.003 -> 0\.002 \(undo that, .*--allow-config-ch"
    ):
        train.main(arguments)
    lines = (toy.folder / "train/data.list").read_text().splitlines(keepends=True)
    (tmp_path / "data.list").write_text("".join(reversed(lines)))
    arguments = toy.train_arguments(tmp_path / "exp", "training.max_epochs=2")
    arguments[arguments.index("--train-data") + 1] = str(tmp_path / "data.list")
    cosine = toy.train_arguments(tmp_path / "exp", "training.max_epochs=2", "training.schedule.type=cosine")
    with pytest.raises(
        ConfigError, match=r"training\.max_epochs: 1 -> 2; training\.schedule\.type: warmuplr -> cosine"
    ):
        train.main(cosine)
    with pytest.raises(ConfigError, match="the training data: utterances or transcripts are not those of the list"):
        train.main(arguments)
    assert len(records(tmp_path / "exp", "dev")) == 1
    assert train.main([*arguments, "--allow-config-change"]) == 0
    assert len(records(tmp_path / "exp", "dev")) == 2


def test_hours_are_not_free_where_a_dev_loss_at_the_end_counts(toy: Toy, tmp_path: Path) -> None:
    for kind in ("cosine", "plateau"):
        schedule = f"training.schedule.type={kind}"
        assert train.main(toy.train_arguments(tmp_path / kind, "training.max_epochs=1", schedule)) == 0
    hours = ("training.max_epochs=1", "training.max_hours=9")
    with pytest.raises(ConfigError, match=r"checkpoint: training\.max_hours: 0\.0 -> 9\.0 \(undo that"):
        train.main(toy.train_arguments(tmp_path / "plateau", *hours, "training.schedule.type=plateau"))
    assert train.main(toy.train_arguments(tmp_path / "cosine", *hours, "training.schedule.type=cosine")) == 0


def test_a_run_of_an_older_version_goes_on_where_new_settings_have_their_defaults(toy: Toy, tmp_path: Path) -> None:
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1")) == 0
    checkpoint = newest(tmp_path)
    older = {**checkpoint.config, "batch": dict(checkpoint.config["batch"])}
    del older["batch"]["plain_epochs"]
    save_checkpoint(replace(checkpoint, config=older), tmp_path / "checkpoints")
    with pytest.raises(ConfigError, match=r"batch\.plain_epochs: 0 -> 1"):
        train.main(toy.train_arguments(tmp_path, "training.max_epochs=2", "batch.plain_epochs=1"))
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=2")) == 0
    assert len(records(tmp_path, "dev")) == 2


def test_the_loss_falls(undisturbed: Path) -> None:
    found = losses(undisturbed)
    assert len(found) > 8 and sum(found[-3:]) < 0.9 * sum(found[:3])
    assert list((undisturbed / "tensorboard").iterdir())


def test_the_average_is_the_mean(undisturbed: Path) -> None:
    paths = choose_checkpoints(undisturbed / "checkpoints", 2, "best")
    states = [load_checkpoint(path).model for path in paths]
    mean = average_checkpoints(paths)
    for name, tensor in mean.items():
        expected = (states[0][name].double() + states[1][name].double()) / 2
        assert torch.equal(tensor, expected.to(tensor.dtype)), name
    with pytest.raises(CheckpointError, match="99 are to be averaged"):
        choose_checkpoints(undisturbed / "checkpoints", 99, "best")


def test_unreadable_audio_is_listed_and_too_much_of_it_is_an_error(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    lines = (toy.folder / "train/data.list").read_text().splitlines()
    damaged = {**json.loads(lines[0]), "wav": str(tmp_path / "gone.wav")}
    (tmp_path / "data.list").write_text("\n".join([json.dumps(damaged), *lines[1:]]) + "\n")
    arguments = toy.train_arguments(tmp_path / "exp", "training.max_epochs=1")
    arguments[arguments.index("--train-data") + 1] = str(tmp_path / "data.list")
    with pytest.raises(DataError, match=r"1 of 24 training utterances cannot be used.*gone\.wav: no such audio file"):
        train.main(arguments)
    assert train.main([*arguments, "--set", "training.max_bad_fraction=0.1"]) == 0
    assert f"utterance {damaged['key']} left out" in caplog.text


def test_what_was_unreadable_before_a_restart_still_counts(caplog: pytest.LogCaptureFixture) -> None:
    unreadable = Unreadable("training", total=100, left_out=1, max_bad_fraction=0.03, world=World())
    unreadable.begin()
    unreadable.add({"a": "gone", "b": "torn"})
    unreadable.report()
    again = Unreadable("training", total=100, left_out=1, max_bad_fraction=0.03, world=World())
    again.begin(unreadable.keys)
    again.add({"b": "torn"})
    again.report()  # the same one, heard again after the checkpoint
    again.add({"c": "gone"})
    with pytest.raises(DataError, match="4 of 100 training utterances cannot be used"):
        again.report()
    again.begin()
    again.add({"c": "gone"})
    again.report()
    assert caplog.messages[:2] == ["training utterance a left out: gone", "training utterance b left out: torn"]


def test_means_leave_out_what_has_no_finite_loss() -> None:
    meter = Meter(torch.device("cpu"), ["ctc"], [], 0)
    meter.start()
    for totals in ([1.0, torch.nan, torch.inf], [3.0]):
        total = torch.tensor(totals)
        meter.add(Losses(total, {"ctc": 2 * total}), torch.tensor([16000] * len(totals)))
    metrics = meter.read(World())
    assert (metrics["loss"], metrics["ctc"]) == (2.0, 4.0)
    meter.add(Losses(torch.tensor([torch.nan]), {"ctc": torch.zeros(1)}), torch.tensor([16000]))
    assert math.isnan(meter.read(World())["loss"])


def test_ranks_that_cannot_share_an_update_are_refused(toy: Toy, tmp_path: Path) -> None:
    result = run_module("wenet_lite.bin.train", *toy.train_arguments(tmp_path), processes=3)
    assert result.returncode == 1
    # One line, of one rank, and no stack trace; the lines before it are the log's.
    assert result.stderr.count("3 processes cannot share 2 micro-batches") == 1
    assert result.stderr.splitlines()[-1].startswith("train: 3 processes cannot share")


def test_a_full_disk_is_one_line_and_the_old_checkpoint_survives(toy: Toy, tmp_path: Path) -> None:
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1")) == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()}
    limit = min(len(content) for content in before.values()) // 2
    # A file-size limit stands in for the full disk: writes fail in the middle of the checkpoint.
    code = f"""
import resource, signal, sys
from wenet_lite.bin import command, train
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(command.run(train.main, {toy.train_arguments(tmp_path, "training.max_epochs=2")!r}))
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    last = result.stderr.splitlines()[-1]
    assert "File too large: the disk at " in last and last.endswith("(free space or choose another folder)")
    assert "Traceback" not in result.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "checkpoints").iterdir()} == before


def test_an_unknown_key_is_one_line(toy: Toy, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'training\.optimizer\.lrr'; did you mean 'lr'"):
        train.main(toy.train_arguments(tmp_path, "training.optimizer.lrr=1"))
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("source", ["shards", "streamed shards", "workers"])
def test_shards_streams_and_workers_train_the_weights_of_files(toy: Toy, tmp_path: Path, source: str) -> None:
    plain, other = tmp_path / "plain", tmp_path / "other"
    settings = ("training.max_epochs=1", "batch.shard_window=5") if "streamed" in source else ("training.max_epochs=1",)
    arguments = ["--data-dir", str(toy.folder / "train"), "--lang-dir", str(toy.folder / "lang")]
    make_shards.main([*arguments, "--utterances-per-shard", "4", "--output-dir", str(tmp_path), "--jobs", "1"])
    shards = str(tmp_path / "shards.list")
    first, second = toy.train_arguments(plain, *settings), toy.train_arguments(other, *settings)
    if source == "workers":
        second += ["--set", "training.num_workers=2"]
    else:
        second[second.index("--train-data") + 1] = shards
    if source == "streamed shards":  # planned by windows: they are compared with themselves, with a worker
        lines = (tmp_path / "shards.list").read_text().splitlines()
        (tmp_path / "streams.list").write_text("".join(f"cat {line} |\n" for line in lines))
        first[first.index("--train-data") + 1] = str(tmp_path / "streams.list")
        second[second.index("--train-data") + 1] = str(tmp_path / "streams.list")
        first += ["--allow-pipes"]
        second += ["--allow-pipes", "--set", "training.num_workers=1"]
    assert train.main(first) == 0 and train.main(second) == 0
    assert_same_weights(other, plain)


def test_noise_rooms_and_the_other_augmentations_train(toy: Toy, tmp_path: Path) -> None:
    augment = [f"augment.{kind}_list={toy.folder / 'train/wav.scp'}" for kind in ("noise", "rir")]
    spectrum = ["training.spec_sub={max_t: 5}", "training.spec_trim={max_t: 3}", "augment.volume_db=[-3, 3]"]
    assert train.main(toy.train_arguments(tmp_path, "training.max_epochs=1", *augment, *spectrum)) == 0
    assert records(tmp_path)


def test_plain_epochs_are_those_of_a_run_without_augmentation(toy: Toy, tmp_path: Path) -> None:
    trim, volume = "training.spec_trim={max_t: 3}", "augment.volume_db=[-9, 9]"
    augmented = ("training.spec_augment={max_t: 9}", "training.spec_sub={max_t: 5}", trim, volume)
    none = ("training.spec_augment=null", "batch.speed_factors=[1.0]")
    runs = {"plain": (*augmented, "batch.plain_epochs=1"), "none": none, "augmented": augmented}
    found = {}
    for name, settings in runs.items():
        assert train.main(toy.train_arguments(tmp_path / name, *settings, "training.schedule.type=constant")) == 0
        found[name] = losses(tmp_path / name, "dev")
    assert found["plain"][0] == found["none"][0] != found["augmented"][0]
    assert found["plain"][1] != found["none"][1]


def test_plain_epochs_have_one_view(toy: Toy, tmp_path: Path) -> None:
    settings = ("training.max_epochs=2", "training.spec_augment={}", "batch.plain_epochs=1", "training.log_interval=1")
    for name, weight in (("two", 0.2), ("one", 0.0)):
        assert train.main(toy.train_arguments(tmp_path / name, *settings, f"model.cr_ctc_weight={weight}")) == 0
    consistency = {epoch: [r["cr_ctc"] for r in records(tmp_path / "two") if r["epoch"] == epoch] for epoch in (1, 2)}
    assert set(consistency[1]) == {0.0} and min(consistency[2]) > 0
    two, one = (losses(tmp_path / name, "dev") for name in ("two", "one"))
    assert two[0] == one[0] and two[1] != one[1]


@pytest.mark.parametrize("masked", [True, False])
def test_two_views_are_trained_to_agree(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture, masked: bool
) -> None:
    masks = f"training.spec_augment={'{}' if masked else 'null'}"
    settings = ("training.max_epochs=2", "model.cr_ctc_weight=0.2", masks)
    assert train.main(toy.train_arguments(tmp_path, *settings)) == 0
    assert masked != any("the two views differ by dropout alone" in line for line in caplog.messages)
    consistency = [record["cr_ctc"] for record in records(tmp_path)]
    assert all(0 < value < 1e3 for value in consistency)
    assert "cr_ctc" not in records(tmp_path, "dev")[0]  # one view is measured there

"""A run starts from the weights of another one, whatever its vocabulary, and says what it could not take."""

import logging
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from toy import Toy, make_toy, run_module
from toy_run import losses, newest

from wenet_lite.bin import train
from wenet_lite.data.weighted_list import WeightedList
from wenet_lite.distributed import World
from wenet_lite.errors import CheckpointError
from wenet_lite.experiment import DataPaths, build_recipe, read_experiment
from wenet_lite.features.cmvn import read_cmvn
from wenet_lite.model.weights import unit_axis
from wenet_lite.text.tokenizer import read_units
from wenet_lite.training.checkpoint import list_checkpoints, load_checkpoint
from wenet_lite.training.initialization import Fate, plan_initialization
from wenet_lite.training.tensor_groups import group_by_module

SPECIAL = ["<blank>", "<unk>", "<sos/eos>"]
WORDS = {"LA": (300, 900), "TI": (1800, 1100), "DO": (600, 2400)}
ONE_EPOCH = "training.max_epochs=1"
STEADY = ("model.encoder.dropout_rate=0.0", "model.encoder.positional_dropout_rate=0.0", "batch.speed_factors=[1.0]")


@pytest.fixture(scope="module")
def other_toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """Another corpus, with other units: some of the first one's, and a new one."""
    return make_toy(tmp_path_factory.mktemp("other_toy"), WORDS, train=8)


def start(toy: Toy, checkpoint: Path, *settings: str, partial: bool = False) -> dict[str, Tensor]:
    """The weights before the first update."""
    train_data = [WeightedList(str(toy.folder / "train/data.list"))]
    paths = [str(toy.folder / name) for name in ("dev/data.list", "lang", "global_cmvn")]
    data = DataPaths(train_data, *paths, init_from=str(checkpoint), init_partial=partial)
    config = read_experiment(toy.folder / "toy.yaml", settings)
    return build_recipe(config, data, World(), torch.device("cpu")).model.state_dict()


def weights(toy_model: Path) -> dict[str, Tensor]:
    return torch.load(toy_model / "avg_2.pt", weights_only=True)


def units(*pieces: str) -> dict[str, int]:
    return {unit: row for row, unit in enumerate([*SPECIAL, *pieces])}


def tensors(shapes: dict[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """Of numbers that occur once only."""
    return {name: torch.rand(shape) for name, shape in shapes.items()}


tables = st.lists(st.sampled_from("ABCDEFG"), unique=True).map(lambda pieces: units(*pieces))


@given(own_units=tables, given_units=tables)
def test_a_row_belongs_to_its_unit(own_units: dict[str, int], given_units: dict[str, int]) -> None:
    shapes = {"ctc.ctc_lo.weight": (4,), "ctc.ctc_lo.bias": (), "decoder.embed.0.weight": (4,)}
    own, checkpoint = (
        tensors({name: (len(table), *rest) for name, rest in shapes.items()}) for table in (own_units, given_units)
    )
    plan = plan_initialization(own, checkpoint, own_units, given_units)
    for name in shapes:
        for unit, row in own_units.items():
            source = checkpoint[name][given_units[unit]] if unit in given_units else own[name][row]
            assert torch.equal(plan.values[name][row], source)
    assert set(plan.fates.values()) == {Fate.LOADED if own_units == given_units else Fate.RESIZED}
    assert plan.matched_units == len(own_units.keys() & given_units.keys())
    assert (plan.new_units, plan.dropped_units) == (
        len(own_units) - plan.matched_units,
        len(given_units) - plan.matched_units,
    )


@pytest.mark.parametrize("rows", [5, 6])
def test_unknown_units_are_assumed_equal_only_where_the_shape_is(rows: int) -> None:
    own = tensors({"ctc.ctc_lo.weight": (5, 4)})
    plan = plan_initialization(own, tensors({"ctc.ctc_lo.weight": (rows, 4)}), units("A", "B"), None)
    assert plan.fates == {"ctc.ctc_lo.weight": Fate.LOADED if rows == 5 else Fate.MISFIT}
    assert plan.assumes_units == (rows == 5) and (plan.matched_units, plan.new_units, plan.dropped_units) == (0, 0, 0)


def test_heads_on_intermediate_layers_and_both_decoders_have_rows_of_units(toy: Toy, toy_model: Path) -> None:
    multi = ("model.multi_level={layers: [1]}", "model.decoder.r_num_blocks=1", "model.reverse_weight=0.3")
    names = [name for name in start(toy, toy_model / "avg_2.pt", *multi, partial=True) if unit_axis(name) == 0]
    heads = ["ctc.ctc_lo.weight", "ctc.ctc_lo.bias"]
    decoder = ["embed.0.weight", "output_layer.weight", "output_layer.bias"]
    both = [f"decoder.{side}_decoder.{name}" for side in ("left", "right") for name in decoder]
    assert names == [*heads, *both, *(f"auxiliary.0.{name}" for name in (*heads, *(f"decoder.{n}" for n in decoder)))]
    assert unit_axis("encoder.embed.0.weight") is None


def test_posteriors_that_go_back_into_the_encoder_have_columns_of_units() -> None:
    name = "encoder.conditioning.0.back.weight"
    own, given = tensors({name: (4, 5)}), {name: torch.arange(24.0).view(4, 6)}
    plan = plan_initialization(own, given, units("A", "B"), units("B", "C", "A"))
    assert plan.fates == {name: Fate.RESIZED} and plan.matched_units == 5
    assert torch.equal(plan.values[name], given[name][:, [0, 1, 2, 5, 3]])


def test_a_mixture_starts_from_a_dense_model(toy: Toy, toy_model: Path) -> None:
    moe = ("model.encoder.moe={num_experts: 2, embedding_num_blocks: 0, embedding_ctc_weight: 0.0}",)
    dense = weights(toy_model)
    with pytest.raises(CheckpointError, match=r"left: encoder.encoders.0-1.feed_forward.gate.* .*--init-partial"):
        start(toy, toy_model / "avg_2.pt", *moe)
    mixture = start(toy, toy_model / "avg_2.pt", *moe, partial=True)
    layer = "encoder.encoders.1.feed_forward"
    for expert in range(2):
        assert torch.equal(mixture[f"{layer}.experts.{expert}.w_2.bias"], dense[f"{layer}.w_2.bias"])


def test_another_use_of_the_same_tensors_is_named(toy: Toy, toy_model: Path) -> None:
    other = "model.encoder.pos_enc_layer_type=rel_pos_true"
    with pytest.raises(CheckpointError, match="the checkpoint has another model.encoder.pos_enc_layer_type: rel_pos"):
        start(toy, toy_model / "avg_2.pt", other)
    assert start(toy, toy_model / "avg_2.pt", other, partial=True)


def test_every_expert_gets_a_copy_of_the_dense_layer() -> None:
    layer = "encoder.encoders.0.feed_forward"
    experts = {f"{layer}.experts.{i}.w_1.weight": (6, 4) for i in range(3)}
    plan = plan_initialization(
        tensors({**experts, f"{layer}.gate.weight": (3, 4), f"{layer}_macaron.w_1.weight": (6, 4)}),
        tensors({f"{layer}.w_1.weight": (6, 4), f"{layer}_macaron.w_1.weight": (6, 4)}),
        units(),
        units(),
    )
    assert plan.names(Fate.COPIED) == list(experts)
    assert plan.names(Fate.LOADED) == [f"{layer}_macaron.w_1.weight"]
    assert plan.names(Fate.LEFT) == [f"{layer}.gate.weight"] and not plan.names(Fate.UNUSED)
    for name in experts:
        assert torch.equal(plan.values[name], plan.given[f"{layer}.w_1.weight"])


def test_the_checkpoints_own_experts_come_before_its_dense_layer() -> None:
    shapes = {f"layer.feed_forward.experts.{i}.w_1.weight": (6, 4) for i in range(2)}
    plan = plan_initialization(tensors(shapes), tensors(shapes), units(), units())
    assert plan.names(Fate.LOADED) == list(shapes)
    narrow = plan_initialization(tensors(shapes), tensors({"layer.feed_forward.w_1.weight": (8, 4)}), units(), units())
    assert narrow.names(Fate.MISFIT) == list(shapes) and not narrow.values
    (group,) = narrow.groups(Fate.MISFIT)
    assert group.startswith("layer.* (2 tensors, 48 values; ") and "has shape (8, 4), the model (6, 4)" in group


def test_layers_of_a_kind_are_one_group() -> None:
    everyone = [f"encoders.{i}.{part}.{kind}" for i in range(12) for part in ("norm", "ff") for kind in ("w", "b")]
    layers = [name for name in everyone if int(name.split(".")[1]) >= 6]
    assert group_by_module(layers, everyone) == {"encoders.6-11.*": layers}
    norms = [name for name in layers if ".norm." in name and ".8." not in name]
    assert group_by_module(norms, everyone) == {"encoders.6,7,9,10,11.norm.*": norms}
    assert list(group_by_module(["encoders.0.ff.b"], everyone)) == ["encoders.0.ff.b"]
    assert list(group_by_module(["encoders.0.ff.b", "encoders.1.ff.b"], everyone)) == ["encoders.0-1.ff.b"]


def test_weights_and_cmvn_are_the_checkpoints(toy: Toy, other_toy: Toy, toy_model: Path) -> None:
    base = weights(toy_model)
    ours, theirs = (read_units(toy.folder / "lang/units.txt") for toy in (other_toy, toy))
    started = start(other_toy, toy_model / "avg_2.pt")
    assert "T" in ours.keys() - theirs.keys() and "R" in theirs.keys() - ours.keys()
    for name, tensor in started.items():
        if unit_axis(name) is None:
            assert torch.equal(tensor, base[name]), name  # encoder.global_cmvn.* among them
        else:
            for unit in ours.keys() & theirs.keys():
                assert torch.equal(tensor[ours[unit]], base[name][theirs[unit]]), name


def test_equal_units_load_everything_from_a_training_checkpoint(toy: Toy, toy_model: Path) -> None:
    newest = list_checkpoints(toy_model / "checkpoints")[-1]  # its units are a folder above
    base = load_checkpoint(newest).model
    started = start(toy, newest)
    assert all(torch.equal(tensor, base[name]) for name, tensor in started.items())


def test_another_vocabulary_is_trained_and_told(
    other_toy: Toy, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    init = ["--init-from", str(toy_model / "avg_2.pt")]
    for name in ("one", "two"):
        assert train.main([*other_toy.train_arguments(tmp_path / name, ONE_EPOCH), *init]) == 0
    ours, theirs = (read_units(folder / "units.txt") for folder in (tmp_path / "one", toy_model))
    matched = len(ours.keys() & theirs.keys())
    counts = f"{matched} matched, {len(ours) - matched} new, {len(theirs) - matched} of the checkpoint's dropped"
    assert f"units: {counts}" in caplog.messages
    assert any(line.startswith("resized: ctc.* (2 tensors, ") for line in caplog.messages)
    assert any(line.startswith("resized: decoder.embed.0.weight (1 tensor, ") for line in caplog.messages)
    assert any(line.startswith("CMVN: the checkpoint's statistics") for line in caplog.messages)
    assert not any(line.startswith(("left", "unused", "no units.txt")) for line in caplog.messages)
    one, two = newest(tmp_path / "one").model, newest(tmp_path / "two").model
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_two_ranks_start_alike_and_the_first_one_tells(other_toy: Toy, toy_model: Path, tmp_path: Path) -> None:
    init = ["--init-from", str(toy_model / "avg_2.pt")]
    for processes in (1, 2):
        arguments = [*other_toy.train_arguments(tmp_path / str(processes), ONE_EPOCH, *STEADY), *init]
        result = run_module("wenet_lite.bin.train", *arguments, processes=processes)
        assert result.returncode == 0, result.stderr
        assert result.stderr.count("the model starts from") == 1
    assert losses(tmp_path / "2") == pytest.approx(losses(tmp_path / "1"), rel=1e-4)


def test_a_run_with_checkpoints_goes_on_from_them(
    other_toy: Toy, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    base = shutil.copytree(toy_model, tmp_path / "base")
    init = ["--init-from", str(base / "avg_2.pt")]
    assert train.main([*other_toy.train_arguments(tmp_path / "whole"), *init]) == 0
    assert train.main([*other_toy.train_arguments(tmp_path / "halves", ONE_EPOCH), *init]) == 0
    shutil.rmtree(base)
    caplog.clear()
    caplog.set_level(logging.INFO)
    assert train.main([*other_toy.train_arguments(tmp_path / "halves"), *init]) == 0
    assert sum("--init-from is not applied again" in line for line in caplog.messages) == 1
    assert not any("the model starts from" in line for line in caplog.messages)
    whole, halves = newest(tmp_path / "whole").model, newest(tmp_path / "halves").model
    assert all(torch.equal(whole[name], halves[name]) for name in whole)


def test_the_statistics_of_a_run_are_those_of_its_model(
    other_toy: Toy, toy: Toy, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is exported takes them from there: after --init-from, and where a run goes on with another --cmvn."""

    def are_the_models(exp_dir: Path) -> bool:
        model, found = newest(exp_dir).model, read_cmvn(exp_dir / "global_cmvn").mean_and_istd()
        own = [model[f"encoder.global_cmvn.{name}"] for name in ("mean", "istd")]
        return all(map(torch.equal, own, found))

    given = read_cmvn(other_toy.folder / "global_cmvn")
    init = ["--init-from", str(toy_model / "avg_2.pt")]
    assert train.main([*other_toy.train_arguments(tmp_path / "init", ONE_EPOCH), *init]) == 0
    assert are_the_models(tmp_path / "init")
    assert train.main(other_toy.train_arguments(tmp_path / "exp", ONE_EPOCH)) == 0
    assert are_the_models(tmp_path / "exp") and read_cmvn(tmp_path / "exp/global_cmvn").num_frames == given.num_frames
    arguments = other_toy.train_arguments(tmp_path / "exp")
    arguments[arguments.index("--cmvn") + 1] = str(toy.folder / "global_cmvn")
    assert not any("CMVN statistics" in line for line in caplog.messages)
    assert train.main(arguments) == 0
    assert are_the_models(tmp_path / "exp")
    assert sum("goes on with the CMVN statistics that it has so far" in line for line in caplog.messages) == 1


def test_a_silent_partial_load_is_refused(
    toy: Toy, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Another layer, other feed-forward networks, a second decoder: one line, and nothing is made."""
    settings = (ONE_EPOCH, "model.encoder.num_blocks=3", "model.decoder.linear_units=24")
    right = ("model.decoder.r_num_blocks=1", "model.reverse_weight=0.3")
    arguments = [*toy.train_arguments(tmp_path / "exp", *settings), "--init-from", str(toy_model / "avg_2.pt")]
    with pytest.raises(CheckpointError) as refusal:
        train.main(arguments)
    message = str(refusal.value)
    assert message.startswith(f"{toy_model}/avg_2.pt: does not fill the model: left: encoder.encoders.2.* (")
    assert "left, of another shape: decoder.decoders.0.feed_forward.w_1.* (2 tensors, 408 values; " in message
    assert "decoder.decoders.0.feed_forward.w_1.weight has shape (32, 16), the model (24, 16)" in message
    assert message.endswith("(accept that with --init-partial)") and "\n" not in message
    assert not (tmp_path / "exp").exists()
    caplog.set_level(logging.INFO)
    assert train.main([*arguments, "--init-partial"]) == 0
    assert any(line.startswith("left: encoder.encoders.2.* (") for line in caplog.messages)
    with pytest.raises(CheckpointError, match=r"left: decoder\.\* \(\d+ tensors, .*; unused: decoder\.\* \("):
        start(toy, toy_model / "avg_2.pt", *right)


def test_a_checkpoint_without_units_beside_it(
    toy: Toy, other_toy: Toy, toy_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    alone = shutil.copy(toy_model / "avg_2.pt", tmp_path / "alone.pt")
    start(toy, alone)
    assert f"no units.txt beside {alone}: its units are assumed to be equal to this run's" in caplog.messages
    with pytest.raises(CheckpointError, match=r"another shape: ctc.*put its units.txt beside it, or accept that"):
        start(other_toy, alone)
    shutil.copy(other_toy.folder / "lang/units.txt", tmp_path)
    with pytest.raises(CheckpointError, match=r"ctc_lo.weight has shape .*, but .*units.txt \d+ units \(put the"):
        start(other_toy, alone)


@pytest.mark.parametrize("tree", [{"foreign.weight": torch.zeros(3)}, {"encoder.global_cmvn.mean": torch.zeros(20)}])
def test_nothing_to_start_from_is_always_an_error(toy: Toy, tmp_path: Path, tree: dict[str, Tensor]) -> None:
    torch.save(tree, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="has no weight that fits the model"):
        start(toy, tmp_path / "a.pt", partial=True)


@pytest.mark.parametrize("tree", [{}, [1], {"model": {"a": 1}}, {"epoch": 3}])
def test_what_holds_no_weights_is_named(toy: Toy, tmp_path: Path, tree: object) -> None:
    torch.save(tree, tmp_path / "a.pt")
    with pytest.raises(CheckpointError, match="a.pt: is neither a state_dict nor a training checkpoint"):
        start(toy, tmp_path / "a.pt", partial=True)


def test_options_that_cannot_be_meant(
    toy: Toy, toy_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        train.main([*toy.train_arguments(tmp_path), "--init-partial"])
    assert capsys.readouterr().err == "train: --init-partial goes with --init-from (see --help)\n"
    for name in ("avg_2.pt", "units.txt"):  # the run would put its own units beside the weights
        shutil.copy(toy_model / name, tmp_path)
    with pytest.raises(CheckpointError, match="lies in --exp-dir"):
        train.main([*toy.train_arguments(tmp_path), "--init-from", str(tmp_path / "avg_2.pt")])
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        train.main([*toy.train_arguments(tmp_path), "--init-from", str(tmp_path / "checkpoint.pt2" / "gone.pt")])

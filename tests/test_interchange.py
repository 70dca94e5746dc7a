"""WeNet's model directories become ours, and ours WeNet's: strictly, or saying what the other side does not know."""

import shutil
from dataclasses import fields, replace
from pathlib import Path

import pytest
import torch
import yaml
from toy import Toy

from wenet_lite.bin import command, export, import_wenet, recognize, train_bpe
from wenet_lite.config import dump_yaml
from wenet_lite.errors import ConfigError, DataError
from wenet_lite.experiment import ExperimentConfig, build_model, read_experiment
from wenet_lite.features.cmvn import CmvnStats, read_cmvn, write_cmvn
from wenet_lite.features.fbank import FbankConfig
from wenet_lite.interchange.wenet_config import config_from_wenet, config_to_wenet
from wenet_lite.model.decoder import TransformerDecoderConfig
from wenet_lite.model.encoder_config import EncoderConfig
from wenet_lite.model.mixture import MixtureConfig
from wenet_lite.model.model_config import ModelConfig
from wenet_lite.model.multi_level import MultiLevelConfig
from wenet_lite.runtime.model_dir import ModelDescription, load_model

BASE = {
    "model": "asr_model",
    "encoder": "conformer",
    "decoder": "transformer",
    "tokenizer": "char",
    "encoder_conf": {"output_size": 16, "attention_heads": 2, "linear_units": 32, "num_blocks": 1},
    "decoder_conf": {"attention_heads": 2, "linear_units": 32, "num_blocks": 1},
    "model_conf": {"ctc_weight": 0.3},
    "input_dim": 20,
}

ENCODER = EncoderConfig(output_size=16, attention_heads=2, linear_units=32, num_blocks=2)
DECODER = TransformerDecoderConfig(attention_heads=2, linear_units=32, num_blocks=1, r_num_blocks=2)
KINDS = {
    "u2++": (ENCODER, DECODER),
    "u2": (replace(ENCODER, use_dynamic_left_chunk=True), replace(DECODER, r_num_blocks=0)),
    "non-causal": (
        replace(ENCODER, causal=False, use_dynamic_chunk=False, cnn_module_norm="batch_norm", cnn_module_kernel=7),
        DECODER,
    ),
    "absolute positions": (replace(ENCODER, pos_enc_layer_type="abs_pos"), DECODER),
    "sixfold": (replace(ENCODER, input_layer="conv2d6"), replace(DECODER, r_num_blocks=0)),
    "eightfold": (replace(ENCODER, input_layer="conv2d8"), DECODER),
    "transformer": (replace(ENCODER, type="transformer", pos_enc_layer_type="abs_pos"), DECODER),
    "no convolutions": (replace(ENCODER, use_cnn_module=False, activation_type="gelu"), DECODER),
    "one feed-forward": (replace(ENCODER, macaron_style=False), replace(DECODER, activation_type="swish")),
}
OTHER_ENCODER = {
    "type": ["transformer"],
    "output_size": [32],
    "attention_heads": [4],
    "linear_units": [48],
    "num_blocks": [1],
    "input_layer": ["conv2d6", "conv2d8", "dwconv2d4"],
    "subsampling_channels": [4, 16],
    "pos_enc_layer_type": ["abs_pos", "rel_pos_true"],
    "activation_type": ["gelu"],
    "macaron_style": [False],
    "use_cnn_module": [False],
    "cnn_module_kernel": [31],
    "cnn_module_norm": ["batch_norm"],
    "causal": [False],
    "moe": [MixtureConfig()],
    "static_chunk_size": [4],
    "use_dynamic_chunk": [False],
    "use_dynamic_left_chunk": [True],
    "dropout_rate": [0.2],
    "positional_dropout_rate": [0.2],
    "attention_dropout_rate": [0.2],
}
"""Another value than ENCODER's, or several, of each of its keys."""
REFUSED = [
    ("type", "transformer"),  # with rel_pos
    ("moe", MixtureConfig()),
    ("input_layer", "dwconv2d4"),
    ("subsampling_channels", 4),
    ("pos_enc_layer_type", "rel_pos_true"),
]


def model_of(encoder: EncoderConfig, decoder: TransformerDecoderConfig) -> ModelConfig:
    return ModelConfig(encoder, decoder, reverse_weight=0.3 if decoder.r_num_blocks else 0.0)


def experiment(folder: Path, model: ModelConfig, toy: Toy) -> list[str]:
    """An experiment directory with random weights, and the arguments that name it."""
    folder.mkdir()
    config = ExperimentConfig(features=FbankConfig(num_mel_bins=40, dither=1.0), model=model)
    dump_yaml(config, folder / "train.yaml")
    for path in (toy.folder / "lang").iterdir():
        shutil.copyfile(path, folder / path.name)
    stats = CmvnStats.of(torch.randn(100, 40))
    write_cmvn(stats, folder / "global_cmvn")
    built = build_model(config, len((folder / "units.txt").read_text().splitlines()))
    built.encoder.global_cmvn.set_stats(stats)
    torch.save(built.state_dict(), folder / "avg_2.pt")
    return ["--exp-dir", str(folder), "--checkpoint", str(folder / "avg_2.pt"), "--format", "wenet"]


def changed(**sections) -> dict:
    tree = {**BASE, **sections}
    return {name: {**BASE.get(name, {}), **value} if isinstance(value, dict) else value for name, value in tree.items()}


@torch.no_grad()
def test_the_golden_model_decodes_as_wenet_does(golden: Path, tmp_path: Path) -> None:
    assert import_wenet.main([str(golden / "u2pp"), str(tmp_path / "exp")]) == 0
    reference = torch.load(golden / "u2pp/golden.pt", weights_only=True)
    config = read_experiment(tmp_path / "exp/train.yaml")
    loaded = load_model(ModelDescription(config.features, config.model), tmp_path / "exp/model.pt", tmp_path / "exp")
    out, lens = loaded.model.encoder(reference["feats"], reference["feats_lengths"], 4, 2)
    for row, expected, length in zip(out, reference["encoder_out_chunk4_left2"], lens):
        torch.testing.assert_close(row[:length], expected[:length], rtol=0, atol=1e-5)
    assert loaded.tokenizer.vocab_size == 50 and loaded.tokenizer.decode([3, 4]) == "ab"


def test_an_imported_directory_serves_as_an_experiment(golden: Path, toy: Toy, tmp_path: Path) -> None:
    import_wenet.main([str(golden / "u2pp"), str(tmp_path / "exp")])
    data = str(toy.folder / "dev/data.list")
    common = ["--exp-dir", str(tmp_path / "exp"), "--checkpoint", str(tmp_path / "exp/model.pt")]
    arguments = ["--data", data, "--result-dir", str(tmp_path / "decode"), "--chunk-size", "8", "--device", "cpu"]
    assert recognize.main([*common, *arguments]) == 0
    assert export.main([*common, "--output", str(tmp_path / "model"), "--check-data", data]) == 0


@torch.no_grad()
def test_special_units_elsewhere_come_first_here(golden: Path, tmp_path: Path) -> None:
    """Many of WeNet's models have <sos/eos> as their last unit."""
    source = shutil.copytree(golden / "u2pp", tmp_path / "wenet")
    units = [line.rpartition(" ")[0] for line in (source / "units.txt").read_text().splitlines()]
    moved = [*units[:2], *units[3:], units[2]]
    tree = yaml.safe_load((source / "train.yaml").read_text())
    del tree["tokenizer_conf"]["special_tokens"]
    (source / "train.yaml").write_text(yaml.safe_dump(tree))
    (source / "units.txt").write_text("".join(f"{unit} {i}\n" for i, unit in enumerate(moved)))
    order = torch.tensor([units.index(unit) for unit in moved])
    state = torch.load(source / "final.pt", weights_only=True)
    for name, value in state.items():
        if name.startswith("ctc.") or "output_layer" in name or (name.startswith("decoder") and "embed.0" in name):
            state[name] = value[order]
    torch.save(state, source / "final.pt")
    for folder, out in ((golden / "u2pp", "plain"), (source, "moved")):
        import_wenet.main([str(folder), str(tmp_path / out)])
    plain, ours = (torch.load(tmp_path / out / "model.pt", weights_only=True) for out in ("plain", "moved"))
    assert all(torch.equal(plain[name], ours[name]) for name in plain)
    assert (tmp_path / "plain/units.txt").read_bytes() == (tmp_path / "moved/units.txt").read_bytes()


@pytest.mark.parametrize(
    "sections, message",
    [
        ({"model": "transducer"}, "model transducer is not known here"),
        ({"encoder": "squeezeformer"}, "encoder squeezeformer"),
        ({"encoder_conf": {"normalize_before": False}}, "encoder_conf.normalize_before False"),
        ({"encoder_conf": {"n_kv_head": 2}}, "encoder_conf.n_kv_head 2"),
        ({"encoder_conf": {"input_layer": "dwconv2d4"}}, "input_layer dwconv2d4"),
        ({"encoder_conf": {"no_such_key": 1}}, "encoder_conf.no_such_key is not known here"),
        ({"encoder_conf": {"static_chunk_size": 8}}, "static_chunk_size needs causal"),
        ({"encoder_conf": {"selfattention_layer_type": "rope_abs_selfattn"}}, "rope_abs_selfattn"),
        ({"encoder_conf": {"pos_enc_layer_type": "abs_pos"}}, "rel_selfattn is not known here with abs_pos"),
        ({"encoder": "transformer", "encoder_conf": {"pos_enc_layer_type": "rel_pos"}}, " selfattn is not known here"),
        ({"encoder_conf": {"input_layer": "linear"}}, "input_layer"),
        ({"decoder_conf": {"activation_type": "mish"}}, "activation_type.* got 'mish'"),
        ({"dataset_conf": {"fbank_conf": {"frame_shift": 12}}}, "fbank_conf.frame_shift 12"),
        ({"dataset_conf": {"fbank_conf": {"window_type": "hamming"}}}, "fbank_conf.window_type hamming"),
        ({"dataset_conf": {"fbank_conf": {"window_typo": "povey"}}}, "fbank_conf.window_typo is not known here"),
        ({"dataset_conf": {"singal_channel_conf": {"channel": 1}}}, "channel 1"),
        (
            {"dataset_conf": {"resample_conf": {"resample_rate": 8000}}},
            "resample_rate 8000 is not known",
        ),
        ({"dataset_conf": {"feats_type": "mfcc"}}, "feats_type mfcc"),
        ({"ctc_conf": {"ctc_blank_id": 5}}, "ctc_conf.ctc_blank_id 5"),
        ({"tokenizer_conf": {"special_tokens": {"<sos>": 7, "<eos>": 8}}}, "two different tokens for <sos> and <eos>"),
        ({"tokenizer_conf": {"is_multilingual": True}}, "is_multilingual True"),
        ({"lora_conf": {"lora_rank": 8}}, "lora_conf"),
    ],
)
def test_what_is_not_known_here_is_named(sections: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        config_from_wenet(changed(**sections), tmp_path / "train.yaml")


def test_wenets_defaults_are_understood(tmp_path: Path) -> None:
    config = config_from_wenet(BASE, tmp_path / "train.yaml")
    assert config.model.encoder.cnn_module_norm == "batch_norm" and not config.model.encoder.causal
    assert config.model.decoder.r_num_blocks == 0 and config.model.reverse_weight == 0.0
    empty = dict.fromkeys(("encoder_conf", "decoder_conf", "model_conf", "dataset_conf", "tokenizer_conf"))
    assert config_from_wenet({**BASE, **empty}, tmp_path / "train.yaml").model.encoder.type == "conformer"
    transformer = config_from_wenet({**BASE, "encoder": "transformer"}, tmp_path / "train.yaml")
    assert transformer.model.encoder.pos_enc_layer_type == "abs_pos"


def test_wenets_defaults_may_be_said(tmp_path: Path) -> None:
    layers = {"norm_eps": 1e-5, "layer_norm_type": "layer_norm", "n_kv_head": None, "mlp_bias": True, "n_expert": 8}
    said = changed(
        encoder_conf={**layers, "conv_bias": True, "final_norm": True},
        decoder_conf={**layers, "input_layer": "embed", "src_query_bias": True, "tie_word_embedding": False},
        model_conf={"ignore_id": -1},
        dataset_conf={
            "fbank_conf": {"window_type": "povey", "frame_length": 25},
            "singal_channel_conf": {"channel": 0},
        },
        tokenizer_conf={"connect_symbol": ""},
    )
    assert config_from_wenet(said, tmp_path / "train.yaml") == config_from_wenet(BASE, tmp_path / "train.yaml")


def test_what_matters_to_training_alone_is_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    sections = {"model_conf": {"length_normalized_loss": True}, "decoder_conf": {"tie_word_embedding": True}}
    found = config_from_wenet(changed(**sections), tmp_path / "train.yaml")
    assert found == config_from_wenet(BASE, tmp_path / "train.yaml")
    assert "training on goes without model_conf.length_normalized_loss: True" in caplog.text
    assert "training on goes without decoder_conf.tie_word_embedding: True" in caplog.text


def test_chunks_that_convolutions_look_past_are_given_up(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    chunks = {"use_dynamic_chunk": True, "use_dynamic_left_chunk": True}
    found = config_from_wenet(changed(encoder_conf={**BASE["encoder_conf"], **chunks}), tmp_path / "train.yaml")
    assert found == config_from_wenet(BASE, tmp_path / "train.yaml")
    assert "convolutions look past their chunk" in caplog.text
    plain = changed(encoder_conf={**BASE["encoder_conf"], **chunks, "use_cnn_module": False})
    assert config_from_wenet(plain, tmp_path / "train.yaml").model.encoder.streams


@pytest.mark.parametrize("special", [{"<sos>": 5, "<eos>": 5}, {}, None])
def test_another_start_symbol_than_the_units_say_is_refused(golden: Path, tmp_path: Path, special: dict | None) -> None:
    source = shutil.copytree(golden / "u2pp", tmp_path / "wenet")
    tree = yaml.safe_load((source / "train.yaml").read_text())
    tree["tokenizer_conf"]["special_tokens"] = special
    (source / "train.yaml").write_text(yaml.safe_dump(tree))
    with pytest.raises(ConfigError, match=r"begins texts with unit \d+, but <sos/eos> is unit 2"):
        import_wenet.main([str(source), str(tmp_path / "exp")])


CMVN_CASES = ["told", "told, another file", "of old", "told, not in the weights", "not wanted", "of old, none"]


@pytest.mark.parametrize("case", CMVN_CASES)
def test_features_are_normalised_as_wenet_normalises_them(golden: Path, tmp_path: Path, case: str) -> None:
    source = shutil.copytree(golden / "u2pp", tmp_path / "wenet")
    tree, state = yaml.safe_load((source / "train.yaml").read_text()), torch.load(source / "final.pt")
    names = [f"encoder.global_cmvn.{name}" for name in ("mean", "istd")]
    expected = [state[name].clone() for name in names]
    if case.startswith("of old"):  # which had `cmvn_file` instead
        del tree["cmvn"]
    if case in ("told, not in the weights", "of old, none"):
        for name in names:
            del state[name]
    if case == "not wanted":
        tree["cmvn"] = None
    if case in ("not wanted", "of old, none"):
        expected = [torch.zeros_like(expected[0]), torch.ones_like(expected[1])]
    if case == "told, another file":
        write_cmvn(CmvnStats.of(torch.randn(9, 80)), source / "global_cmvn")
    torch.save(state, source / "final.pt")
    (source / "train.yaml").write_text(yaml.safe_dump(tree))
    import_wenet.main([str(source), str(tmp_path / "exp")])
    ours = torch.load(tmp_path / "exp/model.pt")
    torch.testing.assert_close([ours[name] for name in names], expected)
    stats = read_cmvn(tmp_path / "exp/global_cmvn").mean_and_istd()
    torch.testing.assert_close(list(stats), expected, rtol=1e-4, atol=1e-5)


def test_wanted_statistics_that_are_nowhere_are_named(golden: Path, tmp_path: Path) -> None:
    source = shutil.copytree(golden / "u2pp", tmp_path / "wenet")
    state = torch.load(source / "final.pt")
    torch.save({name: value for name, value in state.items() if "global_cmvn" not in name}, source / "final.pt")
    (source / "global_cmvn").unlink()
    with pytest.raises(DataError, match=r"final\.pt: has no CMVN"):
        import_wenet.main([str(source), str(tmp_path / "exp")])


@pytest.mark.parametrize("damage", ["no weights", "other size", "no units", "no config"])
def test_damage_is_one_line_and_leaves_nothing(
    golden: Path, tmp_path: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = shutil.copytree(golden / "u2pp", tmp_path / "wenet")
    if damage == "other size":
        tree = yaml.safe_load((source / "train.yaml").read_text())
        tree["encoder_conf"]["num_blocks"] = 3
        (source / "train.yaml").write_text(yaml.safe_dump(tree))
    else:
        (source / {"no weights": "final.pt", "no units": "units.txt", "no config": "train.yaml"}[damage]).unlink()
    assert command.run(import_wenet.main, [str(source), str(tmp_path / "exp")]) == 1
    assert capsys.readouterr().err.count("\n") == 1
    assert not (tmp_path / "exp").exists() and not (tmp_path / "exp.tmp").exists()


def test_a_model_of_wenet_comes_back_as_it_went(golden: Path, tmp_path: Path) -> None:
    import_wenet.main([str(golden / "u2pp"), str(tmp_path / "exp")])
    arguments = ["--exp-dir", str(tmp_path / "exp"), "--checkpoint", str(tmp_path / "exp/model.pt")]
    assert export.main([*arguments, "--format", "wenet", "--output", str(tmp_path / "wenet")]) == 0
    theirs, ours = (
        torch.load(folder / "final.pt", weights_only=True) for folder in (golden / "u2pp", tmp_path / "wenet")
    )
    assert theirs.keys() == ours.keys()
    assert all(torch.equal(theirs[name], ours[name]) for name in theirs)
    assert (tmp_path / "wenet/units.txt").read_bytes() == (golden / "u2pp/units.txt").read_bytes()
    expected, tree = (
        yaml.safe_load((folder / "train.yaml").read_text()) for folder in (golden / "u2pp", tmp_path / "wenet")
    )
    for section in ("encoder_conf", "decoder_conf", "tokenizer_conf", "cmvn_conf", "ctc_conf", "model_conf"):
        assert tree[section].items() <= expected[section].items()
    assert tree["dataset_conf"]["fbank_conf"] == expected["dataset_conf"]["fbank_conf"]
    for key in ("encoder", "decoder", "tokenizer", "ctc", "cmvn", "model", "dataset", "input_dim", "output_dim"):
        assert tree[key] == expected[key]
    assert config_from_wenet(tree, tmp_path) == read_experiment(tmp_path / "exp/train.yaml")
    import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")])
    for name in ("train.yaml", "units.txt", "text_rules.yaml", "global_cmvn"):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "exp" / name).read_bytes()
    before, after = (torch.load(tmp_path / name / "model.pt", weights_only=True) for name in ("exp", "again"))
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_goes_to_wenet_and_back(kind: str, toy: Toy, tmp_path: Path) -> None:
    model = model_of(*KINDS[kind])
    arguments = experiment(tmp_path / "exp", model, toy)
    assert export.main([*arguments, "--output", str(tmp_path / "wenet")]) == 0
    assert import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")]) == 0
    again = read_experiment(tmp_path / "again/train.yaml")
    assert (again.features, again.model) == (FbankConfig(40, 1.0), model)
    before = torch.load(tmp_path / "exp/avg_2.pt", weights_only=True)
    after = torch.load(tmp_path / "again/model.pt", weights_only=True)
    assert before.keys() == after.keys() and all(torch.equal(before[name], after[name]) for name in before)
    exported = torch.load(tmp_path / "wenet/final.pt", weights_only=True)
    tables = {name: value for name, value in exported.items() if name not in before}
    sides = ["left_decoder.", "right_decoder."] if model.decoder.r_num_blocks else [""]
    assert set(tables) == {"encoder.embed.pos_enc.pe", *(f"decoder.{side}embed.1.pe" for side in sides)}
    assert all(table.shape == (1, 5000, 16) for table in tables.values())


def test_every_setting_of_the_encoder_is_translated_or_refused_by_name(tmp_path: Path) -> None:
    assert set(OTHER_ENCODER) == {field.name for field in fields(EncoderConfig)}
    for key, values in OTHER_ENCODER.items():
        for value in values:
            whole = {"use_dynamic_chunk": False} if key in ("causal", "static_chunk_size") else {}
            model = model_of(replace(ENCODER, **{key: value}, **whole), DECODER)
            if (key, value) in REFUSED:
                named = rf"\S+ .*{value}" if key != "moe" else "moe"
                with pytest.raises(ConfigError, match=rf"WeNet does not have model\.encoder\.{named}"):
                    config_to_wenet(FbankConfig(40), model, 20, None, tmp_path / "train.yaml")
                continue
            tree = config_to_wenet(FbankConfig(40), model, 20, None, tmp_path / "train.yaml")
            back = config_from_wenet(tree, tmp_path / "train.yaml").model.encoder
            assert replace(back, subsampling_channels=model.encoder.subsampling_channels) == model.encoder


def test_heads_of_training_stay_behind(toy: Toy, tmp_path: Path) -> None:
    model = replace(model_of(ENCODER, DECODER), multi_level=MultiLevelConfig((1,)), cr_ctc_weight=0.2)
    arguments = experiment(tmp_path / "exp", model, toy)
    assert export.main([*arguments, "--output", str(tmp_path / "wenet")]) == 0
    assert not any("auxiliary" in name for name in torch.load(tmp_path / "wenet/final.pt", weights_only=True))
    import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")])
    assert read_experiment(tmp_path / "again/train.yaml").model == model_of(ENCODER, DECODER)


def test_the_sentencepiece_model_goes_along(toy: Toy, tmp_path: Path) -> None:
    text = ["--text", str(toy.folder / "train/text"), "--vocab-size", "14", "--model-type", "bpe"]
    train_bpe.main([*text, "--output-dir", str(tmp_path / "lang")])
    (tmp_path / "toy").mkdir()
    shutil.copytree(tmp_path / "lang", tmp_path / "toy/lang")
    arguments = experiment(tmp_path / "exp", model_of(ENCODER, DECODER), Toy(tmp_path / "toy"))
    assert export.main([*arguments, "--output", str(tmp_path / "wenet")]) == 0
    tree = yaml.safe_load((tmp_path / "wenet/train.yaml").read_text())
    assert tree["tokenizer"] == "bpe" and (tmp_path / "wenet" / tree["tokenizer_conf"]["bpe_path"]).exists()
    import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")])
    assert (tmp_path / "again/bpe.model").read_bytes() == (tmp_path / "exp/bpe.model").read_bytes()


def test_a_decoder_that_was_never_trained_stays_behind(
    toy: Toy, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    arguments = experiment(tmp_path / "exp", model_of(ENCODER, DECODER), toy)
    assert export.main([*arguments, "--output", str(tmp_path / "wenet")]) == 0
    tree = yaml.safe_load((tmp_path / "wenet/train.yaml").read_text())
    tree["model_conf"]["reverse_weight"] = 0.0
    (tmp_path / "wenet/train.yaml").write_text(yaml.safe_dump(tree))
    assert import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")]) == 0
    assert "from right to left was not trained" in caplog.text
    assert read_experiment(tmp_path / "again/train.yaml").model == model_of(ENCODER, replace(DECODER, r_num_blocks=0))
    before, after = (torch.load(tmp_path / f, weights_only=True) for f in ("exp/avg_2.pt", "again/model.pt"))
    assert torch.equal(before["decoder.left_decoder.output_layer.bias"], after["decoder.output_layer.bias"])


@pytest.mark.parametrize("kind", ["bpe", "char"])
def test_older_versions_say_less(kind: str, toy: Toy, tmp_path: Path) -> None:
    """Before 2023 `train.yaml` named neither tokenizer nor model, and the units were often words.txt."""
    text = ["--text", str(toy.folder / "train/text"), "--vocab-size", "14", "--model-type", kind]
    train_bpe.main([*text, "--output-dir", str(tmp_path / "toy/lang")])
    arguments = experiment(tmp_path / "exp", model_of(ENCODER, DECODER), Toy(tmp_path / "toy"))
    assert export.main([*arguments, "--output", str(tmp_path / "wenet")]) == 0
    tree = yaml.safe_load((tmp_path / "wenet/train.yaml").read_text())
    for key in ("model", "tokenizer", "tokenizer_conf", "ctc", "ctc_conf", "cmvn", "cmvn_conf", "dataset"):
        del tree[key]
    units = [line.rpartition(" ")[0] for line in (tmp_path / "wenet/units.txt").read_text().splitlines()]
    moved = [*units[:2], *units[3:], units[2]]  # the end of a text is the last unit
    state = torch.load(tmp_path / "wenet/final.pt", weights_only=True)
    order = torch.tensor([units.index(unit) for unit in moved])
    for name, value in state.items():
        if name.startswith("ctc.") or "output_layer" in name or (name.startswith("decoder") and "embed.0" in name):
            state[name] = value[order]
    torch.save(state, tmp_path / "wenet/final.pt")
    (tmp_path / "wenet/train.yaml").write_text(yaml.safe_dump(tree))
    (tmp_path / "wenet/units.txt").unlink()
    (tmp_path / "wenet/words.txt").write_text("".join(f"{unit} {i}\n" for i, unit in enumerate(moved)))
    for file in tmp_path.glob("wenet/*.model"):
        file.rename(file.with_name("train_960_unigram14.model"))
    assert import_wenet.main([str(tmp_path / "wenet"), str(tmp_path / "again")]) == 0
    for name in ("units.txt", "bpe.model") if kind == "bpe" else ("units.txt",):
        assert (tmp_path / "again" / name).read_bytes() == (tmp_path / "exp" / name).read_bytes()
    before, after = (torch.load(tmp_path / f, weights_only=True) for f in ("exp/avg_2.pt", "again/model.pt"))
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_a_refused_export_is_one_line_and_leaves_nothing(
    toy: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = experiment(tmp_path / "exp", model_of(replace(ENCODER, subsampling_channels=4), DECODER), toy)
    assert command.run(export.main, [*arguments, "--output", str(tmp_path / "wenet")]) == 1
    assert "WeNet does not have model.encoder.subsampling_channels 4" in capsys.readouterr().err
    assert not (tmp_path / "wenet").exists() and not (tmp_path / "wenet.tmp").exists()


def test_an_export_does_not_replace_what_it_is_made_from(toy: Toy, tmp_path: Path) -> None:
    arguments = experiment(tmp_path / "exp", model_of(ENCODER, DECODER), toy)
    for output in (tmp_path / "exp", tmp_path):
        with pytest.raises(ConfigError, match="would replace"):
            export.main([*arguments, "--output", str(output)])
    assert (tmp_path / "exp/avg_2.pt").exists()


def test_an_export_to_a_model_directory_needs_recordings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        export.main(["--exp-dir", str(tmp_path), "--checkpoint", "avg.pt", "--output", str(tmp_path / "model")])
    assert ended.value.code == 1 and "export: needs --check-data" in capsys.readouterr().err

"""WeNet's model directories become ours, strictly, or say what is not known here."""

import shutil
from pathlib import Path

import pytest
import torch
import yaml
from toy import Toy

from wenet_lite.bin import command, export, import_wenet, recognize
from wenet_lite.errors import ConfigError
from wenet_lite.experiment import read_experiment
from wenet_lite.interchange import translate_config
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
        ({"encoder_conf": {"macaron_style": False}}, "encoder_conf.macaron_style False"),
        ({"encoder_conf": {"n_kv_head": 2}}, "encoder_conf.n_kv_head is not known"),
        ({"encoder_conf": {"selfattention_layer_type": "rope_abs_selfattn"}}, "rope_abs_selfattn"),
        ({"encoder_conf": {"input_layer": "linear"}}, "input_layer"),
        ({"decoder_conf": {"activation_type": "gelu"}}, "decoder_conf.activation_type gelu"),
        ({"model_conf": {"length_normalized_loss": True}}, "length_normalized_loss True"),
        ({"dataset_conf": {"fbank_conf": {"frame_shift": 12}}}, "another frame length or shift"),
    ],
)
def test_what_is_not_known_here_is_named(sections: dict, message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        translate_config(changed(**sections), tmp_path / "train.yaml")


def test_wenets_defaults_are_understood(tmp_path: Path) -> None:
    config = translate_config(BASE, tmp_path / "train.yaml")
    assert config.model.encoder.cnn_module_norm == "batch_norm" and not config.model.encoder.causal
    assert config.model.decoder.r_num_blocks == 0 and config.model.reverse_weight == 0.0
    transformer = translate_config({**BASE, "encoder": "transformer"}, tmp_path / "train.yaml")
    assert transformer.model.encoder.pos_enc_layer_type == "abs_pos"


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

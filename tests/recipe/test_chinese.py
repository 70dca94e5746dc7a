"""A corpus in characters without blanks goes the whole way, by the same commands."""

from pathlib import Path

import pytest
from toy import Toy, make_toy

from wenet_lite.bin import average, export, make_shards, recognize, score, train, transcribe
from wenet_lite.data.kaldi import read_table
from wenet_lite.data.manifest import read_manifest

WORDS = {"今天": (300, 500), "天气": (500, 800), "很好": (1200, 2000), "你": (2500, 1500), "好": (2000, 3500)}
MORE = ["--set", "training.max_epochs=30", "--set", "batch.max_frames=3000", "--set", "training.spec_augment=null"]
FASTER = ["--set", "training.optimizer.lr=0.01", "--set", "model.encoder.dropout_rate=0.0"]


@pytest.fixture(scope="module")
def chinese(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    """The toy corpus, sung in Chinese, its training part in shards that a command streams."""
    toy = make_toy(tmp_path_factory.mktemp("chinese"), WORDS, separator="", train=120)
    arguments = ["--data-dir", str(toy.folder / "train"), "--lang-dir", str(toy.folder / "lang")]
    make_shards.main([*arguments, "--utterances-per-shard", "15", "--output-dir", str(toy.folder / "train")])
    shards = (toy.folder / "train/shards.list").read_text().splitlines()
    (toy.folder / "train/data.list").write_text("".join(f"cat {shard} |\n" for shard in shards))
    return toy


@pytest.mark.slow
def test_from_characters_to_a_stream_of_characters(
    chinese: Toy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, exp = chinese.folder, tmp_path / "exp"
    assert not (folder / "lang/bpe.model").exists()
    assert train.main([*chinese.train_arguments(exp), "--allow-pipes", *MORE, *FASTER]) == 0
    assert average.main(["--exp-dir", str(exp), "--num", "2", "--output", str(exp / "avg.pt")]) == 0
    common = ["--exp-dir", str(exp), "--checkpoint", str(exp / "avg.pt")]
    dev = str(folder / "dev/data.list")
    assert recognize.main([*common, "--data", dev, "--result-dir", str(exp / "decode"), "--device", "cpu"]) == 0
    hyp = exp / "decode/attention_rescoring/text"
    assert set("".join(read_table(hyp).values())) <= set("".join(WORDS))
    capsys.readouterr()
    assert score.main(["--ref", str(folder / "dev/text"), "--hyp", str(hyp), "--unit", "char"]) == 0
    line = capsys.readouterr().out.splitlines()[0]
    assert float(line.split()[1]) < 30, line
    assert export.main([*common, "--output", str(exp / "model"), "--check-data", dev]) == 0
    first = read_manifest(dev)[0]
    capsys.readouterr()
    assert transcribe.main([str(exp / "model"), first.wav, "--streaming"]) == 0
    assert set(capsys.readouterr().out.split()[-1]) <= set("".join(WORDS))

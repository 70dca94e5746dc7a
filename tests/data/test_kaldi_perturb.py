"""Speed perturbation of a data directory: Kaldi's ids, pipes, times and messages."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from wenet_lite.data.kaldi import read_table, write_table
from wenet_lite.data.kaldi_perturb import as_same_speakers, perturb_speed, perturb_speed_3way, sox_pipe
from wenet_lite.data.kaldi_validate import validate
from wenet_lite.errors import DataError

TOOLS = Path(__file__).resolve().parents[2] / "tools"
SPEED = TOOLS / "perturb_data_dir_speed.sh"
THREE_WAY = TOOLS / "perturb_data_dir_speed_3way.sh"
UTTERANCES = [f"{speaker}-{number}" for speaker in ("ann", "bob") for number in range(3)]


def run(tool: Path, *arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C"}
    command = [os.fspath(tool), *map(str, arguments)]
    return subprocess.run(command, check=False, cwd=cwd, env=environment, capture_output=True, text=True)


def tables(folder: Path) -> dict[str, dict[str, str]]:
    return {path.name: read_table(path) for path in folder.iterdir() if path.is_file()}


@pytest.fixture
def segmented(data_dir: Path) -> Path:
    """The directory with segments of two recordings, channels and durations."""
    segments = {utterance: f"reco-{utterance[:3]} {i % 3}.25 {i % 3 + 1}" for i, utterance in enumerate(UTTERANCES)}
    write_table(data_dir / "segments", segments)
    write_table(data_dir / "wav.scp", {"reco-ann": "a.wav", "reco-bob": "sph2pipe -f wav b.sph |"})
    write_table(data_dir / "reco2file_and_channel", {"reco-ann": "a A", "reco-bob": "b B"})
    write_table(data_dir / "reco2dur", {"reco-ann": "9", "reco-bob": "4.5"})
    (data_dir / "utt2dur").unlink()
    return data_dir


# the pipe


@pytest.mark.parametrize(
    ("entry", "pipe"),
    [
        ("/a/b.wav", "sox -t wav /a/b.wav -t wav - speed 0.9 |"),
        ("/a/b.sph", "sox -t wav /a/b.sph -t wav - speed 0.9 |"),
        ("sph2pipe -f wav b.sph |", "sph2pipe -f wav b.sph | sox -t wav - -t wav - speed 0.9 |"),
        ("sph2pipe -f wav b.sph|", "sph2pipe -f wav b.sph | sox -t wav - -t wav - speed 0.9 |"),
        ("/a/wav.ark:1234", "wav-copy /a/wav.ark:1234 - | sox -t wav - -t wav - speed 0.9 |"),
        ("/a/b.flac", "sox /a/b.flac -t wav - speed 0.9 |"),
        ("/a/it's b.wav", "sox -t wav '/a/it'\"'\"'s b.wav' -t wav - speed 0.9 |"),
    ],
)
def test_each_kind_of_audio_is_piped_through_sox(entry: str, pipe: str) -> None:
    assert sox_pipe(entry, "0.9") == pipe


@pytest.mark.skipif(shutil.which("sox") is None, reason="sox is not installed")
@pytest.mark.parametrize("factor", ["0.9", "1.1"])
@pytest.mark.parametrize("entry", ["{folder}/a tone.wav", "cat '{folder}/a tone.wav' |"])
def test_the_pipes_change_length_and_pitch_by_the_factor(tmp_path: Path, entry: str, factor: str) -> None:
    np = pytest.importorskip("numpy")
    soundfile = pytest.importorskip("soundfile")
    from wenet_lite.data.audio import read_audio
    from wenet_lite.data.audio_source import AudioCommand

    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16000) / 16000)
    soundfile.write(tmp_path / "a tone.wav", tone, 16000)
    pipe = sox_pipe(entry.format(folder=tmp_path), factor)
    samples, rate = read_audio(AudioCommand(pipe.removesuffix("|")))
    assert rate == 16000
    assert len(samples) == pytest.approx(16000 / float(factor), abs=2)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    assert spectrum.argmax() * rate / len(samples) == pytest.approx(440 * float(factor), abs=1)


# one speed


def test_ids_pipes_and_durations_follow_kaldi(data_dir: Path, tmp_path: Path) -> None:
    before = tables(data_dir)
    perturb_speed("0.9", data_dir, tmp_path / "slow")
    validate(tmp_path / "slow", no_feats=True)
    slow = tables(tmp_path / "slow")
    assert list(slow["utt2spk"]) == [f"sp0.9-{utterance}" for utterance in UTTERANCES]
    assert slow["utt2uniq"] == {f"sp0.9-{utterance}": utterance for utterance in UTTERANCES}
    assert slow["spk2gender"] == {"sp0.9-ann": "f", "sp0.9-bob": "m"}
    assert slow["spk2utt"]["sp0.9-ann"] == "sp0.9-ann-0 sp0.9-ann-1 sp0.9-ann-2"
    assert slow["text"]["sp0.9-ann-1"] == before["text"]["ann-1"]
    assert slow["wav.scp"]["sp0.9-ann-1"] == "sox /corpus/ann-1.flac -t wav - speed 0.9 |"
    for utterance, seconds in before["utt2dur"].items():
        assert float(slow["utt2dur"][f"sp0.9-{utterance}"]) == pytest.approx(float(seconds) / 0.9, abs=1e-6)
    assert tables(data_dir) == before, "the source has changed"


def test_speakers_stay_who_they_are_without_the_prefix(segmented: Path, tmp_path: Path) -> None:
    perturb_speed("1.1", segmented, tmp_path / "fast", as_same_speakers)
    validate(tmp_path / "fast", no_feats=True)
    fast = tables(tmp_path / "fast")
    assert fast["utt2spk"] == {f"{utterance}-sp1.1": utterance[:3] for utterance in UTTERANCES}
    assert fast["spk2gender"] == {"ann": "f", "bob": "m"}
    assert list(fast["wav.scp"]) == ["reco-ann-sp1.1", "reco-bob-sp1.1"]
    assert fast["segments"]["ann-0-sp1.1"] == f"reco-ann-sp1.1 {round(0.25 / 1.1, 6)} {round(1 / 1.1, 6)}"


def test_recordings_and_their_times_follow_the_factor(segmented: Path, tmp_path: Path) -> None:
    perturb_speed("0.5", segmented, tmp_path / "slow")
    validate(tmp_path / "slow", no_feats=True)
    slow = tables(tmp_path / "slow")
    assert slow["segments"]["sp0.5-bob-2"] == "sp0.5-reco-bob 4.5 6.0"
    assert slow["reco2dur"] == {"sp0.5-reco-ann": "18.0", "sp0.5-reco-bob": "9.0"}
    assert slow["reco2file_and_channel"] == {"sp0.5-reco-ann": "a A", "sp0.5-reco-bob": "b B"}
    assert slow["wav.scp"]["sp0.5-reco-bob"] == "sph2pipe -f wav b.sph | sox -t wav - -t wav - speed 0.5 |"
    assert float(slow["utt2dur"]["sp0.5-bob-2"]) == 1.5, "worked out from the segments"


def test_what_describes_the_old_audio_stays_behind(data_dir: Path, tmp_path: Path) -> None:
    for name in ("feats.scp", "vad.scp", "utt2num_frames"):
        write_table(data_dir / name, dict.fromkeys(UTTERANCES, "7"))
    write_table(data_dir / "cmvn.scp", {"ann": "a.ark:1", "bob": "a.ark:2"})
    write_table(data_dir / "utt2lang", dict.fromkeys(UTTERANCES, "en"))
    perturb_speed("0.9", data_dir, tmp_path / "slow")
    names = {"utt2spk", "spk2utt", "text", "wav.scp", "utt2dur", "utt2uniq", "utt2lang", "spk2gender"}
    assert set(tables(tmp_path / "slow")) == names


def test_speeds_of_speeds_keep_what_is_unique(data_dir: Path, tmp_path: Path) -> None:
    perturb_speed("0.9", data_dir, tmp_path / "slow")
    perturb_speed("1.1", tmp_path / "slow", tmp_path / "both")
    assert read_table(tmp_path / "both/utt2uniq")["sp1.1-sp0.9-ann-0"] == "ann-0"


def test_a_directory_without_durations_of_its_pipes_gets_none(
    data_dir: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (data_dir / "utt2dur").unlink()
    write_table(data_dir / "wav.scp", dict.fromkeys(UTTERANCES, "cat a.wav |"))
    perturb_speed("0.9", data_dir, tmp_path / "slow")
    assert not (tmp_path / "slow/utt2dur").exists()
    assert f"no utt2dur: wav.scp of {data_dir} has piped commands" in caplog.text


def test_utterances_that_are_not_everywhere_are_left_out_and_listed(data_dir: Path, tmp_path: Path) -> None:
    text = read_table(data_dir / "text")
    del text["ann-1"]
    write_table(data_dir / "text", text)
    perturb_speed("0.9", data_dir, tmp_path / "slow")
    assert len(read_table(tmp_path / "slow/utt2spk")) == 5
    assert read_table(tmp_path / "slow/.backup/left_out") == {"sp0.9-ann-1": "not in text"}


# three speeds


def test_three_speeds_of_each_utterance(data_dir: Path, tmp_path: Path) -> None:
    before = tables(data_dir)
    perturb_speed_3way(data_dir, tmp_path / "sp")
    validate(tmp_path / "sp", no_feats=True)
    after = tables(tmp_path / "sp")
    assert list(after["text"]) == [f"{prefix}{key}" for prefix in ("", "sp0.9-", "sp1.1-") for key in UTTERANCES]
    assert sorted(after["utt2uniq"].values()) == sorted(3 * UTTERANCES)
    for name, table in before.items():
        assert table.items() <= after[name].items(), "speed 1.0 is not the source"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "sp"], "left something behind"
    assert tables(data_dir) == before, "the source has changed"


@pytest.mark.parametrize("naming", ["as_new_speakers", "as_same_speakers"])
def test_speed_1_is_named_too_on_demand(segmented: Path, tmp_path: Path, naming: str) -> None:
    from wenet_lite.data import kaldi_perturb

    perturb_speed_3way(segmented, tmp_path / "sp", getattr(kaldi_perturb, naming), always_include_prefix=True)
    validate(tmp_path / "sp", no_feats=True)
    keys = list(read_table(tmp_path / "sp/utt2spk"))
    assert len(keys) == 18 and all("sp0.9" in key or "sp1.0" in key or "sp1.1" in key for key in keys)
    assert len(read_table(tmp_path / "sp/spk2utt")) == (6 if naming == "as_new_speakers" else 2)
    assert len(read_table(tmp_path / "sp/wav.scp")) == 6
    unperturbed = [entry for entry in read_table(tmp_path / "sp/wav.scp").values() if " speed " not in entry]
    assert sorted(unperturbed) == ["a.wav", "sph2pipe -f wav b.sph |"]


def test_a_sorting_issue_names_its_cure_and_the_cure_works(tmp_path: Path) -> None:
    source = tmp_path / "data"
    source.mkdir()
    write_table(source / "utt2spk", {"sp1x": "sp"})  # "sp0.9-sp1x" < "sp1x", but "sp" < "sp0.9-sp"
    write_table(source / "spk2utt", {"sp": "sp1x"})
    write_table(source / "wav.scp", {"sp1x": "a.wav"})
    write_table(source / "utt2dur", {"sp1x": "1"})
    with pytest.raises(DataError) as caught:
        perturb_speed_3way(source, tmp_path / "sp")
    assert str(caught.value).startswith(
        "perturb_data_dir_speed_3way.sh: Validation failed.  "
        "If it is a sorting issue, try the option '--always-include-prefix true'."
    )
    assert not (tmp_path / "sp").exists()
    perturb_speed_3way(source, tmp_path / "sp", always_include_prefix=True)
    validate(tmp_path / "sp", no_feats=True, no_text=True)


# the tools


def test_the_tools_speak_kaldis_words(data_dir: Path) -> None:
    result = run(SPEED, "0.9", "data", "slow", cwd=data_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert "fix_data_dir.sh: kept all 6 utterances.\n" in result.stdout
    assert f"{SPEED}: generated speed-perturbed version of data in data, in slow\n" in result.stdout
    assert result.stdout.endswith("validate_data_dir.sh: Successfully validated data-directory slow\n")
    result = run(THREE_WAY, "--always-include-prefix", "true", "data", "sp", cwd=data_dir.parent)
    assert (result.returncode, result.stderr) == (0, "")
    assert f"{THREE_WAY}: generated 3-way speed-perturbed version of data in data, in sp\n" in result.stdout
    assert result.stdout.endswith("validate_data_dir.sh: Successfully validated data-directory sp\n")
    assert (data_dir.parent / "sp/text").read_text().startswith("sp0.9-ann-0 ")


def test_the_prefix_is_an_option(data_dir: Path) -> None:
    run(SPEED, "--include-spk-prefix", "false", "0.9", "data", "slow", cwd=data_dir.parent)
    assert list(read_table(data_dir.parent / "slow/spk2utt")) == ["ann", "bob"]
    run(THREE_WAY, "--include-spk-prefix", "false", "data", "sp", cwd=data_dir.parent)
    assert read_table(data_dir.parent / "sp/spk2utt")["ann"].startswith("ann-0 ann-0-sp0.9 ann-0-sp1.1 ann-1 ")


@pytest.mark.skipif(shutil.which("sox") is not None, reason="sox is installed")
def test_a_missing_sox_is_told(data_dir: Path) -> None:
    assert "sox: command not found" in run(SPEED, "0.9", "data", "slow", cwd=data_dir.parent).stdout


@pytest.mark.parametrize(
    ("tool", "arguments", "line"),
    [
        (SPEED, "slow data part", "the warping factor must be a number above 0, such as 0.9, got 'slow'"),
        (SPEED, "0.0 data part", "the warping factor must be a number above 0"),
        (SPEED, "0.9 data data", "this script requires <srcdir> and <destdir> to be different."),
        (SPEED, "0.9 nowhere part", "no such file nowhere/utt2spk"),
        (SPEED, "--include-spk-prefix maybe 0.9 data part", 'expected "true" or "false": --include-spk-prefix maybe'),
        (SPEED, "0.9 broken part", "broken/utt2dur: Bad line in utt2dur file ann-0 long"),
        (THREE_WAY, "nowhere part", "expected nowhere/wav.scp to exist"),
        (THREE_WAY, "data data", "this script requires <srcdir> and <destdir> to be different."),
        (THREE_WAY, "data featured", "featured/feats.scp already exists: refusing to run this"),
        (THREE_WAY, "data precious", "precious: is not a data directory and not empty"),
        (THREE_WAY, "--always-include-prefix=true data part", "options to scripts must be of the form --name value"),
    ],
)
def test_a_wrong_call_gets_one_line_and_status_1(data_dir: Path, tool: Path, arguments: str, line: str) -> None:
    folder = data_dir.parent
    shutil.copytree(data_dir, folder / "broken")
    write_table(folder / "broken/utt2dur", dict.fromkeys(UTTERANCES, "long"))
    shutil.copytree(data_dir, folder / "featured")
    (folder / "featured/feats.scp").write_text("")
    (folder / "precious").mkdir()
    (folder / "precious/thesis").write_text("")
    before = sorted(folder.rglob("*"))
    result = run(tool, *arguments.split(), cwd=folder)
    assert result.returncode == 1
    assert result.stderr.startswith(f"{tool}: {line}"), result.stderr
    assert result.stderr.count("\n") == 1
    assert sorted(folder.rglob("*")) == before, "left something behind"


@pytest.mark.parametrize("tool", [SPEED, THREE_WAY])
def test_help_explains_within_a_fraction_of_a_second(tmp_path: Path, tool: Path) -> None:
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        result = run(tool, "--help", cwd=tmp_path)
        seconds.append(time.perf_counter() - start)
    assert result.returncode == 0 and result.stdout.startswith(f"Usage: {tool} ")
    assert run(tool, "data", cwd=tmp_path).stderr.startswith(f"Usage: {tool} ")
    assert min(seconds) < 0.3

"""Every format, rate and channel count; spans to the sample; commands only with their exit status."""

import io
from pathlib import Path

import numpy as np
import pytest
import soundfile
from data_corpus import noise
from hypothesis import given, settings
from hypothesis import strategies as st

from wenet_lite.data.audio import audio_info, read_audio
from wenet_lite.data.audio_source import AudioCommand, EncodedAudio, TarMember
from wenet_lite.errors import AudioError

LOSSLESS = [
    ("wav", "PCM_U8"),
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "PCM_32"),
    ("wav", "FLOAT"),
    ("flac", "PCM_24"),
]
LOSSY = [("ogg", "VORBIS"), ("opus", "OPUS"), ("mp3", "MPEG_LAYER_III")]


def write(folder: Path, suffix: str, subtype: str, samples: np.ndarray, rate: int = 16000) -> Path:
    path = folder / f"a.{suffix}"
    container = {"opus": "OGG"}.get(suffix, suffix.upper())
    soundfile.write(path, samples, rate, format=container, subtype=subtype)
    return path


def tone(seconds: float, rate: int = 16000) -> np.ndarray:
    return (0.5 * np.sin(np.arange(round(seconds * rate)) * 440 * 2 * np.pi / rate)).astype(np.float32)


@pytest.mark.parametrize("suffix, subtype", LOSSLESS + LOSSY)
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_span_is_the_slice_of_the_whole(tmp_path: Path, suffix: str, subtype: str, channels: int) -> None:
    if suffix == "mp3" and channels == 5:
        pytest.skip("MP3 has two channels at most")
    others = np.stack([tone(2.0), *[np.zeros(32000, np.float32)] * (channels - 1)], axis=1)
    path = write(tmp_path, suffix, subtype, others)
    whole, rate = read_audio(path)
    assert rate == 16000 and audio_info(path).num_samples == len(whole) == 32000
    inner = slice(None) if (suffix, subtype) in LOSSLESS else slice(1000, -1000)  # lossy formats smear the ends
    np.testing.assert_allclose(whole[inner], tone(2.0)[inner], atol=0.05)
    for start, end in ((0.0, 0.5), (0.7, 1.3), (1.5, 2.5)):
        span, _ = read_audio(path, start, end)
        np.testing.assert_array_equal(span, whole[round(start * 16000) : round(end * 16000)])


def test_an_mp3_is_read_in_portions_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = np.arange(40 * 16000) / 16000
    path = write(tmp_path, "mp3", "MPEG_LAYER_III", 0.5 * np.sin(2 * np.pi * (200 + 40 * seconds) * seconds))
    whole, _ = read_audio(path)
    monkeypatch.setattr("wenet_lite.data.audio._PORTION", 16000)
    np.testing.assert_array_equal(read_audio(path)[0], whole)


@pytest.mark.parametrize("suffix", ["wav", "aiff", "w64", "rf64"])
def test_what_ends_before_its_header_says_is_truncated(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    soundfile.write(path, noise(1.0), 16000, format=suffix.upper())
    content = path.read_bytes()
    assert audio_info(path).num_samples == 16000
    path.write_bytes(content[:-2])
    for read in (audio_info, read_audio):
        with pytest.raises(AudioError, match=rf"a\.{suffix}: is truncated: \d+ of \d+ bytes"):
            read(path)


@pytest.mark.parametrize("told", [0x7FFFF000, 0x7FFFFFFF, 0xFFFFFFFF])
def test_a_wav_whose_writer_did_not_know_its_length_is_whole(tmp_path: Path, told: int) -> None:
    path = write(tmp_path, "wav", "PCM_16", noise(1.0))
    content = bytearray(path.read_bytes())
    content[4:8] = content[40:44] = told.to_bytes(4, "little")
    path.write_bytes(content)
    assert len(read_audio(path)[0]) == 16000


@pytest.mark.parametrize("rate", [8000, 11025, 22050, 44100, 48000])
def test_any_rate(tmp_path: Path, rate: int) -> None:
    path = write(tmp_path, "wav", "PCM_16", tone(1.0, rate), rate)
    samples, read_rate = read_audio(path, 0.25, 0.75)
    assert read_rate == rate and len(samples) == pytest.approx(rate / 2, abs=1)


def test_the_output_of_a_command_and_its_exit_status(tmp_path: Path) -> None:
    path = write(tmp_path, "flac", "PCM_16", noise(1.0))
    expected, _ = read_audio(path, 0.2, 0.4)
    np.testing.assert_array_equal(read_audio(AudioCommand(f"cat {path}"), 0.2, 0.4)[0], expected)
    for command, reason in ((f"cat {path}; exit 3", "exited with status 3"), ("cat /nowhere | cat", "No such file")):
        with pytest.raises(AudioError, match=reason):
            read_audio(AudioCommand(command))


def test_a_path_that_ends_like_a_command_is_not_run(tmp_path: Path) -> None:
    with pytest.raises(AudioError, match="no such audio file"):
        read_audio(f"touch {tmp_path}/ran |")
    assert not (tmp_path / "ran").exists()


def encoded(suffix: str) -> bytes:
    stream = io.BytesIO()
    kind = {"wav": "PCM_16", "flac": "PCM_16", "ogg": "VORBIS", "mp3": "MPEG_LAYER_III"}[suffix]
    soundfile.write(stream, noise(0.2), 16000, format=suffix.upper(), subtype=kind)
    return stream.getvalue()


@given(st.data(), st.sampled_from(["wav", "flac", "ogg", "mp3"]))
@settings(max_examples=150, deadline=2000)
def test_any_damage_gives_data_or_a_typed_error(data: st.DataObject, suffix: str) -> None:
    content = bytearray(encoded(suffix))
    for _ in range(data.draw(st.integers(1, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    content = content[: data.draw(st.integers(0, len(content)))]
    try:
        samples, rate = read_audio(EncodedAudio("fuzz", bytes(content)), 0.05, 0.15)
    except AudioError as error:
        assert str(error).startswith("fuzz: ") and "\n" not in str(error)
    else:
        assert samples.ndim == 1 and len(samples) > 0 and np.isfinite(samples).all() and rate > 0


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=2000)
def test_any_bytes_give_data_or_a_typed_error(content: bytes) -> None:
    for source in (
        EncodedAudio("fuzz", content),
        EncodedAudio("fuzz", b"RIFF" + content),
        EncodedAudio("fuzz", b"fLaC" + content),
    ):
        try:
            samples, _ = read_audio(source)
        except AudioError as error:
            assert "fuzz" in str(error)
        else:
            assert len(samples)


def test_a_member_outside_of_its_tar_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.tar").write_bytes(bytes(2048))
    for path, offset in ((tmp_path / "a.tar", 512), (tmp_path / "a.tar", 1 << 40), (tmp_path / "none.tar", 512)):
        with pytest.raises(AudioError, match="a.tar|none.tar"):
            read_audio(TarMember(str(path), "key", offset, 100))

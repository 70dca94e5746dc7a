"""CMVN statistics and layer."""

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from wenet_lite.errors import DataError
from wenet_lite.features.cmvn import CmvnStats, GlobalCmvn, read_cmvn, write_cmvn


@given(cut=st.integers(1, 49))
def test_statistics_add_up_whatever_the_cut(cut: int) -> None:
    features = torch.randn(50, 4, generator=torch.Generator().manual_seed(0)) * 3 + 7
    total = CmvnStats.of(features[:cut]) + CmvnStats.of(features[cut:])
    mean, istd = total.mean_and_istd()
    torch.testing.assert_close(mean, features.mean(0), rtol=0, atol=1e-5)
    torch.testing.assert_close(istd, 1 / features.std(0, correction=0), rtol=1e-5, atol=0)


def test_normalised_features_have_mean_0_and_deviation_1(tmp_path: Path) -> None:
    features = torch.randn(500, 4) * torch.tensor([1.0, 2.0, 5.0, 0.1]) + 3
    write_cmvn(CmvnStats.of(features), tmp_path / "global_cmvn")
    layer = GlobalCmvn(4)
    layer.set_stats(read_cmvn(tmp_path / "global_cmvn"))
    normalised = layer(features)
    torch.testing.assert_close(normalised.mean(0), torch.zeros(4), rtol=0, atol=1e-4)
    torch.testing.assert_close(normalised.std(0, correction=0), torch.ones(4), rtol=0, atol=1e-4)


def test_wenets_statistics_give_wenets_buffers(golden) -> None:
    weights = torch.load(golden / "u2pp" / "final.pt", weights_only=True)
    layer = GlobalCmvn(80)
    layer.set_stats(read_cmvn(golden / "u2pp" / "global_cmvn"))
    torch.testing.assert_close(layer.mean, weights["encoder.global_cmvn.mean"], rtol=0, atol=1e-5)
    torch.testing.assert_close(layer.istd, weights["encoder.global_cmvn.istd"], rtol=1e-5, atol=1e-6)


STATS = [[1.5, -2.0, 30.25, 10.0], [3.0, 4.5, 100.0, 0.0]]


@pytest.mark.parametrize("kind", ["text", "float", "double"])
def test_kaldis_statistics_are_read(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "global_cmvn"
    if kind == "text":
        path.write_text(" [\n  1.5 -2.0 30.25 10 \n  3 4.5 100 0 ]\n")
    else:
        letter, dtype = ("F", "<f4") if kind == "float" else ("D", "<f8")
        sizes = struct.pack("<bibi", 4, 2, 4, 4)
        path.write_bytes(b"\0B" + letter.encode() + b"M " + sizes + np.array(STATS, dtype).tobytes())
    stats = read_cmvn(path)
    assert stats.num_frames == 10
    assert stats.total.tolist() == STATS[0][:3] and stats.total_squares.tolist() == STATS[1][:3]


@given(content=st.binary(max_size=60), start=st.sampled_from([b"", b"\0B", b"\0BDM ", b"\0BFM \4", b"[", b"{"]))
def test_any_bytes_give_statistics_or_a_typed_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes, start: bytes
) -> None:
    path = tmp_path_factory.mktemp("fuzz") / "global_cmvn"
    path.write_bytes(start + content)
    try:
        assert read_cmvn(path).num_frames > 0
    except DataError as error:
        assert str(path) in str(error)


@pytest.mark.parametrize(
    "content", ["", "[1]", "{}", json.dumps({"mean_stat": [1.0], "var_stat": [1.0, 2.0], "frame_num": 3})]
)
def test_malformed_statistics_are_one_line(tmp_path: Path, content: str) -> None:
    (tmp_path / "global_cmvn").write_text(content)
    with pytest.raises(DataError, match="global_cmvn"):
        read_cmvn(tmp_path / "global_cmvn")


def test_another_number_of_bins_is_refused() -> None:
    with pytest.raises(DataError, match="4 dimensions, the features 5"):
        GlobalCmvn(5).set_stats(CmvnStats.of(torch.randn(3, 4)))

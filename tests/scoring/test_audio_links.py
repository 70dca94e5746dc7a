"""Links lead from the page's folder to the audio, whatever stands in the paths."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import unquote, urlsplit

from transcripts import write

from wenet_lite.scoring.audio_links import audio_links


def test_links_lead_from_the_page_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    lines = [
        {"key": "a", "wav": "sub/a #1?.flac", "txt": ""},
        {"key": "b", "wav": str(tmp_path / "wavs/你 %20.wav"), "txt": "", "start": 1.5, "end": 4},
        {"key": "f", "wav": "f.wav", "txt": "", "end": 1.0},
        {"key": "g", "wav": "g.wav", "txt": "", "start": 2.5},
        {"key": "c", "wav": "sox x.wav -t wav - |", "txt": ""},
        {"key": "d", "wav": "https://example.org/d.wav", "txt": ""},
        {"key": "e", "error": "is unreadable"},
    ]
    data_list = write(tmp_path / "data/data.list", [json.dumps(line) for line in lines])
    links = audio_links(data_list, tmp_path / "exp/page.html")
    assert links.keys() == {"a", "b", "f", "g"}
    found = {key: (tmp_path / "exp" / unquote(urlsplit(link).path)).resolve() for key, link in links.items()}
    assert (found["a"], found["b"]) == (tmp_path / "data/sub/a #1?.flac", tmp_path / "wavs/你 %20.wav")
    assert [urlsplit(link).fragment for link in links.values()] == ["", "t=1.5,4", "t=0,1.0", "t=2.5"]
    assert not urlsplit(links["a"]).query

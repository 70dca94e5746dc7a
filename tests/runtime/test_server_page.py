"""The page that the server serves, in a real browser with a microphone that plays a file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

pytest.importorskip("playwright.sync_api")
from live_server import live_server
from page_server import CHROMIUM, FLAGS, FakeServer
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from speech_model import SpeechModel

from wenet_lite.data.audio import read_audio

pytestmark = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"{CHROMIUM} is not there: the page has no browser")

expect.set_options(timeout=20000)
VOICE_HZ, HISS_HZ = 1000, 11000  # the second is above what 16 kHz can carry
DROP = """name => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([new Uint8Array(100)], name));
  document.body.dispatchEvent(new DragEvent("drop", {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@contextmanager
def browser_hearing(playwright: Playwright, wav: Path) -> Iterator[Browser]:
    arguments = [*FLAGS, f"--use-file-for-fake-audio-capture={wav}%noloop"]
    with playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments) as browser:
        yield browser


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Its microphone plays a second of silence, then two tones."""
    wav = tmp_path_factory.mktemp("microphone") / "tones.wav"
    times = np.arange(20 * 48000) / 48000
    tones = sum(np.sin(2 * np.pi * hertz * times) for hertz in (VOICE_HZ, HISS_HZ))
    soundfile.write(wav, 0.2 * tones * (times > 1), 48000, subtype="PCM_16")
    with browser_hearing(playwright, wav) as running:
        yield running


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    with FakeServer().running() as running:
        yield running


@contextmanager
def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """The page at an address; at the end no error was in its console, and it spoke to no other host."""
    with browser.new_context(permissions=["microphone"], **options) as context:
        page = context.new_page()
        faults: list[str] = []
        page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: faults.append(str(error)))
        hosts: list[str] = []
        page.on("request", lambda request: hosts.append(request.url))
        page.on("websocket", lambda socket: hosts.append(socket.url.replace("ws:", "http:")))
        page.goto(address)
        yield page
        assert faults == []
        assert [url for url in hosts if not url.startswith((address, "blob:", "data:"))] == []


@pytest.fixture
def page(browser: Browser, fake: FakeServer) -> Iterator[Page]:
    with opened(browser, f"http://localhost:{fake.port}/") as page:
        yield page


@pytest.mark.slow
def test_real_speech_is_understood(playwright: Playwright, speech_model: SpeechModel, tmp_path: Path) -> None:
    utterance = speech_model.utterances[0]
    wav = tmp_path / "speech.wav"
    soundfile.write(wav, read_audio(utterance.wav)[0], 16000, subtype="PCM_16")
    with (
        live_server(speech_model.model_dir, tmp_path / "log", "--token", "sesame") as server,
        browser_hearing(playwright, wav) as browser,
        opened(browser, server.address) as page,
    ):
        page.get_by_role("button", name="Start listening").click()
        expect(page.get_by_role("alert")).to_contain_text("This server wants a token")
        page.get_by_label("Token of this server").fill("sesame")
        page.get_by_role("button", name="Start listening").click()
        *_, last_word = utterance.txt.split()
        expect(page.locator("#partial")).to_contain_text(last_word)
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#status")).to_have_text("Ready")
        said, heard = set(utterance.txt.split()), set(page.locator("#finals").inner_text().split())
        assert len(said & heard) >= 0.75 * len(said)  # the microphone's silence before and after is new to this model
        page.get_by_role("button", name="Clear").click()
        page.get_by_label("Choose audio files").set_input_files(utterance.wav)
        expect(page.locator("#finals p")).to_have_text(utterance.txt)
        page.locator("#finals .word").last.hover()
        expect(page.locator("#detail")).to_have_text(
            re.compile(rf"{last_word}: \d\.\d\d to \d\.\d\d s, confidence \d+ %")
        )


def speak(page: Page) -> None:
    """Start, be understood, stop."""
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator("#partial")).not_to_be_empty()
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#status")).to_have_text("Ready")


def test_words_appear_while_they_are_spoken_and_stay(page: Page) -> None:
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator("#status")).to_have_text("Listening")
    expect(page.locator("#partial")).to_have_text("THE TRAIN LEAVES AT NOON")
    milliseconds = int(page.locator("#latency").inner_text().split()[1])
    assert 0 <= milliseconds < 5000
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#finals p")).to_have_text("THE TRAIN LEAVES AT NOON")
    expect(page.locator("#partial")).to_be_empty()
    expect(page.locator("#trouble")).to_be_hidden()


@pytest.mark.parametrize("browser_converts", [True, False])
def test_the_server_hears_what_the_microphone_hears_at_16_khz(
    browser: Browser, fake: FakeServer, browser_converts: bool
) -> None:
    with opened(browser, f"http://localhost:{fake.port}/") as page:
        if not browser_converts:
            page.evaluate("""() => {
                const create = AudioContext.prototype.createMediaStreamSource;
                AudioContext.prototype.createMediaStreamSource = function (stream) {
                    if (this.sampleRate === 16000) throw new DOMException("rates differ", "NotSupportedError");
                    return create.call(this, stream);
                };
            }""")
        page.get_by_role("button", name="Start listening").click()
        expect(page.locator("#clock")).to_have_text("0:03")
        page.get_by_role("button", name="Stop").click()
        expect(page.locator("#status")).to_have_text("Ready")
    heard = np.frombuffer(fake.pcm, "<i2")[-16000:] / 32768
    spectrum = np.abs(np.fft.rfft(heard * np.hanning(len(heard))))
    assert np.argmax(spectrum) == VOICE_HZ
    spectrum[VOICE_HZ - 10 : VOICE_HZ + 10] = 0
    assert 20 * np.log10(spectrum.max() / (len(heard) / 4)) < -50  # no alias of the hiss


def test_a_word_tells_its_time_and_confidence(page: Page, fake: FakeServer) -> None:
    fake.confidence = 0.42
    speak(page)
    word = page.locator("#finals .word").nth(1)
    word.hover()
    expect(page.locator("#detail")).to_have_text("TRAIN: 0.30 to 0.55 s, confidence 42 %")
    expect(word).to_have_css("text-decoration-style", "wavy")


def test_the_keyboard_is_enough(page: Page) -> None:
    def focus_is_on(selector: str) -> None:
        expect(page.locator(selector).first).to_be_focused()
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineWidth")
        assert outline == "3px"

    page.keyboard.press("Tab")
    focus_is_on("#theme")
    page.keyboard.press("Tab")
    focus_is_on("#record")
    page.keyboard.press("Enter")
    expect(page.locator("#partial")).not_to_be_empty()
    page.keyboard.press("Space")
    expect(page.locator("#finals p")).to_be_visible()
    focus_is_on("#record")
    page.keyboard.press("Tab")
    expect(page.locator("#file")).to_be_focused()
    page.keyboard.press("Tab")
    focus_is_on("#finals .word")
    for key in ("ArrowRight", "End", "ArrowLeft"):
        page.keyboard.press(key)
    expect(page.locator("#detail")).to_contain_text("AT: 0.90 to 1.15 s")
    for stop in ("#copy", "[data-format=txt]", "[data-format=srt]", "[data-format=vtt]", "#clear", "#hotwords"):
        page.keyboard.press("Tab")
        focus_is_on(stop)
    for _ in range(2):
        page.keyboard.press("Shift+Tab")
    focus_is_on("[data-format=vtt]")


def test_a_dropped_file_and_a_chosen_one_are_recognised(page: Page, fake: FakeServer, tmp_path: Path) -> None:
    page.get_by_label("Hotwords").fill("Worcestershire\n\n  Noon \n")
    page.evaluate(DROP, "dropped.flac")
    expect(page.get_by_role("heading", name="dropped.flac")).to_be_visible()
    (tmp_path / "chosen.wav").write_bytes(b"RIFF")
    page.get_by_label("Choose audio files").set_input_files(tmp_path / "chosen.wav")
    expect(page.get_by_role("heading", name="chosen.wav")).to_be_visible()
    expect(page.locator("#finals p")).to_have_text(["THE TRAIN LEAVES AT NOON"] * 2)
    assert [dict(form)["file"] for form in fake.forms] == ["dropped.flac", "chosen.wav"]
    assert dict(fake.forms[0])["response_format"] == "verbose_json"


def test_hotwords_reach_the_server(page: Page, fake: FakeServer) -> None:
    page.get_by_label("Hotwords").fill("Worcestershire\n\n  New York \n")
    speak(page)
    assert fake.starts[0]["hotwords"] == ["Worcestershire", "New York"]


def test_text_is_never_markup(page: Page, fake: FakeServer) -> None:
    evil = "<img src=x onerror=document.title='broken'>"
    fake.words = (evil, "&amp;", "</p><script>alert(1)</script>")
    page.evaluate(DROP, f"{evil}.flac")
    expect(page.locator("#finals p")).to_have_text(" ".join(fake.words))
    speak(page)
    assert page.locator("#text img, #text script").count() == 0
    assert "broken" not in page.title()


def test_transcripts_are_saved(page: Page, fake: FakeServer) -> None:
    fake.words = ("A<B", "END")
    for name in ("one.flac", "two.flac"):
        page.evaluate(DROP, name)
        expect(page.get_by_role("heading", name=name)).to_be_visible()
    saved = {}
    for kind in ("txt", "srt", "vtt"):
        with page.expect_download() as download:
            page.locator(f"[data-format={kind}]").click()
        assert download.value.suggested_filename == f"two.{kind}"
        saved[kind] = Path(download.value.path()).read_text()
    assert saved["txt"] == "A<B END\nA<B END\n"
    first, second = "00:00:00,000 --> 00:00:00,550", "00:00:00,600 --> 00:00:01,150"
    assert saved["srt"] == f"1\n{first}\nA<B END\n\n2\n{second}\nA<B END\n"
    cues = f"{first}\nA&lt;B END\n\n{second}\nA&lt;B END\n"
    assert saved["vtt"] == "WEBVTT\n\n" + cues.replace(",", ".")
    page.get_by_role("button", name="Clear").click()
    expect(page.locator("#finals")).to_be_empty()


def test_a_token_is_asked_for_where_the_server_wants_one(page: Page, fake: FakeServer) -> None:
    fake.refusal = "the token is missing or wrong"
    expect(page.get_by_label("Token of this server")).to_be_hidden()
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("alert")).to_contain_text("This server wants a token")
    page.get_by_label("Token of this server").fill("sesame")
    speak(page)
    assert fake.starts[-1]["token"] == "sesame"
    expect(page.get_by_role("alert")).to_be_hidden()


def test_refusals_are_told_in_words(page: Page, fake: FakeServer) -> None:
    fake.refusal = "100 connections are open; try again later"
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("alert")).to_have_text(f"The server is full: {fake.refusal}.")
    page.evaluate("""() => {
        navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("", "NotAllowedError"));
    }""")
    page.get_by_role("button", name="Start listening").click()
    expect(page.get_by_role("alert")).to_contain_text("The microphone was refused")


def test_a_lost_connection_keeps_what_was_heard(page: Page, fake: FakeServer) -> None:
    page.get_by_role("button", name="Start listening").click()
    expect(page.locator("#partial")).not_to_be_empty()
    fake.hang_up()
    expect(page.get_by_role("alert")).to_contain_text("The connection was lost")
    expect(page.locator("#finals p")).to_have_text("THE TRAIN LEAVES AT NOON")


def test_http_from_another_host_offers_files(browser: Browser, fake: FakeServer) -> None:
    with opened(browser, f"http://elsewhere.test:{fake.port}/") as page:
        expect(page.get_by_role("button", name="Start listening")).to_be_disabled()
        expect(page.locator("#hint")).to_contain_text("came by http from elsewhere.test")
        page.evaluate(DROP, "speech.flac")
        expect(page.locator("#finals p")).to_have_text("THE TRAIN LEAVES AT NOON")


@pytest.mark.parametrize("scheme, paper", [("light", "rgb(250, 250, 248)"), ("dark", "rgb(20, 23, 26)")])
def test_it_fits_a_narrow_telephone_in_light_and_dark(
    browser: Browser, fake: FakeServer, scheme: Any, paper: str
) -> None:
    fake.words = ("Donaudampfschifffahrtselektrizitätenhauptbetriebswerkbauunterbeamtengesellschaft", "EN", "ROUTE")
    address, narrow = f"http://localhost:{fake.port}/", {"width": 320, "height": 640}
    with opened(browser, address, viewport=narrow, color_scheme=scheme, reduced_motion="reduce") as page:
        expect(page.locator("body")).to_have_css("background-color", paper)
        page.evaluate(DROP, "a-recording-with-a-name-that-is-much-too-long-for-any-telephone.flac")
        speak(page)
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        sizes = [element.bounding_box() for element in page.locator("button:visible, .choose").all()]
        assert min(min(size["width"], size["height"]) for size in sizes) >= 44
        page.get_by_role("button", name="Switch between light and dark").click()
        expect(page.locator("body")).not_to_have_css("background-color", paper)

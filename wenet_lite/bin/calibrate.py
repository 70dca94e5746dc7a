"""Fit a calibration of word confidences on a dev set, and tell how well it does on other speakers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from wenet_lite.bin import command
from wenet_lite.bin.arguments import add_checkpoint, add_list

_LOG = logging.getLogger(__name__)


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of `wenet-lite calibrate`."""
    from wenet_lite.decoding.options import DECODING_MODES, DecodingOptions

    with_nbest = [mode for mode in DECODING_MODES if mode != "ctc_greedy_search"]
    parser = command.Parser(prog="calibrate", description=__doc__)
    add_checkpoint(parser)
    add_list(parser, "data.list of the dev set, with transcripts")
    parser.add_argument("--output", required=True, type=Path, help="calibration, JSON, for recognize --calibration")
    parser.add_argument("--mode", choices=with_nbest, default="attention_rescoring", help="(default: %(default)s)")
    args = parser.parse_args(argv)

    from wenet_lite.data.manifest import read_manifest
    from wenet_lite.decoding.batch_recognizer import BatchRecognizer
    from wenet_lite.decoding.calibration import write_calibration
    from wenet_lite.decoding.calibration_report import calibration_report, fit, judged_words
    from wenet_lite.decoding.recognition import ListRecognizer
    from wenet_lite.decoding.recognition_options import RecognitionOptions
    from wenet_lite.distributed import World
    from wenet_lite.errors import ConfigError
    from wenet_lite.experiment import load_run, read_experiment
    from wenet_lite.transfer import choose_device

    if not args.output.parent.is_dir():
        raise ConfigError("cannot be written: its folder does not exist", path=args.output)
    config = read_experiment(args.exp_dir / "train.yaml")
    device = choose_device(args.device, 0)
    loaded = load_run(config, args.exp_dir, args.checkpoint, device)
    manifest = read_manifest(args.data, allow_pipes=args.allow_pipes)
    chunk_size = config.model.encoder.static_chunk_size or -1
    options = RecognitionOptions((args.mode,), DecodingOptions(), chunk_size=chunk_size, words=True)
    recognizer = BatchRecognizer(loaded.model, loaded.fbank, options, device)
    batches = ListRecognizer(recognizer, loaded.tokenizer, manifest).recognized(set(), World(), num_workers=0)
    recognized = [utterance for _, utterances in batches for utterance in utterances]
    unheard = [(utterance.key, utterance.reason) for utterance in recognized if utterance.reason is not None]
    for key, reason in (*manifest.rejected, *unheard):
        _LOG.warning("dev utterance %s is left out: %s", key, reason)
    references = {utterance.key: utterance for utterance in manifest}
    words = judged_words(recognized, references, args.mode, loaded.tokenizer.rules)
    print(calibration_report(words))
    write_calibration(fit(words), args.output)
    return 0


if __name__ == "__main__":
    raise SystemExit(command.run(main))

"""What a model is said to cost is what it costs."""

from pathlib import Path

import pytest
import torch

from wenet_lite.bin import describe
from wenet_lite.experiment import build_model, read_experiment
from wenet_lite.model.asr_model import count_parameters
from wenet_lite.model.context import StreamingContext, context_warnings
from wenet_lite.model.describe import model_costs
from wenet_lite.model.encoder_config import EncoderConfig

CONF = Path(__file__).resolve().parents[2] / "conf"


def test_parts_add_up_and_operations_are_those_of_the_matrix_products() -> None:
    config = read_experiment(CONF / "smoke.yaml")
    model = build_model(config, 30)
    costs = model_costs(model, 80)
    parts = {name: count for name, count in costs.parameters.items() if name != "total"}
    assert sum(parts.values()) == costs.parameters["total"] == count_parameters(model)
    # 25 frames a second through every linear layer: two operations a weight, at least
    linear = sum(m.weight.numel() for m in model.encoder.encoders.modules() if isinstance(m, torch.nn.Linear))
    assert 2 * 25 * linear * 0.95 < costs.encoder_flops < 2 * 25 * linear * 4
    assert costs.chunk_size == 16 and costs.context == StreamingContext(40, 60, 640, 2560, 685)


def test_the_state_of_a_stream_is_keys_values_and_convolutions() -> None:
    config = read_experiment(CONF / "smoke.yaml")
    layers, dim = config.model.encoder.num_blocks, config.model.encoder.output_size
    assert model_costs(build_model(config, 30), 80).cache_bytes == 4 * layers * dim * (2 * 64 + 14) + 16


def test_the_command_says_what_a_non_streaming_model_cannot(capsys: pytest.CaptureFixture[str]) -> None:
    settings = ["--set", "model.encoder.use_dynamic_chunk=false", "--vocab-size", "30"]
    assert describe.main([str(CONF / "smoke.yaml"), *settings]) == 0
    assert "looks at whole utterances" in capsys.readouterr().out
    assert describe.main([str(CONF / "smoke.yaml"), "--vocab-size", "30"]) == 0
    assert "685 ms at most" in capsys.readouterr().out


def test_only_the_experts_that_a_frame_meets_and_what_is_shipped_are_used() -> None:
    dense, moe = (read_experiment(CONF / f"{name}.yaml") for name in ("smoke", "smoke_3m_moe"))
    costs = model_costs(build_model(moe, 30), 80)
    experts = moe.model.encoder.moe.num_experts
    dim, hidden, layers = 144, 576, moe.model.encoder.num_blocks
    idle = layers * (experts - 1) * (2 * dim * hidden + dim + hidden)
    trained = costs.parameters["total"]
    assert costs.used_parameters == trained - idle - costs.parameters["auxiliary"] - costs.parameters["embedding_ctc"]
    plain = model_costs(build_model(dense, 30), 80)
    assert plain.used_parameters == plain.parameters["total"]
    assert costs.encoder_flops < 1.5 * plain.encoder_flops


@pytest.mark.parametrize(
    "changes, chunk_size, left, expected",
    [
        ({}, 16, -1, []),
        ({}, -1, 4, []),
        ({}, 30, -1, ["chunks of 1200 ms, but it was trained with up to 1000 ms, or all at once"]),
        ({}, 16, 4, ["2560 ms of history, but it was trained with all of the past (use_dynamic_left_chunk: false)"]),
        ({"use_dynamic_left_chunk": True}, 16, 4, []),
        ({"use_dynamic_left_chunk": True}, 16, 9, ["9 chunks of history, but it was trained with up to 8"]),
        (
            {"use_dynamic_chunk": False, "static_chunk_size": 8}, 16, -1,
            ["chunks of 640 ms, but it was trained with 320 ms alone"],
        ),
    ],
)  # fmt: skip
def test_a_context_that_was_never_trained_is_told_in_milliseconds(changes, chunk_size, left, expected) -> None:
    assert context_warnings(EncoderConfig(**changes), chunk_size, left) == expected

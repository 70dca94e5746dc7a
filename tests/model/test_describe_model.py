"""What a model is said to cost is what it costs."""

from pathlib import Path

import pytest
import torch

from wenet_lite.bin import describe
from wenet_lite.experiment import build_model, read_experiment
from wenet_lite.model.asr_model import count_parameters
from wenet_lite.model.describe import model_costs

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
    assert (costs.frame_ms, costs.chunk_ms, costs.history_ms, costs.latency_ms) == (40, 640, 2560, 685)


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

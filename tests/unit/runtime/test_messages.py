"""What manager, worker and fork server say to each other comes out as it went in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from model_store.errors import ArtifactCorrupt, LoadFailed, PredictFailed
from model_store.predictors.hypotheses import AsrOptions, Hypothesis, Identification, LidOptions, Recognition, Word
from model_store.runtime.messages import (
    HEADER,
    Cancel,
    Drain,
    Exited,
    Failure,
    Heartbeat,
    Infer,
    Item,
    Load,
    Loaded,
    LoadRefused,
    Ready,
    Result,
    Spawn,
    Spawned,
    encode,
    frame,
    from_fork_server,
    from_worker,
    to_fork_server,
    to_worker,
)

TO_WORKER = [
    Load(version_dir="v", graph_dir="g", precision="bf16", threads=2, device="cpu"),
    Infer((Item(0, 0, 16_000, AsrOptions(beam_size=4)), Item(1, 16_000, 1, LidOptions(), 12.5))),
    Cancel((1, 2)),
    Drain(),
]
HEARD = Recognition((Hypothesis("你好", -1.5, 0.9, (Word("你", 0.0, 0.2, 0.8), Word("好", 0.2, 0.4, 1.0))),))
FROM_WORKER = [
    Loaded({"create": 0.5}, 1),
    LoadRefused(Failure("load_failed", "no")),
    Result(7, outcome=HEARD, stages_s={"encoder": 0.25}),
    Result(8, outcome=Identification({"zh": 0.75, "en": 0.25})),
    Result(9, failure=Failure("predict_failed", "no")),
    Heartbeat(1, 2, 3, 0.5, True),
]


@pytest.mark.parametrize("message", TO_WORKER, ids=lambda message: type(message).__name__)
def test_message_to_a_worker_comes_out_as_it_went_in(message: Struct) -> None:
    assert to_worker.decode(encode(message)) == message


@pytest.mark.parametrize("message", FROM_WORKER, ids=lambda message: type(message).__name__)
def test_message_from_a_worker_comes_out_as_it_went_in(message: Struct) -> None:
    assert from_worker.decode(encode(message)) == message


def test_message_to_and_from_the_fork_server_comes_out_as_it_went_in() -> None:
    assert to_fork_server.decode(encode(Spawn(3, 0.5))) == Spawn(3, 0.5)
    for message in (Ready(), Spawned(3, 4711), Exited(4711, -9)):
        assert from_fork_server.decode(encode(message)) == message


@given(st.text(), st.lists(st.floats(0, 1), max_size=5))
def test_frame_says_the_length_of_its_body(text: str, confidences: list[float]) -> None:
    words = tuple(Word(text, 0.0, 1.0, confidence) for confidence in confidences)
    message = Result(1, outcome=Recognition((Hypothesis(text, -1.0, 0.5, words),)))
    framed = frame(message)
    (size,) = HEADER.unpack(framed[: HEADER.size])
    assert size == len(framed) - HEADER.size
    assert from_worker.decode(framed[HEADER.size :]) == message


@pytest.mark.parametrize("leaf", [ArtifactCorrupt, LoadFailed, PredictFailed])
def test_failure_becomes_the_error_that_it_was(leaf: type[LoadFailed]) -> None:
    error = Failure.of(leaf("what happened")).error()
    assert type(error) is leaf
    assert error.message == "what happened"


def test_failure_of_an_unknown_code_is_a_failed_prediction() -> None:
    assert type(Failure("from_the_future", "what").error()) is PredictFailed

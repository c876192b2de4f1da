"""Imported PaddleSpeech networks at their published sizes, held against PaddleSpeech itself on the same clips."""

from collections.abc import Iterator

import pytest

from tests.reference.asked import needs_paddlespeech
from tests.reference.compared import OPTIONS, Compared, compare
from tests.reference.networks import NETWORKS

LENGTHS_S = (0.7, 2.1, 3.7)

pytestmark = [needs_paddlespeech, pytest.mark.timeout(900)]


@pytest.fixture(scope="module", params=NETWORKS)
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    with compare(request.param, LENGTHS_S, tmp_path_factory.mktemp(request.param)) as compared:
        yield compared


def test_paddlespeech_features_are_its_filter_bank(compared: Compared) -> None:
    compared.features_agree()


def test_paddlespeech_log_probs_of_a_clip_alone_are_its_own(compared: Compared) -> None:
    compared.log_probs_agree(together=1)


def test_paddlespeech_log_probs_in_a_padded_batch_are_its_own_of_the_clip_alone(compared: Compared) -> None:
    compared.log_probs_agree(together=len(LENGTHS_S))


@pytest.mark.parametrize("method", OPTIONS)
def test_paddlespeech_texts_are_its_own(compared: Compared, method: str) -> None:
    compared.texts_agree(method)

"""Imported PaddleSpeech networks, held against PaddleSpeech itself on many clips."""

from collections.abc import Iterator

import pytest

from tests.reference.asked import needs_paddlespeech
from tests.reference.clips import lengths
from tests.reference.compared import OPTIONS, Compared, compare
from tests.reference.networks import NETWORKS

_CLIPS = 50

pytestmark = [needs_paddlespeech, pytest.mark.soak, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module", params=NETWORKS)
def compared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Compared]:
    with compare(request.param, lengths(_CLIPS), tmp_path_factory.mktemp(request.param)) as compared:
        yield compared


def test_paddlespeech_features_of_many_clips_are_its_filter_bank(compared: Compared) -> None:
    compared.features_agree()


@pytest.mark.parametrize("together", [1, 8])
def test_paddlespeech_log_probs_of_many_clips_are_its_own(compared: Compared, together: int) -> None:
    compared.log_probs_agree(together=together)


@pytest.mark.parametrize("method", OPTIONS)
def test_paddlespeech_texts_of_many_clips_are_its_own(compared: Compared, method: str) -> None:
    compared.texts_agree(method)

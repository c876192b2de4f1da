"""Which language is spoken: PCM in, a posterior per label out."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from model_store.artifacts.manifest import Manifest
from model_store.engines.seam import Engine
from model_store.errors import PredictFailed
from model_store.predictors.batching import SHORT_CLIP, features_of, runs_of, warm_up_features
from model_store.predictors.features import Fbank
from model_store.predictors.hypotheses import Identification, LidOptions, Options
from model_store.predictors.predictor import FloatArray, Prediction
from model_store.predictors.stages import Stopwatch

_POSTERIORS = ("log_posteriors",)


class LidPredictor:
    """A language classifier that is loaded."""

    def __init__(self, manifest: Manifest, engine: Engine) -> None:
        """`engine` runs the exported graph of the version that `manifest` describes."""
        self.manifest = manifest
        self._engine = engine
        self._fbank = Fbank.of(manifest)

    def predict(self, batch: Sequence[FloatArray], options: Sequence[Options]) -> Prediction:
        """See `Predictor.predict`; of a clip too short to judge, every label is as likely as the next."""
        if not all(isinstance(option, LidOptions) for option in options):
            raise PredictFailed("A classifier was asked to recognise.")
        watch = Stopwatch()
        with watch.stage("features"):
            features = features_of(batch, self._fbank)
        undecided = np.full(len(self.manifest.labels), 1 / len(self.manifest.labels))
        found = [self._identification(undecided)] * len(batch)
        for run in runs_of(features, self.manifest.encoder.min_frames):
            with watch.stage("encoder"):
                outputs = self._engine.run({"feats": run.feats, "lengths": run.lengths}, _POSTERIORS)
            with watch.stage("search"):
                for item, log_posteriors in zip(run.items, outputs["log_posteriors"], strict=True):
                    found[item] = self._identification(np.exp(log_posteriors.astype(np.float64)))
        return Prediction(outcomes=list(found), stages_s=watch.seconds)

    def warm_up(self) -> Iterator[None]:
        """See `Predictor.warm_up`."""
        for features in warm_up_features(self.manifest.encoder.n_mels):
            for run in runs_of(features, self.manifest.encoder.min_frames):
                self._engine.run({"feats": run.feats, "lengths": run.lengths}, _POSTERIORS)
                yield
        self.predict([SHORT_CLIP], [LidOptions()])
        yield

    def _identification(self, posteriors: npt.NDArray[np.float64]) -> Identification:
        shares = posteriors / posteriors.sum()
        return Identification(dict(zip(self.manifest.labels, shares.tolist(), strict=True)))

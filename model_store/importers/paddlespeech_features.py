"""PaddleSpeech's preprocess_config: how a recording becomes features.

paddlespeech/audio/transform/transformation.py; defaults from spectrogram.py (LogMelSpectrogramKaldi) and cmvn.py
(GlobalCMVN). What only perturbs training data is skipped there when not training, and so here.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from model_store.errors import ImportFailed
from model_store.importers.config import Section, read_yaml
from model_store.importers.sources import file_of

_KEY = "preprocess_config"
_FBANK, _CMVN = "fbank_kaldi", "cmvn_json"
_PERTURBATIONS = (
    "time_warp", "freq_mask", "time_mask", "spec_augment", "speed_perturbation", "speed_perturbation_sox",
    "volume_perturbation", "noise_injection", "rir_convolve",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Features:
    """What the network hears; `cmvn` is a file or sums, None where features are not normalised here."""

    sample_rate_hz: int
    n_mels: int
    cmvn: str | dict[str, Any] | None
    file: Path | None


def read_features(config: Section, root: Path) -> Features:
    """Raises ImportFailed naming the step, or the key in it, that is not served."""
    written, file = config.raw(_KEY), None
    if isinstance(written, str):
        file = file_of(root, written, _KEY)
        steps_conf = read_yaml(file, written)
    else:
        steps_conf = config.needed_section(_KEY)
    steps_conf.require("mode", "sequential", "sequential")
    steps = steps_conf.sections("process")
    steps_conf.close()
    return _features(steps, steps_conf, file)


def _features(steps: list[Section], conf: Section, file: Path | None) -> Features:
    served = {_FBANK: _FBANK, _CMVN: _CMVN} | dict.fromkeys(_PERTURBATIONS)
    kinds = [step.choose("type", served, None) for step in steps]
    heard = [(kind, step) for kind, step in zip(kinds, steps, strict=True) if kind]
    if [kind for kind, _ in heard] not in ([_FBANK], [_FBANK, _CMVN]):
        raise ImportFailed(f"{conf.path('process')} must be {_FBANK}, and {_CMVN} after it or not.")
    sample_rate_hz, n_mels = _fbank(heard[0][1])
    cmvn = _cmvn(heard[1][1]) if len(heard) > 1 else None
    return Features(sample_rate_hz=sample_rate_hz, n_mels=n_mels, cmvn=cmvn, file=file)


def _fbank(step: Section) -> tuple[int, int]:
    """Sample rate in Hz and mel bins."""
    sample_rate_hz, n_mels = step.count("fs", 16000), step.count("n_mels", 80)
    for key, default, per_second in (("n_shift", 160, 100), ("win_length", 400, 40)):
        samples = step.count(key, default)
        if samples * per_second != sample_rate_hz:
            needed = sample_rate_hz // per_second
            raise ImportFailed(f"{step.path(key)} is {samples}; at {sample_rate_hz} Hz only {needed} is served so far.")
    step.require("energy_floor", 0.0, 0.0)
    # Noise that is added in training only.
    step.close({"dither"})
    return sample_rate_hz, n_mels


def _cmvn(step: Section) -> str | dict[str, Any]:
    for key in ("norm_means", "norm_vars"):
        step.require(key, True, True)
    step.require("std_floor", 1e-20, 1e-20)
    value = step.raw("cmvn_path")
    step.close()
    if not isinstance(value, str | dict) or not value:
        raise ImportFailed(f"{step.path('cmvn_path')} is {value!r}; it must be a file or its content.")
    return value

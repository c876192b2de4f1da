"""`python -m tests.reference.answering NETWORK ARCHIVE CLIPS ANSWERS`: PaddleSpeech itself, asked about some clips.

Makes the archive of a network, and has PaddleSpeech's own executor recognise the clips (wav files) one at a time. A
process of its own, for what importing PaddleSpeech does to one.
"""

import argparse
import functools
import json
import shutil
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from tests.reference.networks import BEAM_SIZE, NETWORKS, Network

METHODS = {"searched": "ctc_prefix_beam_search", "rescored": "attention_rescoring"}


def main() -> None:
    """Write `answers.json` (texts) and `answers.npz` (features, log-probabilities) into ANSWERS."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("network", choices=NETWORKS)
    for folder in ("archive", "clips", "answers"):
        parser.add_argument(folder, type=Path)
    asked = parser.parse_args()
    keep_pip_out()
    from tests.reference.archive import write_archive

    network = NETWORKS[asked.network]
    write_archive(network, asked.archive)
    executor = loaded(network)
    texts, arrays = [], {}
    for number, clip in enumerate(sorted(asked.clips.glob("*.wav"))):
        said, heard = answer(executor, network, clip)
        texts.append(said)
        arrays |= {f"{name}{number}": array for name, array in heard.items()}
    (asked.answers / "answers.json").write_text(json.dumps(texts, ensure_ascii=False), "utf-8")
    np.savez(asked.answers / "answers.npz", **arrays)


def keep_pip_out() -> None:
    """Importing PaddleSpeech's recognisers runs pip for a package that only DeepSpeech2 needs: say it is there."""
    decoders = types.ModuleType("paddlespeech_ctcdecoders")
    decoders.Scorer = decoders.CtcBeamSearchDecoderBatch = object  # type: ignore[attr-defined]
    sys.modules[decoders.__name__] = decoders


def loaded(network: Network) -> Any:
    """PaddleSpeech's executor with the archive in the working directory; called past what downloads and reports."""
    from paddlespeech.cli.asr.infer import ASRExecutor

    executor = ASRExecutor()
    # It takes the folder above the settings' own for the archive, and looks for the pieces there.
    shutil.copy("model.yaml", "conf")
    paths = {"cfg_path": "conf/model.yaml", "ckpt_path": network.checkpoint}
    executor._init_from_path(network.tag, network.language, False, 16000, decode_method="attention", **paths)
    executor.change_format, executor.sample_rate = False, 16000
    # Three questions about the same clip in a row share its encoding and its search, and nothing else is changed.
    model = executor.model
    model._ctc_prefix_beam_search = functools.lru_cache(maxsize=1)(model._ctc_prefix_beam_search)
    return executor


def answer(executor: Any, network: Network, clip: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """The texts by method, and features and log-probabilities, of one clip."""
    executor.preprocess(network.tag, clip.as_posix())
    texts = {name: _text(executor, network, method) for name, method in METHODS.items()}
    features, length = executor._inputs["audio"], executor._inputs["audio_len"]
    with paddle.no_grad():
        texts["rescored_by_model"] = _rescored_by_model(executor, network)
        _, encoded = executor.model._ctc_prefix_beam_search(features, length, BEAM_SIZE, -1, -1, False)
        log_probs = executor.model.ctc.log_softmax(encoded)[0].numpy()
    return texts, {"features": _features(executor, clip), "log_probs": log_probs}


def _text(executor: Any, network: Network, method: str) -> str:
    from paddlespeech.s2t.utils.utility import UpdateConfig

    with UpdateConfig(executor.config):
        executor.config.decode.decoding_method = method
    # It logs what goes wrong and keeps the answer to the clip before.
    executor._outputs.clear()
    executor.infer(network.tag)
    return str(executor.postprocess())


def _rescored_by_model(executor: Any, network: Network) -> str:
    """As the executor does it, but with the share of a second decoder, which the executor leaves out."""
    features, length = executor._inputs["audio"], executor._inputs["audio_len"]
    texts, _ = executor.model.decode(
        *(features, length, executor.text_feature, "attention_rescoring", BEAM_SIZE),
        ctc_weight=executor.config.decode.ctc_weight,
        decoding_chunk_size=-1,
        reverse_weight=network.reverse_weight,
    )
    return str(texts[0])


def _features(executor: Any, clip: Path) -> Any:
    """Its filter bank alone: some networks have the statistics applied to the features after it."""
    import soundfile
    from paddlespeech.audio.transform.transformation import Transformation

    pcm, _ = soundfile.read(clip, dtype="int16")
    return Transformation({"process": [dict(executor.config.preprocess_config.process[0])]})(pcm, train=False)


if __name__ == "__main__":
    main()

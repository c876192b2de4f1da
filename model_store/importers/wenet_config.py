"""WeNet's train.yaml -> what the manifest says; every default of WeNet's is written out here.

Defaults: wenet/utils/init_model.py, wenet/utils/init_tokenizer.py, wenet/dataset/dataset.py and processor.py, and
wenet/transformer/asr_model.py for the numbers of <sos> and <eos>.
"""

from dataclasses import dataclass
from typing import Literal

from model_store.artifacts.manifest import Decoder, Encoder
from model_store.errors import ImportFailed
from model_store.importers.config import Section
from model_store.importers.wenet_network import read_decoder_of, read_encoder

Tokenizer = Literal["char", "bpe"]

_KINDS: dict[str, Literal["asr", "lid"]] = {"asr_model": "asr", "language_classifier": "lid"}
_TOKENIZERS: dict[str, Tokenizer] = {"char": "char", "bpe": "bpe"}
# Only training reads them, or they say what another key says too.
_WITHOUT_EFFECT = frozenset({
    "optim", "optim_conf", "scheduler", "scheduler_conf", "accum_grad", "grad_clip", "max_epoch", "log_interval",
    "save_interval", "save_states", "train_engine", "use_amp", "dtype", "dataset", "model_dir", "init_infos",
    "vocab_size", "lfmmi_dir", "spec_aug_conf", "raw_wav",
})  # fmt: skip
_RECOGNISERS_ONLY = frozenset({
    "decoder", "decoder_conf", "ctc", "ctc_conf", "model_conf", "tokenizer", "tokenizer_conf",
})  # fmt: skip
_MODEL_WITHOUT_EFFECT = frozenset({"ctc_weight", "lsm_weight", "length_normalized_loss", "ignore_id"})
_TOKENIZER_WITHOUT_EFFECT = frozenset({
    "symbol_table_path", "bpe_path", "non_lang_syms_path", "split_with_space", "is_multilingual", "num_languages",
})  # fmt: skip
_DATASET_WITHOUT_EFFECT = frozenset({
    "filter_conf", "speed_perturb", "spec_aug", "spec_aug_conf", "spec_sub", "spec_sub_conf", "spec_trim",
    "spec_trim_conf", "shuffle", "shuffle_conf", "list_shuffle", "list_shuffle_conf", "sort", "sort_conf", "batch_conf",
    "cycle", "language_conf", "speaker_conf", "singal_channel_conf", "mfcc_conf", "log_mel_spectrogram_conf",
    "split_with_space",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class WenetConfig:
    """The part of a train.yaml that serving depends on; `tokenizer` is None where none is written."""

    kind: Literal["asr", "lid"]
    units: int
    sample_rate_hz: int
    encoder: Encoder
    decoder: Decoder | None
    tokenizer: Tokenizer | None
    has_cmvn: bool
    is_json_cmvn: bool


def read_config(config: Section) -> WenetConfig:
    """Raises ImportFailed naming the first key whose value is not served."""
    kind = config.choose("model", _KINDS, "asr_model")
    units = config.count("output_dim")
    sample_rate_hz, n_mels = _features(config)
    encoder = read_encoder(config, n_mels)
    has_cmvn, is_json_cmvn = _cmvn(config)
    decoder, tokenizer = _decoder(config, encoder, units) if kind == "asr" else (None, None)
    config.close(_WITHOUT_EFFECT if kind == "asr" else _WITHOUT_EFFECT | _RECOGNISERS_ONLY)
    return WenetConfig(
        kind=kind,
        units=units,
        sample_rate_hz=sample_rate_hz,
        encoder=encoder,
        decoder=decoder,
        tokenizer=tokenizer,
        has_cmvn=has_cmvn,
        is_json_cmvn=is_json_cmvn,
    )


def _features(config: Section) -> tuple[int, int]:
    """Sample rate in Hz and mel bins."""
    sample_rate_hz, n_mels = _features_until_2021(config) if "collate_conf" in config else _features_now(config)
    input_dim = config.count("input_dim")
    if input_dim != n_mels:
        raise ImportFailed(f"input_dim is {input_dim}, and the features have {n_mels} mel bins.")
    return sample_rate_hz, n_mels


def _features_now(config: Section) -> tuple[int, int]:
    dataset = config.needed_section("dataset_conf")
    dataset.require("feats_type", "fbank", "fbank")
    fbank, resample = dataset.section("fbank_conf"), dataset.section("resample_conf")
    _require_kaldi_frames(fbank)
    fbank.require("window_type", "povey", "povey")
    n_mels = fbank.count("num_mel_bins", 23)
    sample_rate_hz = resample.count("resample_rate", 16000)
    fbank.close({"dither"})
    resample.close()
    dataset.close(_DATASET_WITHOUT_EFFECT)
    return sample_rate_hz, n_mels


def _features_until_2021(config: Section) -> tuple[int, int]:
    """As WeNet wrote them before its second data pipeline; there a recording that said no rate kept its own."""
    config.section("dataset_conf")
    config.require("raw_wav", True, True)
    fbank = config.section("collate_conf").needed_section("feature_extraction_conf")
    fbank.require("feature_type", "fbank", "fbank")
    fbank.require("using_pitch", False, False)
    _require_kaldi_frames(fbank)
    sample_rate_hz, n_mels = fbank.count("resample", 16000), fbank.count("mel_bins")
    fbank.close({"wav_dither"})
    return sample_rate_hz, n_mels


def _require_kaldi_frames(fbank: Section) -> None:
    fbank.require("frame_shift", 10, 10)
    fbank.require("frame_length", 25, 25)


def _cmvn(config: Section) -> tuple[bool, bool]:
    """Whether features are normalised, and whether the sums are JSON; older files say both at the top."""
    if "cmvn_file" in config:
        return config.raw("cmvn_file") is not None, config.take("is_json_cmvn", False)
    if not config.choose("cmvn", {"global_cmvn": True, None: False}, None):
        config.section("cmvn_conf")
        return False, True
    conf = config.needed_section("cmvn_conf")
    is_json = conf.take("is_json_cmvn", False)
    conf.close({"cmvn_file"})
    return True, is_json


def _decoder(config: Section, encoder: Encoder, units: int) -> tuple[Decoder | None, Tokenizer | None]:
    """What a recogniser has and a classifier lacks."""
    config.require("ctc", "ctc", "ctc")
    ctc, model = config.section("ctc_conf"), config.needed_section("model_conf")
    ctc.require("ctc_blank_id", 0, 0)
    ctc.close()
    model.require("apply_non_blank_embedding", False, False)
    tokenizer = config.choose("tokenizer", _TOKENIZERS, "char") if "tokenizer" in config else None
    sos, eos = _sos_and_eos(config.section("tokenizer_conf"), units)
    decoder = read_decoder_of(config, encoder, sos=sos, eos=eos, reverse_weight=model.share("reverse_weight", 0.0))
    model.close(_MODEL_WITHOUT_EFFECT)
    return decoder, tokenizer


def _sos_and_eos(tokenizer_conf: Section, units: int) -> tuple[int, int]:
    tokenizer_conf.require("connect_symbol", "", "")
    special = tokenizer_conf.section("special_tokens")
    special.require("<blank>", 0, 0)
    numbers = special.take("<sos>", units - 1), special.take("<eos>", units - 1)
    for name, number in zip(("<sos>", "<eos>"), numbers, strict=True):
        if not 0 < number < units:
            raise ImportFailed(f"{special.path(name)} is {number}, and the units are 0 to {units - 1}.")
    special.close({"<unk>"})
    tokenizer_conf.close(_TOKENIZER_WITHOUT_EFFECT)
    return numbers

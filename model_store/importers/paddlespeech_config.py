"""PaddleSpeech's model.yaml -> what the manifest says; every default of PaddleSpeech's is written out here.

Defaults: paddlespeech/s2t/models/u2/u2.py (U2Model), s2t/modules/encoder.py, decoder.py, conformer_convolution.py and
activation.py; what decodes is cli/asr/infer.py and s2t/exps/u2/model.py.
"""

from dataclasses import dataclass
from typing import Any, Literal

from model_store.artifacts.manifest import Decoder, Encoder
from model_store.errors import ImportFailed
from model_store.importers.config import Section
from model_store.importers.network import (
    CTC_WEIGHT,
    WITHOUT_EFFECT,
    read_conformer,
    read_decoder,
    read_transformer,
)

# Written in its classes, with no key for them: layer norms of blocks, and the norm within a convolution.
_EPSILON = 1e-12
_CONV_NORM_EPSILON = 1e-5
_TOKENIZERS: dict[str, Literal["char", "bpe"]] = {"char": "char", "spm": "bpe"}
_METHODS = ("attention", "ctc_greedy_search", "ctc_prefix_beam_search", "attention_rescoring")
# Only training reads them, or they say what another key says too.
_TRAINING = frozenset({
    "train_manifest", "dev_manifest", "test_manifest", "use_stream_data", "sortagrad", "batch_size", "do_filter",
    "maxlen_in", "maxlen_out", "minlen_in", "minlen_out", "minibatches", "batch_count", "batch_bins",
    "batch_frames_in", "batch_frames_out", "batch_frames_inout", "num_workers", "subsampling_factor", "num_encs",
    "n_epoch", "accum_grad", "global_grad_clip", "dist_sampler", "optim", "optim_conf", "scheduler", "scheduler_conf",
    "log_interval", "checkpoint", "shuffle_size", "sort_size", "prefetch_factor", "augment_conf", "seed", "ngpu",
    "min_input_len", "max_input_len", "min_output_len", "max_output_len", "min_output_input_ratio",
    "max_output_input_ratio", "shuffle_method", "random_seed", "keep_transcription_text", "save_interval",
    "num_decoding_left_chunks",
})  # fmt: skip
# Features as versions before 0.2 made them; `preprocess_config` has taken their place.
_REPLACED = frozenset({
    "stride_ms", "window_ms", "dither", "resample_rate", "target_sample_rate", "raw_wav", "max_freq", "n_fft",
    "use_dB_normalization", "target_dB", "mean_std_filepath", "augmentation_config",
})  # fmt: skip
_MODEL_WITHOUT_EFFECT = frozenset({
    "ctc_weight", "lsm_weight", "length_normalized_loss", "init_type", "ctc_dropout_rate", "ctc_dropoutrate",
    "ctc_grad_norm_type", "ignore_id", "reverse_weight",
})  # fmt: skip
_DECODE_WITHOUT_EFFECT = frozenset({
    "batch_size", "decode_batch_size", "error_rate_type", "decoding_chunk_size", "num_decoding_left_chunks",
    "simulate_streaming", "lang_model_path", "alpha", "beta", "cutoff_prob", "cutoff_top_n", "num_proc_bsearch",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class PaddleSpeechConfig:
    """The part of a model.yaml that serving depends on; files are as they are written.

    `vocabulary` is a file or the symbols themselves.
    """

    units: int
    encoder: Encoder
    decoder: Decoder
    tokenizer: Literal["char", "bpe"]
    vocabulary: str | list[str]
    cmvn_file: str | None


def read_config(config: Section, n_mels: int) -> PaddleSpeechConfig:
    """Read all but the features. Raises ImportFailed naming the first key whose value is not served."""
    _require_features(config, n_mels)
    units = config.count("output_dim")
    encoder = _encoder(config, n_mels)
    found = PaddleSpeechConfig(
        units=units,
        encoder=encoder,
        decoder=_decoder(config, encoder, units),
        tokenizer=config.choose("unit_type", _TOKENIZERS, "char"),
        vocabulary=_vocabulary(config),
        cmvn_file=_cmvn_file(config),
    )
    # The pieces stand in the vocabulary; the model that cuts words into them is for training.
    config.text("spm_model_prefix")
    config.close(_TRAINING | _REPLACED)
    return found


def _require_features(config: Section, n_mels: int) -> None:
    for key in ("input_dim", "feat_dim"):
        if (key == "input_dim" or key in config) and config.count(key) != n_mels:
            raise ImportFailed(f"{key} is {config.count(key)}, and the features have {n_mels} mel bins.")
    config.require("delta_delta", False, False)
    config.require("spectrum_type", "fbank", "fbank")


def _encoder(config: Section, n_mels: int) -> Encoder:
    kind = config.choose("encoder", {"conformer": "conformer", "transformer": "transformer"}, "transformer")
    conf = config.needed_section("encoder_conf")
    # Only a conformer has this key: how long a table of positions it makes.
    max_len = {"max_len"} if kind == "conformer" else set()
    shape: Encoder
    if kind == "conformer":
        shape = read_conformer(conf, n_mels, norm_epsilon=_EPSILON, conv_norm_epsilon=_CONV_NORM_EPSILON)
    else:
        shape = read_transformer(conf, n_mels, norm_epsilon=_EPSILON)
    conf.close(WITHOUT_EFFECT | max_len)
    return shape


def _decoder(config: Section, encoder: Encoder, units: int) -> Decoder:
    is_bidirectional = config.choose("decoder", {"transformer": False, "bitransformer": True}, "transformer")
    model, decode = config.needed_section("model_conf"), config.section("decode")
    conf = config.needed_section("decoder_conf")
    decode.choose("decoding_method", dict.fromkeys(_METHODS), "attention_rescoring")
    decode.count("beam_size", 10)
    decoder = read_decoder(
        conf,
        encoder,
        is_bidirectional=is_bidirectional,
        sos=units - 1,
        eos=units - 1,
        norm_epsilon=_EPSILON,
        ctc_weight=decode.share("ctc_weight", CTC_WEIGHT),
        reverse_weight=decode.share("reverse_weight", 0.0),
    )
    # A decoder in one direction drops the key.
    conf.close(WITHOUT_EFFECT | {"max_len"} | (set() if is_bidirectional else {"r_num_blocks"}))
    model.close(_MODEL_WITHOUT_EFFECT)
    decode.close(_DECODE_WITHOUT_EFFECT)
    return decoder


def _vocabulary(config: Section) -> str | list[str]:
    value: Any = config.raw("vocab_filepath")
    if isinstance(value, list):
        # YAML reads unquoted digits as numbers; they were written as symbols.
        return [symbol if isinstance(symbol, str) else _written(symbol) for symbol in value]
    if not isinstance(value, str) or not value:
        raise ImportFailed(f"vocab_filepath is {value!r}; it must name the vocabulary.")
    return value


def _written(symbol: Any) -> str:
    if type(symbol) is int:
        return str(symbol)
    raise ImportFailed(f"vocab_filepath holds {symbol!r}, which is no symbol.")


def _cmvn_file(config: Section) -> str | None:
    file = config.text("cmvn_file")
    if file:
        config.require("cmvn_file_type", "json", "json")
    config.text("cmvn_file_type")
    return file or None

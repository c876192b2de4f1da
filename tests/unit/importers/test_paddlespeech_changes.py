"""Whatever is changed in a PaddleSpeech model, the error names it."""

from pathlib import Path

import numpy as np
import pytest

from model_store.importers.paddlespeech import import_paddlespeech
from tests.unit.importers.changes import changed, renamed

BLOCK = "encoder.encoders.1"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("encoder: conformer", "encoder: squeezeformer", "encoder is 'squeezeformer'"),
        ("encoder_conf:", "encoder_config:", "encoder_conf is missing"),
        ("input_layer: conv2d", "input_layer: linear", "encoder_conf.input_layer is 'linear'"),
        ("pos_enc_layer_type: rel_pos", "pos_enc_layer_type: rope_pos", "pos_enc_layer_type is 'rope_pos'"),
        ("activation_type: swish", "activation_type: hardswish", "activation_type is 'hardswish'"),
        ("normalize_before: true", "normalize_before: false", "encoder_conf.normalize_before is False"),
        ("use_cnn_module: true", "use_cnn_module: false", "encoder_conf.use_cnn_module is False"),
        ("cnn_module_kernel: 7", "cnn_module_kernel: 8", "cnn_module_kernel is 8; without causal"),
        ("cnn_module_kernel: 7", "kernel: 7", "encoder_conf.kernel is 7"),
        ("attention_heads: 2", "attention_heads: 3", "3 attention_heads"),
        ("num_blocks: 2", "num_blocks: two", "encoder_conf.num_blocks is 'two'"),
        ("num_blocks: 2", "num_blocks: 2\n  norm_eps: 1e-5", "encoder_conf.norm_eps is '1e-5'"),
        ("num_blocks: 2", "num_blocks: 2\n  static_chunk_size: 16", "encoder_conf.static_chunk_size is 16"),
        ("num_blocks: 2", "num_blocks: 2\n  concat_after: true", "encoder_conf.concat_after is True"),
        ("decoder: transformer", "decoder: rnn", "decoder is 'rnn'"),
        ("decoder: transformer", "decoder: null", "decoder is None"),
        ("decoder: transformer", "decoder: bitransformer", "decoder_conf.r_num_blocks is 0"),
        ("decoder_conf:", "decoder_cfg:", "decoder_conf is missing"),
        ("model_conf:", "model_cfg:", "model_conf is missing"),
        ("lsm_weight: 0.1", "label_smoothing: 0.1", "model_conf.label_smoothing is 0.1"),
        ("input_dim: 80", "input_dim: 161", "input_dim is 161, and the features have 80 mel bins"),
        ("input_dim: 80\n", "", "input_dim is missing"),
        ("feat_dim: 80", "feat_dim: 40", "feat_dim is 40"),
        ("output_dim: 30", "output_dim: 31", "vocab.txt has 30 units, output_dim is 31"),
        ("cmvn_file_type: json", "cmvn_file_type: npz", "cmvn_file_type is 'npz'"),
        ("data/mean_std.json", "data/mean.json", "cmvn_file is 'data/mean.json', and there is no such file"),
        ("data/mean_std.json", "/etc/passwd", "cmvn_file is '/etc/passwd', which leads outside"),
        ("data/mean_std.json", "../conformer/data/mean_std.json", "which leads outside"),
        ("data/lang_char/vocab.txt", "data/vocab.txt", "vocab_filepath is 'data/vocab.txt', and there is no such"),
        ("vocab_filepath: data/lang_char/vocab.txt", "vocab_filepath:", "vocab_filepath is None"),
        ("unit_type: char", "unit_type: word", "unit_type is 'word'"),
        ("unit_type: char", "units_type: char", "units_type is 'char'"),
        ("preprocess_config:", "preprocess:", "preprocess_config is missing"),
        ("type: fbank_kaldi", "type: stft", "preprocess_config.process[0].type is 'stft'"),
        ("type: fbank_kaldi", "type: fbank", "preprocess_config.process[0].type is 'fbank'"),
        ("type: time_warp", "type: delta", "preprocess_config.process[1].type is 'delta'"),
        ("type: time_warp", "type: fbank_kaldi", "preprocess_config.process must be fbank_kaldi"),
        ("n_mels: 80", "n_mels: 40", "input_dim is 80, and the features have 40 mel bins"),
        ("n_shift: 160", "n_shift: 200", "process[0].n_shift is 200; at 16000 Hz only 160"),
        ("win_length: 400", "win_length: 512", "process[0].win_length is 512; at 16000 Hz only 400"),
        ("win_length: 400", "win_length: 400\n    energy_floor: 1.0", "process[0].energy_floor is 1.0"),
        ("win_length: 400", "win_length: 400\n    window: hann", "process[0].window is 'hann'"),
        ("  process:", "  mode: parallel\n  process:", "preprocess_config.mode is 'parallel'"),
        ("stride_ms: 10.0", "delta_delta: true", "delta_delta is True"),
        ("stride_ms: 10.0", "spectrum_type: linear", "spectrum_type is 'linear'"),
        ("decoding_method: attention_rescoring", "decoding_method: beam", "decode.decoding_method is 'beam'"),
        ("beam_size: 10", "beam_size: 0", "decode.beam_size is 0"),
        ("  ctc_weight: 0.5", "  ctc_weight: 5", "decode.ctc_weight is 5"),
        ("  ctc_weight: 0.5", "  ctc_wait: 0.5", "decode.ctc_wait is 0.5"),
        ("num_encs: 1", "num_encoders: 1", "num_encoders is 1"),
        ("encoder: conformer", "encoder: !!python/object/apply:os.system [id]", "model.yaml cannot be read"),
        ("encoder: conformer", "encoder: [" * 3000, "model.yaml cannot be read"),
        ("output_size: 16", "output_size: 32", "shape"),
        ("cnn_module_kernel: 7", "cnn_module_kernel: 9", "depthwise_conv.weight has shape (16, 1, 7)"),
        ("cnn_module_kernel: 7", "cnn_module_norm: layer_norm\n  cnn_module_kernel: 7", "conv_module.norm._mean"),
        ("num_blocks: 2", "num_blocks: 1", "Unexpected tensor encoder.encoders.1."),
        ("num_blocks: 2", "num_blocks: 3", "Tensor encoder.encoders.2."),
        ("num_blocks: 1", "num_blocks: 2", "Tensor decoder.decoders.1."),
    ],
)
def test_import_paddlespeech_changed_configuration_is_refused_by_name(paddlespeech_copy, refused, old, new, told):
    assert told in refused(import_paddlespeech, paddlespeech_copy("conformer", {"conf/model.yaml": (old, new)}))


@pytest.mark.parametrize(
    ("name", "file", "old", "new", "told"),
    [
        ("u2pp", "model.yaml", "r_num_blocks: 1", "r_num_blocks: 2", "Tensor decoder.right_decoder.decoders.1."),
        ("u2pp", "model.yaml", "- <blank>\n", "- <blank>\n- 3.5\n", "vocab_filepath holds 3.5"),
        ("u2pp", "model.yaml", "- 一\n", "- 丁\n", "vocab_filepath: unit 3 is '丁'"),
        ("u2pp", "model.yaml", "- <eos>\n", "- <eos>\n- 新\n", "vocab_filepath has 31 units, output_dim is 30"),
        ("u2pp", "model.yaml", "frame_num: 1000", "frames: 1000", "cmvn_json.cmvn_path holds no mean_stat"),
        ("u2pp", "model.yaml", "cmvn_file: null", "cmvn_file: data/mean_std.json", "cmvn_file is 'data/mean_std.json'"),
        ("transformer", "model.yaml", "preprocess_config: conf/", "preprocess_config: ../", "leads outside"),
        ("transformer", "model.yaml", "num_blocks: 2", "num_blocks: 2\n  activation_type: gelu", "activation_type is"),
        ("transformer", "model.yaml", "num_blocks: 2", "num_blocks: 2\n  pos_enc_layer_type: rel_pos", "is 'rel_pos'"),
        ("transformer", "conf/preprocess.yaml", "cmvn_json", "utterance_cmvn", "process[1].type is 'utterance_cmvn'"),
        ("transformer", "conf/preprocess.yaml", "cmvn_path:", "norm_vars: false\n  cmvn_path:", "norm_vars is False"),
        ("transformer", "conf/preprocess.yaml", "data/mean_std.json", "../mean_std.json", "leads outside"),
        ("transformer", "data/lang_char/vocab.txt", "▁b 3\n", "▁b 4\n", "'▁b' is unit 3, and its line says 4"),
        ("transformer", "data/lang_char/vocab.txt", "▁b 3\n", "▁a 3\n", "unit 3 is '▁a'"),
        ("transformer", "data/lang_char/vocab.txt", "▁b 3\n", "", "its line says 4"),
        ("conformer", "data/lang_char/vocab.txt", "<eos>\n", "<eos>\n新\n", "has 31 units"),
        ("conformer", "data/lang_char/vocab.txt", "<unk>\n", "<eos>\n", "unit 29 is '<eos>'"),
        ("conformer", "data/lang_char/vocab.txt", "一\n", "\n", "unit 2 is ''"),
        ("conformer", "data/mean_std.json", '"frame_num": 1000', '"frame_num": 900', "encoder.global_cmvn.mean is not"),
        ("conformer", "data/mean_std.json", '"frame_num"', '"frames"', "mean_std.json holds no mean_stat"),
        ("conformer", "data/mean_std.json", '"mean_stat": [', '"mean_stat": [1.0, ', "mean_std.json"),
    ],
)  # fmt: skip
def test_import_paddlespeech_changed_file_is_refused_by_name(paddlespeech_copy, refused, name, file, old, new, told):
    assert told in refused(import_paddlespeech, paddlespeech_copy(name, {file: (old, new)}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("encoder.after_norm.bias"), "Tensor encoder.after_norm.bias is missing"),
        (renamed("encoder.after_norm.bias", "encoder.after_norm.beta"), "Unexpected tensor encoder.after_norm.beta"),
        (lambda t: t.pop(f"{BLOCK}.conv_module.norm._variance"), "conv_module.norm._variance is missing"),
        (
            renamed(f"{BLOCK}.conv_module.norm._mean", f"{BLOCK}.conv_module.norm.running_mean"),
            "Unexpected tensor encoder.encoders.1.conv_module.norm.running_mean",
        ),
        (lambda t: t.pop("decoder.decoders.0.src_attn.linear_q.bias"), "src_attn.linear_q.bias is missing"),
        (lambda t: t.pop("decoder.embed.0.weight"), "Tensor decoder.embed.0.weight is missing"),
        (renamed("decoder.output_layer.bias", "decoder.left_decoder.output_layer.bias"), "decoder.left_decoder."),
        (
            lambda t: t.update({"lm.weight": np.zeros((2, 2), np.float32)}),
            "Unexpected tensor lm.weight of shape (2, 2)",
        ),
        (changed("ctc.ctc_lo.weight", lambda w: w[:, :-1]), "ctc.ctc_lo.weight has shape (16, 29)"),
        (changed("ctc.ctc_lo.weight", lambda w: w.T), "ctc.ctc_lo.weight has shape (30, 16)"),
        (changed("decoder.embed.0.weight", lambda w: w.T), "decoder.embed.0.weight has shape (16, 30)"),
        (changed("encoder.embed.out.0.weight", lambda w: w.T), "encoder.embed.out.0.weight has shape (16, 304)"),
        (
            changed("encoder.embed.conv.0.weight", lambda w: w[:, 0]),
            "encoder.embed.conv.0.weight has shape (16, 3, 3)",
        ),
        (changed(f"{BLOCK}.conv_module.pointwise_conv2.weight", lambda w: w[..., 0]), "has shape (16, 16)"),
        (changed(f"{BLOCK}.self_attn.pos_bias_v", lambda w: w.T), "pos_bias_v has shape (8, 2)"),
        (changed(f"{BLOCK}.norm_ff.weight", lambda w: w[None]), "norm_ff.weight has shape (1, 16)"),
        (changed("ctc.ctc_lo.bias", lambda b: np.full_like(b, np.inf)), "ctc.ctc_lo.bias holds numbers that"),
        (changed("ctc.ctc_lo.bias", lambda b: b.astype(np.int32)), "ctc.ctc_lo.bias holds int32"),
        (changed("encoder.global_cmvn.mean", lambda m: m + 1), "encoder.global_cmvn.mean is not what"),
        (lambda t: t.update({"epoch": 30}), "entry 'epoch' is a int"),
    ],
)
def test_import_paddlespeech_changed_tensor_is_refused_by_name(
    paddlespeech_copy, change_tensors, refused, change, told
):
    source = paddlespeech_copy("conformer")
    change_tensors(source, change)
    assert told in refused(import_paddlespeech, source)


def test_import_paddlespeech_statistics_in_a_network_that_has_none_are_refused(
    paddlespeech_copy, change_tensors, refused
):
    source = paddlespeech_copy("u2pp")
    change_tensors(source, lambda t: t.update({"encoder.global_cmvn.mean": np.zeros(80, np.float32)}))
    assert "Unexpected tensor encoder.global_cmvn.mean" in refused(import_paddlespeech, source)


@pytest.mark.parametrize("name", ["conf/model.yaml", "exp/conformer/checkpoints/conformer.pdparams"])
def test_import_paddlespeech_without_a_file_names_it(paddlespeech_copy, refused, name):
    source = paddlespeech_copy("conformer")
    (source / name).unlink()
    assert Path(name).suffix in refused(import_paddlespeech, source)


def test_import_paddlespeech_with_two_checkpoints_names_both(paddlespeech_copy, refused):
    source = paddlespeech_copy("conformer")
    checkpoints = source / "exp/conformer/checkpoints"
    (checkpoints / "avg_10.pdparams").write_bytes((checkpoints / "conformer.pdparams").read_bytes())
    message = refused(import_paddlespeech, source)
    assert "exp/conformer/checkpoints/avg_10.pdparams, exp/conformer/checkpoints/conformer.pdparams" in message

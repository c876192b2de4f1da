"""Whatever is changed in a WeNet model, the error names it."""

from pathlib import Path

import numpy as np
import pytest

from model_store.artifacts.torch_checkpoint import read_torch_checkpoint
from model_store.importers.wenet import import_wenet
from tests.unit.importers.changes import changed, renamed

DATA = Path(__file__).parents[2] / "data" / "wenet"
CAUSAL = "  cnn_module_norm: layer_norm\n  causal: true\n"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("encoder: conformer", "encoder: squeezeformer", "encoder is 'squeezeformer'"),
        ("encoder_conf:", "encoder_config:", "encoder_conf is missing"),
        ("cnn_module_norm: layer_norm", "cnn_module_norm: rms_norm", "encoder_conf.cnn_module_norm is 'rms_norm'"),
        ("input_layer: conv2d", "input_layer: linear", "encoder_conf.input_layer is 'linear'"),
        ("pos_enc_layer_type: rel_pos", "pos_enc_layer_type: rope_pos", "pos_enc_layer_type is 'rope_pos'"),
        ("selfattention_layer_type: rel_selfattn", "selfattention_layer_type: selfattn", "type is 'selfattn'"),
        ("activation_type: swish", "activation_type: mish", "activation_type is 'mish'"),
        ("normalize_before: true", "normalize_before: false", "encoder_conf.normalize_before is False"),
        ("attention_heads: 4", "attention_heads: 5", "5 attention_heads"),
        ("attention_heads: 4", "attention_heads: four", "attention_heads is 'four'"),
        ("num_blocks: 3", "num_blocks: 0", "num_blocks is 0"),
        ("causal: true", "causal: true\n  rotary: true", "encoder_conf.rotary is True"),
        ("causal: true", "causal: true\n  concat_after: true", "encoder_conf.concat_after is True"),
        ("causal: true", "causal: true\n  n_kv_head: 2", "encoder_conf.n_kv_head is 2"),
        ("causal: true", "causal: true\n  static_chunk_size: 16", "static_chunk_size is 16"),
        (
            f"kernel: 15\n{CAUSAL}",
            f"kernel: 8\n{CAUSAL.replace('true', 'no')}",
            "cnn_module_kernel is 8; without causal",
        ),
        ("ctc_blank_id: 0", "ctc_blank_id: 59", "ctc_conf.ctc_blank_id is 59"),
        ("frame_shift: 10", "frame_shift: 20", "fbank_conf.frame_shift is 20"),
        ("num_mel_bins: 80", "num_mel_bins: 40", "the features have 40 mel bins"),
        ("fbank_conf:", "mfcc_conf:", "the features have 23 mel bins"),
        ("dataset_conf:", "dataset_conf:\n  feats_type: mfcc", "dataset_conf.feats_type is 'mfcc'"),
        ("resample_rate: 16000", "rate: 16000", "dataset_conf.resample_conf.rate is 16000"),
        ("input_dim: 80", "input_dim: 83", "input_dim is 83"),
        ("output_dim: 60", "output_dim: 61", "units.txt has 60 units, output_dim is 61"),
        ("output_dim: 60\n", "", "output_dim is missing"),
        ("model: asr_model", "model: transducer", "model is 'transducer'"),
        ("model_conf:", "modell_conf:", "model_conf is missing"),
        ("reverse_weight: 0.3", "reverse_weight: 1.3", "model_conf.reverse_weight is 1.3"),
        ("reverse_weight: 0.3", "revers_weight: 0.3", "model_conf.revers_weight is 0.3"),
        ("reverse_weight: 0.3", "apply_non_blank_embedding: true", "apply_non_blank_embedding is True"),
        ("decoder: bitransformer", "decoder: sanm_decoder", "decoder is 'sanm_decoder'"),
        ("decoder: bitransformer", "decoder: transformer", "decoder_conf.r_num_blocks is 2"),
        ("r_num_blocks: 2", "r_num_blocks: 0", "decoder_conf.r_num_blocks is 0"),
        ("r_num_blocks: 2", "r_num_blocks: 2\n  src_attention: false", "decoder_conf.src_attention is False"),
        ("r_num_blocks: 2", "r_num_blocks: 2\n  input_layer: embed_learnable_pe", "decoder_conf.input_layer"),
        ("tokenizer: char", "tokenizer: whisper", "tokenizer is 'whisper'"),
        ("tokenizer: char", "tokeniser: char", "tokeniser is 'char'"),
        ("tokenizer_conf:", "tokenizer_conf:\n  connect_symbol: ' '", "tokenizer_conf.connect_symbol is ' '"),
        ("<sos>: 2", "<sos>: 60", "special_tokens.<sos> is 60"),
        ("<sos>: 2", "<sos>: 5", "special_tokens.<sos> is 5, and units.txt has '丅' there"),
        ("cmvn: global_cmvn", "cmvn: none", "cmvn is 'none'"),
        ("cmvn: global_cmvn", "cmvn: null", "Unexpected tensor encoder.global_cmvn.mean"),
        ("encoder_conf:", "encoder_conf: [", "train.yaml cannot be read"),
        ("encoder: conformer", "encoder: !!python/object/apply:os.system [id]", "train.yaml cannot be read"),
        ("output_size: 64", "output_size: 128", "shape"),
        ("cnn_module_kernel: 15", "cnn_module_kernel: 31", "depthwise_conv.weight has shape (64, 1, 15)"),
        ("num_blocks: 3", "num_blocks: 2", "Unexpected tensor encoder.encoders.2."),
        ("num_blocks: 3", "num_blocks: 4", "Tensor encoder.encoders.3."),
        ("cnn_module_norm: layer_norm", "cnn_module_norm: batch_norm", "conv_module.norm.running_mean is missing"),
        ("input_layer: conv2d", "input_layer: conv2d6", "Unexpected tensor encoder.embed.out.0.weight"),
        (
            "pos_enc_layer_type: rel_pos",
            "pos_enc_layer_type: abs_pos",
            "Unexpected tensor encoder.encoders.0.self_attn",
        ),
        ("r_num_blocks: 2", "r_num_blocks: 3", "Tensor decoder.right_decoder.decoders.2."),
        ("decoder: bitransformer", "decoder: null", "Unexpected tensor decoder.left_decoder."),
    ],
)
def test_import_wenet_changed_configuration_is_refused_by_name(golden_copy, refused, old, new, told):
    assert told in refused(import_wenet, golden_copy({"train.yaml": (old, new)}))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("七 3", "七 4", "line 4"),
        ("主 59\n", "", "units.txt has 59 units"),
        ("<blank> 0", "空 0", "unit 0 is '空'"),
        ("丄 4", "七 4", "line 5"),
    ],
)
def test_import_wenet_changed_units_are_refused_by_name(golden_copy, refused, old, new, told):
    assert told in refused(import_wenet, golden_copy({"units.txt": (old, new)}))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.pop("encoder.after_norm.bias"), "Tensor encoder.after_norm.bias is missing"),
        (renamed("encoder.after_norm.bias", "encoder.after_norm.beta"), "Unexpected tensor encoder.after_norm.beta"),
        (
            renamed("decoder.left_decoder.embed.0.weight", "decoder.left_decoder.embedding.weight"),
            "Unexpected tensor decoder.left_decoder.embedding.weight",
        ),
        (
            lambda t: t.pop("decoder.right_decoder.output_layer.bias"),
            "Tensor decoder.right_decoder.output_layer.bias is missing",
        ),
        (
            lambda t: t.update({"encoder.encoders.0.self_attn.rotary": t["ctc.ctc_lo.bias"]}),
            "Unexpected tensor encoder.encoders.0.self_attn.rotary",
        ),
        (changed("ctc.ctc_lo.weight", lambda w: w[:-1]), "ctc.ctc_lo.weight has shape (59, 64)"),
        (changed("ctc.ctc_lo.weight", lambda w: w.T), "ctc.ctc_lo.weight has shape (64, 60)"),
        (
            changed("decoder.left_decoder.embed.0.weight", lambda w: w.T),
            "decoder.left_decoder.embed.0.weight has shape (64, 60)",
        ),
        (
            changed("encoder.encoders.1.conv_module.pointwise_conv1.weight", lambda w: w[..., 0]),
            "pointwise_conv1.weight has shape (128, 64)",
        ),
        (
            changed("encoder.encoders.1.conv_module.depthwise_conv.weight", lambda w: w[:, :, None]),
            "depthwise_conv.weight has shape (64, 1, 1, 15)",
        ),
        (changed("encoder.encoders.2.self_attn.pos_bias_u", lambda w: w.reshape(8, 8)), "pos_bias_u has shape (8, 8)"),
        (changed("ctc.ctc_lo.bias", lambda b: np.full_like(b, np.nan)), "ctc.ctc_lo.bias holds numbers that"),
        (changed("ctc.ctc_lo.bias", lambda b: b.astype(np.int64)), "ctc.ctc_lo.bias holds int64"),
        (changed("encoder.global_cmvn.mean", np.ones_like), "encoder.global_cmvn.mean is not"),
        (changed("encoder.global_cmvn.istd", lambda v: v[:40]), "encoder.global_cmvn.istd is not"),
    ],
)
def test_import_wenet_changed_tensor_is_refused_by_name(golden_copy, write_torch, refused, change, told):
    source = golden_copy()
    tensors = read_torch_checkpoint(source / "final.pt")
    change(tensors)
    write_torch(source / "final.pt", tensors)
    assert told in refused(import_wenet, source)

"""What may be decoded: containers and codecs that people record speech in, and none that refer to other files.

Playlists (hls, dash, concat, sdp, images by pattern) are kept out by not being listed; video decoders likewise, so that
looking at a video's streams never runs one over hostile bytes.
"""

_CODECS = """
    pcm_alaw pcm_mulaw pcm_s8 pcm_u8 pcm_s8_planar pcm_s16le pcm_s16be pcm_u16le pcm_u16be pcm_s16le_planar
    pcm_s16be_planar pcm_s24le pcm_s24be pcm_u24le pcm_u24be pcm_s24le_planar pcm_s32le pcm_s32be pcm_u32le pcm_u32be
    pcm_s32le_planar pcm_s64le pcm_s64be pcm_f16le pcm_f24le pcm_f32le pcm_f32be pcm_f64le pcm_f64be pcm_bluray pcm_dvd
    flac alac ape tta wavpack shorten mp1 mp1float mp2 mp2float mp3 mp3float mp3adu mp3adufloat vorbis opus libopus
    speex libspeex aac aac_fixed aac_latm amrnb amrwb libopencore_amrnb libopencore_amrwb gsm gsm_ms ilbc libilbc
    g722 g723_1 g726 g726le g729 truespeech adpcm_ms adpcm_ima_wav adpcm_ima_qt adpcm_swf adpcm_yamaha
    wmav1 wmav2 wmapro wmavoice wmalossless ac3 ac3_fixed eac3 dca nellymoser qcelp evrc sipr cook
"""
_FORMATS = """
    wav w64 aiff au caf voc ircam nistsphere avr flac ogg mp3 aac loas ac3 eac3 dts amr amrnb amrwb ape tta wv
    mov,mp4,m4a,3gp,3g2,mj2 matroska,webm asf avi flv mpeg mpegts rm gsm ilbc g729 qcp
"""

CODECS = ",".join(_CODECS.split())
"""Decoders by FFmpeg's names, separated by commas as its `codec_whitelist` wants them."""

FORMATS = ",".join(_FORMATS.split())
"""Demuxers by FFmpeg's names, as its `format_whitelist` wants them."""

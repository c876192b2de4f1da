import pytest

from gateway.api.form import FIELDS, read_form
from model_store.errors import OptionInvalid


def test_form_of_nothing_has_the_protocols_defaults():
    form = read_form({})
    assert (form.model, form.response_format, form.stream, form.channels) == ("auto", "json", False, "mix")
    assert form.ignored() == []


def test_form_lists_arrive_with_or_without_brackets_each_value_once():
    form = read_form({"languages[]": ["zh", "en", "zh"], "languages": ["yue"]})
    assert form.languages == ("zh", "en", "yue")


def test_form_empty_texts_are_not_said():
    assert read_form({name: [""] for name in ("language", "model", "temperature", "stream", "include[]")}) == read_form(
        {}
    )


@pytest.mark.parametrize(
    ("name", "text", "allowed"),
    [
        ("response_format", "diarized_json", ["json", "text", "srt", "verbose_json", "vtt"]),
        ("timestamp_granularities[]", "char", ["word", "segment"]),
        ("include[]", "everything", ["logprobs"]),
        ("channels", "left", ["mix", "separate"]),
        ("stream", "maybe", ["true", "false"]),
    ],
)
def test_form_unknown_choice_names_the_field_and_what_is_allowed(name, text, allowed):
    with pytest.raises(OptionInvalid) as caught:
        read_form({name: [text]})
    assert (caught.value.param, caught.value.details["allowed"]) == (name, allowed)
    assert all(choice in caught.value.message for choice in (text, *allowed))


@pytest.mark.parametrize(
    ("name", "text"),
    [("temperature", "2"), ("temperature", "hot"), ("timeout_s", "0"), ("timeout_s", "nan"), ("timeout_s", "inf")],
)
def test_form_number_out_of_range_names_the_field(name, text):
    with pytest.raises(OptionInvalid) as caught:
        read_form({name: [text]})
    assert caught.value.param == name


def test_form_unknown_field_lists_the_fields_there_are():
    with pytest.raises(OptionInvalid) as caught:
        read_form({"langauge": ["zh"]})
    assert caught.value.param == "langauge"
    assert {"file", "language", "languages[]"} <= set(caught.value.details["allowed"])


def test_form_single_field_sent_twice_is_refused():
    with pytest.raises(OptionInvalid) as caught:
        read_form({"language": ["zh", "en"]})
    assert caught.value.param == "language"


@pytest.mark.parametrize("response_format", ["text", "srt", "vtt"])
def test_form_stream_of_a_raw_format_is_refused(response_format):
    with pytest.raises(OptionInvalid) as caught:
        read_form({"stream": ["true"], "response_format": [response_format]})
    assert caught.value.param == "response_format"


def test_form_long_wrong_value_is_not_repeated_whole():
    with pytest.raises(OptionInvalid) as caught:
        read_form({"response_format": ["x" * 10_000]})
    assert len(caught.value.message) < 200


@pytest.mark.parametrize(
    ("raw", "ignored"),
    [
        ({"include[]": ["logprobs"], "response_format": ["srt"]}, ["include[]"]),
        ({"timestamp_granularities[]": ["word"]}, ["timestamp_granularities[]"]),
        ({"timestamp_granularities[]": ["word"], "response_format": ["verbose_json"]}, []),
        ({"timestamp_granularities[]": ["word"], "stream": ["true"]}, []),
        ({"chunking_strategy": ["auto"]}, ["chunking_strategy"]),
        ({"temperature": ["0"]}, ["temperature"]),
    ],
)
def test_form_what_changes_nothing_is_named(raw, ignored):
    assert read_form(raw).ignored() == ignored


def test_form_every_field_is_either_used_or_named_as_ignored():
    used = {"model", "language", "languages", "domain", "channels", "timeout_s", "partial", "urgency"}
    shaping = {"response_format", "stream", "include", "timestamp_granularities"}
    for name in FIELDS.keys() - used - shaping:
        text = "0.5" if name == "temperature" else "x"
        assert [field.removesuffix("[]") for field in read_form({name: [text]}).ignored()] == [name]

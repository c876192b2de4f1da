"""Forms as they arrive: whole, broken, too large, in pieces; and what is left of them."""

import psutil
import pytest

from model_store.errors import AudioUndecodable

URL = "/v1/audio/transcriptions"
MULTIPART = {"content-type": "multipart/form-data; boundary=b"}
BIG = bytes(range(256)) * 600  # more than stays in memory, less than the limit


async def sent(client, body, headers=MULTIPART):
    response = await client.post(URL, content=body, headers=headers)
    return response.status_code, response.json().get("error", {})


async def test_upload_in_pieces_of_any_size_arrives_as_it_was_sent(inside, part):
    client, door = inside
    audio = BIG[:999] + b"\r\n--" + BIG[:999] + b"\r\n\r\n"
    body = part("model", "模型".encode()) + part("file", audio, filename="a.wav", end=True)

    async def pieces(size):
        for start in range(0, len(body), size):
            yield body[start : start + size]

    for size in (1, 7, 4096):
        assert (await sent(client, pieces(size)))[0] == 200
    assert door.pipeline.audio == [audio] * 3
    assert {ask.model for ask in door.pipeline.asks} == {"模型"}


@pytest.mark.parametrize("size", [1, 50_000, 50_001, 200_000])
async def test_upload_up_to_the_limit_is_read_from_its_beginning_and_closed(inside, part, size):
    client, door = inside
    assert (await sent(client, part("file", b"x" * size, filename="a", end=True)))[0] == 200
    assert door.pipeline.audio == [b"x" * size]
    assert door.pipeline.sources[0].closed


async def test_upload_larger_than_memory_is_on_disk(inside, part, samples):
    client, door = inside
    before = psutil.Process().num_fds()
    seen = []

    class Looking(type(door.pipeline)):
        async def transcribe(self, source, ask):
            seen.append(psutil.Process().num_fds() - before)
            return samples.chinese

    door.pipeline = Looking()
    await sent(client, part("file", b"x" * 10, filename="a", end=True))
    await sent(client, part("file", BIG, filename="a", end=True))
    assert seen[1] - seen[0] == 1
    assert psutil.Process().num_fds() == before


async def test_upload_file_part_without_a_filename_is_still_the_file(inside, part):
    client, door = inside
    assert (await sent(client, part("file", b"abc", end=True)))[0] == 200
    assert door.pipeline.audio == [b"abc"]


async def test_upload_fields_after_the_file_count_too(inside, part):
    client, door = inside
    assert (await sent(client, part("file", b"abc", filename="a") + part("language", b"zh", end=True)))[0] == 200
    assert door.pipeline.asks[0].language == "zh"


@pytest.mark.parametrize(
    ("name", "body", "status", "code", "param"),
    [
        ("no file", lambda part: part("model", b"auto", end=True), 400, "audio_missing", "file"),
        ("zero bytes", lambda part: part("file", b"", filename="a", end=True), 400, "audio_missing", "file"),
        ("no parts", lambda part: b"--b--\r\n", 400, "audio_missing", "file"),
        ("no body", lambda part: b"", 400, "option_invalid", None),
        ("no end", lambda part: part("file", b"abc", filename="a"), 400, "option_invalid", None),
        ("no boundary in it", lambda part: b"just bytes" * 100, 400, "option_invalid", None),
        ("no disposition", lambda part: b"--b\r\nX: y\r\n\r\nz\r\n--b--\r\n", 400, "option_invalid", None),
        (
            "two files",
            lambda part: part("file", b"a", filename="a") + part("file", b"b", filename="b", end=True),
            400,
            "option_invalid",
            "file",
        ),
        ("not UTF-8", lambda part: part("prompt", b"\xff\xfe", end=True), 400, "option_invalid", "prompt"),
        ("too much text", lambda part: part("prompt", b"x" * 20_001, end=True), 400, "option_invalid", "prompt"),
        ("too many parts", lambda part: part("languages[]", b"zh") * 51, 400, "option_invalid", None),
        ("unknown field", lambda part: part("file", b"a") + part("foo", b"1", end=True), 400, "option_invalid", "foo"),
        ("one byte over", lambda part: part("file", b"x" * 200_001, end=True), 413, "audio_too_large", "file"),
        ("announced too large", lambda part: b"x" * 220_001, 413, "audio_too_large", "file"),
    ],
    ids=lambda value: value if isinstance(value, str) and " " in value else "",
)
async def test_upload_that_is_wrong_says_what_and_leaves_nothing(inside, part, name, body, status, code, param):
    client, door = inside
    before = psutil.Process().num_fds()
    got_status, error = await sent(client, body(part))
    assert (got_status, error["code"], error["param"]) == (status, code, param)
    assert door.pipeline.asks == []
    assert psutil.Process().num_fds() == before


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "audio/wav", "application/x-www-form-urlencoded", "", "multipart/form-data"],
)
async def test_upload_of_another_content_type_says_what_to_send(inside, content_type):
    client, _ = inside
    status, error = await sent(client, b"{}", {"content-type": content_type} if content_type else {})
    assert (status, error["code"], error["param"]) == (400, "option_invalid", "content-type")


async def test_upload_without_an_announced_length_is_refused_as_soon_as_the_limit_is_passed(inside, part):
    client, _ = inside
    pulled = []

    async def endless():
        yield part("file", b"", filename="a")[:-2]
        while True:
            pulled.append(10_000)
            yield b"x" * 10_000

    status, error = await sent(client, endless())
    assert (status, error["code"]) == (413, "audio_too_large")
    # What is read beyond the limit is there for the sender's sake, and bounded.
    assert sum(pulled) <= 200_000 + 100_000 + 2 * 10_000


async def test_upload_with_endless_preamble_is_refused(inside):
    client, _ = inside

    async def endless():
        while True:
            yield b"x" * 10_000

    assert (await sent(client, endless()))[1]["code"] == "audio_too_large"


async def test_upload_is_closed_when_the_pipeline_fails(inside, part):
    client, door = inside
    door.pipeline.script = [AudioUndecodable("no known container")]
    assert (await sent(client, part("file", BIG, filename="a", end=True)))[0] == 415
    assert door.pipeline.sources[0].closed


@pytest.mark.parametrize("size", [300_000, 20_000_000])
def test_upload_refused_by_a_real_server_is_read_by_its_sender(http, part, size):
    response = http.post(URL, content=part("file", bytes(size), filename="a", end=True), headers=MULTIPART)
    assert (response.status_code, response.json()["error"]["code"]) == (413, "audio_too_large")

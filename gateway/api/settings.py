"""Settings of the HTTP doors."""

from typing import Annotated

from msgspec import Meta, Struct


class ApiSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the doors take in, before anybody looks at the audio."""

    max_form_fields: Annotated[
        int, Meta(ge=1, description="Largest number of parts of one multipart form, the file included.")
    ] = 1000
    max_form_bytes: Annotated[
        int, Meta(ge=1024, description="Largest size in bytes of all text fields of one form together.")
    ] = 1 << 20
    upload_memory_bytes: Annotated[
        int, Meta(ge=1, description="Uploads up to this many bytes stay in memory; larger ones go to disk.")
    ] = 1 << 20
    discard_bytes: Annotated[
        int, Meta(ge=0, description="Bytes of a refused upload that are read on, so that its sender reads the refusal.")
    ] = 16 << 20

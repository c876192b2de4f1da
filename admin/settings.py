"""Settings of the control plane."""

from typing import Annotated

from msgspec import Meta, Struct


class AdminSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who may see and change what the gateway does."""

    bootstrap_key: (
        Annotated[
            str,
            Meta(
                pattern=r"^[!-~]+\Z",
                description="The operator's key, which all of /admin then asks for; make it long and random. "
                "Not set: /admin answers callers on the same machine, and nobody else.",
                extra={"variable": "VOXGATE_BOOTSTRAP_KEY", "is_secret": True},
            ),
        ]
        | None
    ) = None

    def __repr__(self) -> str:
        """Without the key, so that it stands in no log and no traceback."""
        return f"AdminSettings(bootstrap_key={'[withheld]' if self.bootstrap_key else None})"

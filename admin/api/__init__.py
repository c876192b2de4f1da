"""The control plane over HTTP: REST under /admin/v1, errors as problem+json, for operators alone."""

from admin.api.control import Control
from admin.api.errors import Note
from admin.api.residency import Look

__all__ = ["Control", "Look", "Note"]

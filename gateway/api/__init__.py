"""Wire protocols: how a request looks to each kind of client, and how an answer or an error does."""

from gateway.api.doors import Doors
from gateway.api.operations import Readiness
from gateway.api.record import Observed
from gateway.api.settings import ApiSettings
from gateway.api.upload import UploadLimits

__all__ = ["ApiSettings", "Doors", "Observed", "Readiness", "UploadLimits"]

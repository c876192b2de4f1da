"""A shell's way to a gateway's control plane: its HTTP address, and the operator's key."""

import ssl
from typing import NamedTuple

import httpx
import msgspec

from admin.api.access import VARIABLE
from admin.api.errors import Problem
from model_store.errors import AccessError, ModelUnavailable, VoxgateError, by_code
from model_store.residency.view import ResidencyView

_TIMEOUT_S = 5.0


class Remote(NamedTuple):
    """Where a gateway answers, such as http://127.0.0.1:8080, and the key that it wants, if it wants one."""

    url: str
    key: str | None = None

    def residency(self) -> ResidencyView:
        """What it has loaded; raises ModelUnavailable where no gateway answers, and what the gateway itself says."""
        body = self._get("/admin/v1/residency")
        try:
            return msgspec.json.decode(body, type=ResidencyView)
        except msgspec.DecodeError as exc:
            raise ModelUnavailable(f"What answers at {self.url} is no Voxgate gateway, or one of another age.") from exc

    def _get(self, path: str) -> bytes:
        headers = {"authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            # The key goes to the gateway itself: neither through the shell's proxy nor to where it redirects.
            trusted = ssl.create_default_context()
            with httpx.Client(base_url=self.url, timeout=_TIMEOUT_S, trust_env=False, verify=trusted) as http:
                answer = http.get(path, headers=headers)
        except (httpx.TransportError, httpx.InvalidURL) as exc:
            hint = "`voxgate serve` starts one, `--url` says where another one is."
            raise ModelUnavailable(f"No gateway answers at {self.url}. {hint}") from exc
        if answer.is_error:
            raise self._refusal(answer)
        return answer.content

    def _refusal(self, answer: httpx.Response) -> VoxgateError:
        try:
            problem = msgspec.json.decode(answer.content, type=Problem)
        except msgspec.DecodeError:
            told = f"What answers at {self.url} is no Voxgate gateway: it says {answer.status_code}."
            return ModelUnavailable(told)
        error = by_code(problem.code, problem.detail)
        if isinstance(error, AccessError):
            error.message += f" This command takes it from {VARIABLE} too."
        return error

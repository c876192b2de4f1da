"""The gateways of the integration tests."""

from tests.integration.conftest import new_gateway, template

__all__ = ["new_gateway", "template"]

"""One OpenAPI 3.1 document of all posts, as webhooks: what a receiver has to take."""

from functools import lru_cache
from typing import Any

from django.conf import settings
from django.utils import translation

from configurations.events import BY_TYPE, Description
from configurations.models import Version
from deliveries import contract, posting
from deliveries.models import Audience

from . import posts, schemas

_HEADERS = {
    "webhook-id": "The same over all attempts and reprocesses of a post: drop what you have already.",
    "webhook-timestamp": "When this attempt was made, in seconds since 1970.",
    "webhook-signature": "By Standard Webhooks; several, with a blank between them, after a rotation.",
    posting.TOKEN_HEADER: "The token of the account.",
}


@lru_cache(maxsize=1)
def document() -> dict[str, Any]:
    """Don't change what is returned: it is kept."""
    with translation.override("en"):
        return {
            "openapi": "3.1.0",
            "jsonSchemaDialect": schemas.DIALECT,
            "info": {
                "title": "webhookhub",
                "version": settings.VERSION,
                "description": "The posts that a configuration can ask for.",
            },
            "webhooks": {
                f"{event.type}-{version}": {"post": _operation(str(version), event)}
                for version in Version.values
                for event in BY_TYPE.values()
                if contract.sends(version, event.type, Audience.PRODUCER)
            },
            "components": {
                "securitySchemes": {"token": {"type": "apiKey", "in": "header", "name": posting.TOKEN_HEADER}}
            },
        }


def _operation(version: str, event: Description) -> dict[str, Any]:
    copies = posts.copies(version, event.type)
    bodies = [schemas.schema(version, event.type, copy.audience) for copy in copies]
    return {
        "operationId": f"{event.type}-{version}",
        "summary": f"{event.type.label} ({version})",
        "description": str(event.meaning),
        "security": [{"token": []}],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": text,
                "schema": {"type": "string"},
            }
            for name, text in _HEADERS.items()
            if name != posting.TOKEN_HEADER
        ],
        "requestBody": {
            "required": True,
            "content": {
                copies[0].content_type: {
                    "schema": {"anyOf": bodies} if len(bodies) > 1 else bodies[0],
                    "examples": {copy.audience: {"value": copy.parsed()} for copy in copies},
                }
            },
        },
        "responses": {
            "2XX": {"description": "Received. Everything else is tried again."},
        },
    }

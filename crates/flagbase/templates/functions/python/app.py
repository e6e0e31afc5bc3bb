"""Answers every request below /functions/hello/."""

from urllib.parse import parse_qs, urlsplit

from wit_world import exports
from wit_world.imports import evaluate
from wit_world.imports.types import Request, Response


class Handler(exports.Handler):
    def handle(self, request: Request) -> Response:
        query = parse_qs(urlsplit(request.target).query)
        who = query.get("name", ["world"])[0]
        # Decided for whoever is calling, by the flag `loud-greeting`; False when there is no such flag.
        greeting = "HELLO" if evaluate.boolean("loud-greeting", False) else "Hello"
        print("greeting", who)
        return Response(
            status=200,
            headers=[("content-type", "text/plain; charset=utf-8")],
            body=f"{greeting}, {who}!\n".encode(),
        )

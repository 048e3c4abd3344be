"""What answers in the Hub's place, given the handler of a connection to tests' Hub (`Hub.pretend`)."""

from __future__ import annotations

import gzip

COMMIT = "a" * 40
LARGE = 10_000_000


def send(handler, status, headers, body=b""):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name, value)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def chunks(handler, made, headers):
    """Send an answer without a length, piece by piece, until the client goes or the server stops."""
    handler.send_response(200)
    for name, value in {"Content-Type": "text/plain", "X-Repo-Commit": COMMIT, **headers}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for piece in made:
        if handler.hub.stopping.is_set():
            return
        handler.wfile.write(piece)


def drip_headers(handler):
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while not handler.hub.stopping.wait(0.3):
        handler.wfile.write(b"X")
        handler.wfile.flush()


def drip(handler):
    for _ in range(10**6):
        handler.hub.stopping.wait(0.3)
        yield b"x"


def endless():
    while True:
        yield b"a" * 65536


def page(handler):
    send(
        handler,
        200,
        {"Content-Type": "text/html; charset=utf-8"},
        b"<html><h1>502 Bad Gateway</h1></html>",
    )


def page_with_a_commit(handler):
    send(
        handler,
        200,
        {"Content-Type": "text/html", "X-Repo-Commit": COMMIT},
        b"<html>sign in</html>",
    )


def text_of_a_gateway(handler):
    send(handler, 200, {"Content-Type": "text/plain", "ETag": '"x"'}, b"# From a gateway\n")


def missing_by_a_gateway(handler):
    send(handler, 404, {"Content-Type": "text/plain"}, b"no such page")


BOMB = gzip.compress(b"\0" * 300_000_000, 9)


def bomb(handler):
    headers = {"Content-Type": "text/plain", "Content-Encoding": "gzip", "X-Repo-Commit": COMMIT}
    send(handler, 200, headers, BOMB)


def odd_compression(handler):
    headers = {"Content-Type": "text/plain", "Content-Encoding": "br", "X-Repo-Commit": COMMIT}
    send(handler, 200, headers, b"\x0b")


def large(handler):
    send(
        handler,
        200,
        {"Content-Type": "text/plain", "X-Repo-Commit": COMMIT},
        b"# Large\n" * (LARGE // 8),
    )


def redirect_loop(handler):
    send(handler, 302, {"Location": handler.path, "X-Repo-Commit": COMMIT})


def not_text(handler):
    send(handler, 200, {"Content-Type": "text/plain", "X-Repo-Commit": COMMIT}, b"\xff\xfe#")


IMPOSTORS = {
    "a page": page,
    "a page with the header of a commit": page_with_a_commit,
    "the text of a gateway": text_of_a_gateway,
    "a page that is missing, says a gateway": missing_by_a_gateway,
    "a byte now and then": lambda handler: chunks(handler, drip(handler), {}),
    "a header without end": drip_headers,
    "a text without end": lambda handler: chunks(handler, endless(), {}),
    "a small answer that unpacks to 300 MB": bomb,
    "a compression that nobody asked for": odd_compression,
    "a card of 10 MB": large,
    "a redirect to itself": redirect_loop,
    "bytes that are no text": not_text,
}

"""Bodies in signed chunks, as they should be, and with everything about their signatures broken: nothing of that is kept."""

import base64
import hashlib
import hmac
import http.client
import socket
import zlib

from place import REGION, SECRET, all_of, bucket, client, expect, keys_of, refused
from wire import HOST, announced, exchange, signed

NAME = "signed-chunks"
EMPTY = hashlib.sha256(b"").hexdigest()
PLAIN, TRAILED = "STREAMING-AWS4-HMAC-SHA256-PAYLOAD", "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
CHUNKS = [b"a" * 65_536, b"b" * 65_536, b"c" * 1000]
BODY = b"".join(CHUNKS)
CRC = base64.b64encode(zlib.crc32(BODY).to_bytes(4, "big")).decode()
TRAILER = [("x-amz-checksum-crc32", CRC)]


def mac(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


class Upload:
    """A PUT in signed chunks. Its members may be changed before it is sent; a signature that is `None` is left out."""

    def __init__(self, key, trailer=None, size=len(BODY)):
        self.path, self.trailer = f"/{NAME}/{key}", trailer
        headers = {
            "x-amz-content-sha256": PLAIN if trailer is None else TRAILED,
            "x-amz-decoded-content-length": str(size),
            "content-encoding": "aws-chunked",
        }
        if trailer is not None:
            headers["x-amz-trailer"] = "x-amz-checksum-crc32"
        # The length is not signed, so that what is changed afterwards may change it.
        self.headers = announced(self.path, headers)
        self.date = self.headers["x-amz-date"]
        self.scope = f"{self.date[:8]}/{REGION}/s3/aws4_request"
        self.key = f"AWS4{SECRET}".encode()
        for word in self.scope.split("/"):
            self.key = mac(self.key, word)
        self.chunks, self.signatures = [*CHUNKS, b""], []
        before = self.headers["authorization"].split("Signature=")[1]
        for chunk in self.chunks:
            before = self.signature("PAYLOAD", before, EMPTY, hashlib.sha256(chunk).hexdigest())
            self.signatures.append(before)
        self.trailer_signature = self.of_trailer(trailer or [])

    def signature(self, what, before, *digests):
        return mac(self.key, "\n".join([f"AWS4-HMAC-SHA256-{what}", self.date, self.scope, before, *digests])).hex()

    def of_trailer(self, trailer):
        lines = "".join(f"{name}:{value}\n" for name, value in trailer).encode()
        return self.signature("TRAILER", self.signatures[-1], hashlib.sha256(lines).hexdigest())

    def body(self):
        parts = []
        for chunk, signature in zip(self.chunks, self.signatures):
            extension = "" if signature is None else f";chunk-signature={signature}"
            parts += [f"{len(chunk):x}{extension}\r\n".encode(), chunk, b"\r\n" if chunk else b""]
        if self.trailer is not None:
            parts += [f"{name}:{value}\r\n".encode() for name, value in self.trailer]
            if self.trailer_signature is not None:
                parts.append(f"x-amz-trailer-signature:{self.trailer_signature}\r\n".encode())
        return b"".join([*parts, b"\r\n"])

    def send(self, connection):
        return exchange(connection, "PUT", self.path, self.headers, self.body())


def other(signature):
    """Another signature that looks like one."""
    return signature[:-1] + ("0" if signature[-1] != "0" else "1")


def of_chunk(number, change):
    def broken(upload):
        upload.signatures[number] = change(upload.signatures[number])
    return broken


def swapped(upload):
    upload.signatures[0], upload.signatures[1] = upload.signatures[1], upload.signatures[0]


def reordered(upload):
    """Both chunks with their own signatures, the second one first."""
    swapped(upload)
    upload.chunks[0], upload.chunks[1] = upload.chunks[1], upload.chunks[0]


def altered(upload):
    upload.chunks[1] = b"B" + upload.chunks[1][1:]


def of_another_request(upload):
    """What was signed for another key, as one who listened may send it."""
    another = Upload("another", upload.trailer)
    upload.signatures, upload.trailer_signature = another.signatures, another.trailer_signature


def without(number):
    def broken(upload):
        del upload.chunks[number], upload.signatures[number]
    return broken


def more_bytes(upload):
    """A chunk without a signature, after those that are signed."""
    upload.chunks.insert(3, b"d" * 10)
    upload.signatures.insert(3, None)


BROKEN = {
    "a wrong signature of the first chunk": of_chunk(0, other),
    "a wrong signature of a later chunk": of_chunk(2, other),
    "a wrong signature of the end": of_chunk(3, other),
    "no signature of the first chunk": of_chunk(0, lambda _: None),
    "no signature of a later chunk": of_chunk(1, lambda _: None),
    "no signature of the end": of_chunk(3, lambda _: None),
    "an empty signature": of_chunk(1, lambda _: ""),
    "a signature that is cut": of_chunk(1, lambda signature: signature[:40]),
    "a signature that is too long": of_chunk(1, lambda signature: signature + "00"),
    "a signature in capitals": of_chunk(1, lambda signature: signature.upper()),
    "a signature that is no number": of_chunk(1, lambda _: "z" * 64),
    "signatures in each other's place": swapped,
    "chunks in each other's place": reordered,
    "a byte that was altered": altered,
    "signatures of another request": of_another_request,
    "a chunk that was taken out": without(1),
    "a chunk that was put in": more_bytes,
    "no end": without(3),
}

TRAILERS = {
    "a wrong signature of the trailer": lambda upload: setattr(upload, "trailer_signature", other(upload.trailer_signature)),
    "no signature of the trailer": lambda upload: setattr(upload, "trailer_signature", None),
    "a cut signature of the trailer": lambda upload: setattr(upload, "trailer_signature", upload.trailer_signature[:40]),
    "a trailer that was altered": lambda upload: setattr(upload, "trailer", [("x-amz-checksum-crc32", "AAAAAA==")]),
    "a trailer that was put in": lambda upload: setattr(upload, "trailer", [*TRAILER, ("x-amz-meta-a", "b")]),
    "a trailer that was taken out": lambda upload: setattr(upload, "trailer", []),
}


def sane(connection):
    """Whatever was answered, the connection goes on or is closed, and the next request is answered as any other."""
    path, headers = signed("GET", f"/{NAME}/old")
    try:
        found = exchange(connection, "GET", path, headers)
    except (ConnectionError, http.client.HTTPException):
        found = exchange(http.client.HTTPConnection(HOST, timeout=60), "GET", path, headers)
    expect("the next request", found, (200, ""))


def nothing_changed(what):
    s3 = client()
    expect(f"{what}: what is there", keys_of(s3, NAME), ["old"])
    expect(f"{what}: what it is", s3.get_object(Bucket=NAME, Key="old")["Body"].read(), b"old")


def refuse(what, break_, trailer=None):
    for key in ["old", "new"]:
        upload = Upload(key, trailer)
        break_(upload)
        connection = http.client.HTTPConnection(HOST, timeout=60)
        status, code = upload.send(connection)
        expect(f"{what}: {code}", (status in (400, 403), code != ""), (True, True))
        sane(connection)
    nothing_changed(what)
    return f"{status} {code}"


def what_is_signed_rightly_is_kept():
    s3, name = client(), bucket(NAME)
    s3.put_object(Bucket=name, Key="old", Body=b"old")
    for trailer in [None, TRAILER]:
        connection = http.client.HTTPConnection(HOST, timeout=60)
        expect("right", Upload("right", trailer).send(connection), (200, ""))
        sane(connection)
        found = s3.get_object(Bucket=name, Key="right", ChecksumMode="ENABLED")
        expect("the body", (found["Body"].read() == BODY, found.get("ContentEncoding")), (True, None))
        expect("the checksum", found.get("ChecksumCRC32"), CRC if trailer else None)
        s3.delete_object(Bucket=name, Key="right")


def signatures_of_chunks_that_are_wrong_are_refused():
    codes = {what: refuse(what, break_) for what, break_ in BROKEN.items()}
    return ", ".join(sorted(set(codes.values())))


def they_are_refused_before_a_trailer_too():
    codes = {what: refuse(what, break_, TRAILER) for what, break_ in BROKEN.items()}
    return ", ".join(sorted(set(codes.values())))


def trailers_that_are_signed_wrongly_are_refused():
    codes = {what: refuse(what, break_, TRAILER) for what, break_ in TRAILERS.items()}

    def lie(upload):
        upload.trailer = [("x-amz-checksum-crc32", "AAAAAA==")]
        upload.trailer_signature = upload.of_trailer(upload.trailer)

    expect("a lie, signed", refuse("a lie, signed", lie, TRAILER), "400 BadDigest")
    return ", ".join(sorted(set(codes.values())))


def other_sizes_than_were_announced_are_refused():
    for size in [len(BODY) - 1, len(BODY) + 1, 0]:
        upload = Upload("new", size=size)
        connection = http.client.HTTPConnection(HOST, timeout=60)
        status, code = upload.send(connection)
        expect(f"{size} bytes: {code}", status, 400)
        sane(connection)
    nothing_changed("sizes")


def what_breaks_off_anywhere_leaves_nothing():
    host, port = HOST.split(":")
    for trailer in [None, TRAILER]:
        body = Upload("new", trailer).body()
        line = body.index(b"\r\n") + 2
        # In the first signature, after it, in a chunk, before the end, in its signature, and before the very last bytes.
        for cut in [40, line, line + 1000, body.index(b"c" * 1000) - 4, body.rindex(b"0;chunk") + 30, len(body) - 2]:
            upload = Upload("new", trailer)
            headers = {**upload.headers, "host": HOST, "content-length": str(len(body))}
            head = f"PUT {upload.path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
            with socket.create_connection((host, int(port)), timeout=60) as connection:
                connection.sendall(head.encode() + b"\r\n" + upload.body()[:cut])
                connection.shutdown(socket.SHUT_WR)
                try:
                    answer = connection.recv(65_536)
                except ConnectionError:
                    answer = b""
            expect(f"cut at {cut}: {answer[:80]}", b" 200 " in answer.split(b"\r\n")[0], False)
            nothing_changed(f"cut at {cut} of {len(body)}")


def parts_of_uploads_are_no_exception():
    s3 = client()
    begun = s3.create_multipart_upload(Bucket=NAME, Key="parts")["UploadId"]
    at = {"Bucket": NAME, "Key": "parts", "UploadId": begun}
    for what in ["a wrong signature of a later chunk", "chunks in each other's place", "no end"]:
        upload = Upload(f"parts?partNumber=1&uploadId={begun}")
        BROKEN[what](upload)
        connection = http.client.HTTPConnection(HOST, timeout=60)
        status, code = upload.send(connection)
        expect(f"{what}: {code}", status in (400, 403), True)
        sane(connection)
        expect(f"{what}: no part", s3.list_parts(**at).get("Parts", []), [])
    part = Upload(f"parts?partNumber=1&uploadId={begun}")
    expect("right", part.send(http.client.HTTPConnection(HOST, timeout=60)), (200, ""))
    expect("a part", [found["Size"] for found in s3.list_parts(**at)["Parts"]], [len(BODY)])
    s3.abort_multipart_upload(**at)
    refused("given up", "NoSuchUpload", s3.list_parts, **at)


if __name__ == "__main__":
    all_of([
        what_is_signed_rightly_is_kept,
        signatures_of_chunks_that_are_wrong_are_refused,
        they_are_refused_before_a_trailer_too,
        trailers_that_are_signed_wrongly_are_refused,
        other_sizes_than_were_announced_are_refused,
        what_breaks_off_anywhere_leaves_nothing,
        parts_of_uploads_are_no_exception,
    ])

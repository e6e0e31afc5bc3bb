"""Requests made by hand, for what no client would send."""

import datetime
import http.client
from unittest import mock

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from place import KEY, REGION, SECRET, URL

HOST = URL.removeprefix("http://")


def signed(method, path, headers=None, body=b"", secret=SECRET, key=KEY, at=None, query=None, region=REGION):
    """The path and the headers of a signed request, as at another time if that is said."""
    request = AWSRequest(method, URL + path, headers=headers or {}, data=body)
    credentials = Credentials(key, secret)
    signer = S3SigV4Auth(credentials, "s3", region)
    if query is not None:
        signer = S3SigV4QueryAuth(credentials, "s3", region, expires=query)
    if at is None:
        signer.add_auth(request)
    else:
        now = datetime.datetime.now(datetime.timezone.utc) + at
        with mock.patch("botocore.auth.get_current_datetime", lambda *_, **__: now.replace(tzinfo=None)):
            signer.add_auth(request)
    return request.url.removeprefix(URL), dict(request.headers.items())


def announced(path, headers):
    """The headers of a signed PUT whose body is what `x-amz-content-sha256` says of it."""
    request = AWSRequest("PUT", URL + path, headers=headers)
    request.context["payload_signing_enabled"] = False
    with mock.patch.object(S3SigV4Auth, "payload", lambda *_: headers["x-amz-content-sha256"]):
        S3SigV4Auth(Credentials(KEY, SECRET), "s3", REGION).add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def chunked(chunks, trailer):
    """A body in chunks, without signatures of the chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\n" + trailer + b"\r\n"


def streamed(path, body, size, trailer):
    """Path, headers and body of a PUT of such a body, which has `size` bytes without its chunks."""
    return path, announced(path, {
        "x-amz-content-sha256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "x-amz-decoded-content-length": str(size),
        "x-amz-trailer": trailer,
        "content-encoding": "aws-chunked",
        "content-length": str(len(body)),
    }), body


def exchange(connection, method, path, headers, body=b""):
    """Status and code of an answer, over a connection that may go on."""
    connection.request(method, path, body=body or None, headers=headers)
    answer = connection.getresponse()
    text = answer.read().decode(errors="replace")
    code = text.split("<Code>")[1].split("</Code>")[0] if "<Code>" in text else ""
    return answer.status, code


def send(method, path, headers, body=b""):
    return exchange(http.client.HTTPConnection(HOST, timeout=60), method, path, headers, body)

"""Requests that are wrong, late, changed or broken off: each has its own answer, and none leaves anything behind."""

import base64
import datetime
import hashlib
import os
import socket
import zlib

import boto3
from botocore.config import Config

from place import KEY, REGION, SECRET, URL, all_of, bucket, client, expect, refused
from wire import HOST, chunked, send, signed, streamed

def a_wrong_secret_key_or_region_is_told_apart():
    bucket("fault-keys")
    refused("a wrong secret", "SignatureDoesNotMatch", client(secret="x" * 40).list_objects_v2, Bucket="fault-keys")
    refused("no such key", "InvalidAccessKeyId", client(key="FB000000000000000000").list_objects_v2, Bucket="fault-keys")
    refused("nonsense", "InvalidAccessKeyId", client(key="x").list_objects_v2, Bucket="fault-keys")
    for region in ["us-east-1", "eu-central-1"]:
        path, headers = signed("GET", "/fault-keys", region=region)
        expect(region, send("GET", path, headers)[0], 200)


def a_clock_that_is_off_by_more_than_15_minutes_is_refused():
    bucket("fault-clock")
    for minutes, answer in [(-14, (200, "")), (14, (200, "")), (-16, (403, "RequestTimeTooSkewed")), (16, (403, "RequestTimeTooSkewed"))]:
        path, headers = signed("GET", "/fault-clock", at=datetime.timedelta(minutes=minutes))
        found = send("GET", path, headers)
        expect(f"{minutes} minutes", found, answer)


def a_signed_request_that_was_changed_is_refused():
    bucket("fault-changed")
    path, headers = signed("PUT", "/fault-changed/k", {"x-amz-meta-a": "1"}, b"body")
    for what, method, to, changed, body in [
        ("method", "DELETE", path, headers, b""),
        ("path", "PUT", "/fault-changed/other", headers, b"body"),
        ("query", "PUT", f"{path}?tagging", headers, b"body"),
        ("header", "PUT", path, {**headers, "x-amz-meta-a": "2"}, b"body"),
    ]:
        expect(what, send(method, to, changed, body), (403, "SignatureDoesNotMatch"))
    added = {**headers, "x-amz-copy-source": "/fault-changed/secret"}
    expect("a header that was added", send("PUT", path, added, b"body"), (403, "AccessDenied"))
    expect("the body", send("PUT", path, headers, b"BODY"), (400, "XAmzContentSHA256Mismatch"))
    refused("nothing is there", "404", client().head_object, Bucket="fault-changed", Key="k")
    expect("unchanged", send("PUT", path, headers, b"body")[0], 200)


def a_presigned_url_is_good_for_what_it_says_and_no_longer():
    bucket("fault-urls")
    client().put_object(Bucket="fault-urls", Key="k", Body=b"x")
    path, _ = signed("GET", "/fault-urls/k", query=60)
    expect("in time", send("GET", path, {}), (200, ""))
    expect("again, in time", send("GET", path, {}), (200, ""))
    late, _ = signed("GET", "/fault-urls/k", query=60, at=datetime.timedelta(minutes=-2))
    expect("late", send("GET", late, {}), (403, "AccessDenied"))
    early, _ = signed("GET", "/fault-urls/k", query=60, at=datetime.timedelta(minutes=16))
    expect("early", send("GET", early, {})[1], "RequestTimeTooSkewed")
    long, _ = signed("GET", "/fault-urls/k", query=604_801)
    expect("too long", send("GET", long, {}), (400, "AuthorizationQueryParametersError"))
    stretched = late.replace("X-Amz-Expires=60", "X-Amz-Expires=604800")
    expect("stretched", send("GET", stretched, {}), (403, "SignatureDoesNotMatch"))
    expect("stretched by a second one", send("GET", f"{late}&X-Amz-Expires=604800", {})[0], 400)
    expect("another method", send("PUT", path, {}, b"y"), (403, "SignatureDoesNotMatch"))
    expect("another key", send("GET", path.replace("/k?", "/l?"), {}), (403, "SignatureDoesNotMatch"))
    expect("another version", send("GET", f"{path}&versionId=null", {}), (403, "SignatureDoesNotMatch"))
    bare = "&".join(word for word in path.split("&") if not word.startswith("X-Amz-Signature"))
    expect("the signature taken off", send("GET", bare, {})[0], 400)


def signatures_of_version_2_are_good_for_urls_only():
    expect("a header", send("GET", "/fault-urls", {"Authorization": f"AWS {KEY}:AAAA"}), (400, "InvalidRequest"))
    old = boto3.client("s3", endpoint_url=URL, region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
                       config=Config(signature_version="s3", s3={"addressing_style": "path"}))
    url = old.generate_presigned_url("get_object", Params={"Bucket": "fault-urls", "Key": "k"}).removeprefix(URL)
    expect("a URL", send("GET", url, {}), (200, ""))
    expect("another method", send("PUT", url, {}, b"x"), (403, "SignatureDoesNotMatch"))
    expect("another thing", send("GET", f"{url}&tagging", {}), (400, "InvalidRequest"))
    far = old.generate_presigned_url("get_object", Params={"Bucket": "fault-urls", "Key": "k"}, ExpiresIn=604_900)
    expect("too long", send("GET", far.removeprefix(URL), {}), (400, "AuthorizationQueryParametersError"))


def a_body_that_breaks_off_leaves_nothing():
    bucket("fault-broken")
    body = b"x" * 100_000
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "content-length": str(len(body))}
    path, headers = signed("PUT", "/fault-broken/k", headers, body)
    head = f"PUT {path} HTTP/1.1\r\nHost: {HOST}\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    host, port = HOST.split(":")
    connection = socket.create_connection((host, int(port)), timeout=30)
    connection.sendall(head.encode() + b"\r\n" + body[:50_000])
    connection.shutdown(socket.SHUT_WR)
    connection.settimeout(30)
    try:
        answer = connection.recv(65_536)
    except ConnectionError:
        answer = b""
    expect("no success", b" 200 " in answer.split(b"\r\n")[0], False)
    refused("nothing is there", "404", client().head_object, Bucket="fault-broken", Key="k")


def put_chunked(key, chunks, trailer, size=None):
    size = sum(map(len, chunks)) if size is None else size
    return send("PUT", *streamed(f"/fault-chunks/{key}", chunked(chunks, trailer), size, "x-amz-checksum-crc32"))


def chunks_and_their_trailers_are_what_was_announced():
    bucket("fault-chunks")
    chunks = [b"a" * 70_000, b"b" * 10]
    crc = base64.b64encode(zlib.crc32(b"".join(chunks)).to_bytes(4, "big"))
    expect("right", put_chunked("right", chunks, b"x-amz-checksum-crc32:" + crc + b"\r\n"), (200, ""))
    found = client().get_object(Bucket="fault-chunks", Key="right")
    expect("the body", (found["Body"].read(), found.get("ContentEncoding")), (b"".join(chunks), None))
    expect("wrong", put_chunked("no", chunks, b"x-amz-checksum-crc32:AAAAAA==\r\n"), (400, "BadDigest"))
    expect("none", put_chunked("no", chunks, b"")[0], 400)
    expect("fewer bytes", put_chunked("no", chunks, b"x-amz-checksum-crc32:" + crc + b"\r\n", size=80_000)[0], 400)
    expect("more bytes", put_chunked("no", chunks, b"x-amz-checksum-crc32:" + crc + b"\r\n", size=70_000)[0], 400)
    refused("nothing is there", "404", client().head_object, Bucket="fault-chunks", Key="no")


def a_key_that_is_scoped_does_nothing_elsewhere():
    bucket("fault-scope")
    client().put_object(Bucket="fault-scope", Key="theirs", Body=b"secret")
    scoped = client(key=os.environ["S3_SCOPED_KEY"], secret=os.environ["S3_SCOPED_SECRET"])
    scoped.put_object(Bucket="fault-scope", Key="mine/a", Body=b"x")
    expect("read", scoped.get_object(Bucket="fault-scope", Key="mine/a")["Body"].read(), b"x")
    expect("list", scoped.list_objects_v2(Bucket="fault-scope", Prefix="mine/")["KeyCount"], 1)
    for what, call, more in [
        ("read", scoped.get_object, {"Key": "theirs"}),
        ("write", scoped.put_object, {"Key": "min", "Body": b""}),
        ("list", scoped.list_objects_v2, {}),
        ("copy", scoped.copy_object, {"Key": "mine/b", "CopySource": "fault-scope/theirs"}),
        ("set up", scoped.put_bucket_versioning, {"VersioningConfiguration": {"Status": "Enabled"}}),
        ("delete the bucket", scoped.delete_bucket, {}),
    ]:
        refused(what, "AccessDenied", call, Bucket="fault-scope", **more)
    refused("another bucket", "AccessDenied", scoped.get_object, Bucket="fault-keys", Key="k")
    gone = scoped.delete_objects(Bucket="fault-scope", Delete={"Objects": [{"Key": "mine/a"}, {"Key": "theirs"}]})
    expect("deleted", [it["Key"] for it in gone["Deleted"]], ["mine/a"])
    expect("not deleted", [(it["Key"], it["Code"]) for it in gone["Errors"]], [("theirs", "AccessDenied")])


def what_cannot_be_read_is_told():
    bucket("fault-odd")
    path, headers = signed("POST", "/fault-odd?delete", {}, b"<Delete><Object>")
    expect("broken XML", send("POST", path, headers, b"<Delete><Object>")[1], "MalformedXML")
    path, headers = signed("PUT", "/fault-odd/k", {"x-amz-server-side-encryption": "AES256"})
    expect("a promise that is not kept", send("PUT", path, headers), (501, "NotImplemented"))
    for name in ["Upper", "a_b", "192.168.0.1", "ab", "a" * 64]:
        path, headers = signed("PUT", f"/{name}")
        expect(name, send("PUT", path, headers), (400, "InvalidBucketName"))
    path, headers = signed("PUT", "/fault-odd/%00x")
    expect("a zero", send("PUT", path, headers)[0], 400)
    path, headers = signed("GET", "/fault-odd?max-keys=-1")
    expect("no number of keys", send("GET", path, headers), (400, "InvalidArgument"))
    path, headers = signed("GET", "/fault-odd?list-type=2&continuation-token=_w")
    expect("no token of ours", send("GET", path, headers), (400, "InvalidArgument"))
    expect("nothing at all", send("GET", "/", {})[0], 403)
    digest = hashlib.sha256(b"").hexdigest()
    expect("half a signature", send("GET", "/fault-odd", {"Authorization": "AWS4-HMAC-SHA256", "x-amz-content-sha256": digest})[0], 400)


if __name__ == "__main__":
    all_of([
        a_wrong_secret_key_or_region_is_told_apart,
        a_clock_that_is_off_by_more_than_15_minutes_is_refused,
        a_signed_request_that_was_changed_is_refused,
        a_presigned_url_is_good_for_what_it_says_and_no_longer,
        signatures_of_version_2_are_good_for_urls_only,
        a_body_that_breaks_off_leaves_nothing,
        chunks_and_their_trailers_are_what_was_announced,
        a_key_that_is_scoped_does_nothing_elsewhere,
        what_cannot_be_read_is_told,
    ])

"""Buckets at names of their own, as clients ask for them when nobody tells them otherwise.

No name server knows these names here. Clients of this process are told where they lead; programs are told of a proxy, which sends
everything to Flagbase."""

import json
import os
import socket
import sys
import threading
import urllib.error
import urllib.request
from pathlib import Path

os.environ.update(NO_PROXY="", no_proxy="")

from place import DOMAIN, HOME, KEY, REGION, SECRET, TOOLS, URL, all_of, bucket, client, expect, keys_of, refused, run, same, tree

MB = 1024 * 1024
HOST, PORT = URL.removeprefix("http://").split(":")
THERE = f"http://{DOMAIN}:{PORT}"
BIN = Path(sys.executable).parent


# The hosts that were asked.
HOSTS = set()


def resolved(host, *more, once=socket.getaddrinfo, **named):
    """Where the names below the domain lead."""
    if str(host).endswith(DOMAIN):
        HOSTS.add(host)
        host = HOST
    return once(host, *more, **named)


socket.getaddrinfo = resolved


class Proxy:
    """Takes requests for any host to Flagbase as if its name led there."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.listen, daemon=True).start()

    def listen(self):
        while True:
            threading.Thread(target=self.serve, args=[self.listener.accept()[0]], daemon=True).start()

    def serve(self, near):
        """One request a connection: what follows the head is passed on as it comes."""
        head = b""
        while b"\r\n\r\n" not in head:
            got = near.recv(65_536)
            if not got:
                return near.close()
            head += got
        lines, rest = head.split(b"\r\n\r\n", 1)
        first, *lines = lines.split(b"\r\n")
        method, address, version = first.split(b" ")
        path = b"/" + address.split(b"://", 1)[1].partition(b"/")[2]
        kept = [line for line in lines if not line.lower().startswith((b"connection:", b"proxy-connection:"))]
        HOSTS.update(line.split(b":")[1].strip().decode() for line in kept if line.lower().startswith(b"host:"))
        far = socket.create_connection((HOST, int(PORT)))
        far.sendall(b"\r\n".join([b" ".join([method, path, version]), *kept, b"connection: close", b"", rest]))
        up = threading.Thread(target=self.pump, args=[near, far], daemon=True)
        up.start()
        self.pump(far, near)
        for end in (near, far):
            end.close()

    def pump(self, source, sink):
        try:
            while got := source.recv(65_536):
                sink.sendall(got)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            # Either side may have had enough; the other one sees that its connection ends.
            pass


PROXY = Proxy()
ENVIRONMENT = {
    "http_proxy": PROXY.url, "HTTP_PROXY": PROXY.url, "NO_PROXY": "",
    "AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": THERE,
    "AWS_PAGER": "",
}


def virtual(**more):
    return client(at=THERE, style="virtual", **more)


def asked(name):
    """Whether all requests since the last look went to the bucket's own name."""
    expect("the hosts", HOSTS, {f"{name}.{DOMAIN}"})


def boto3_does_everything_there():
    s3, name = virtual(), "host-boto"
    HOSTS.clear()
    s3.create_bucket(Bucket=name)
    body = os.urandom(100_000)
    for key in ["a/\u00e4 b+c", "a//b", "..", f"{name}/a", "plain"]:
        s3.put_object(Bucket=name, Key=key, Body=body, Metadata={"a": "b"})
        expect(key, s3.get_object(Bucket=name, Key=key)["Body"].read() == body, True)
        expect(f"{key} by its path", client().get_object(Bucket=name, Key=key)["Body"].read() == body, True)
    keys = ["..", "a/\u00e4 b+c", "a//b", f"{name}/a", "plain"]
    expect("listed", keys_of(s3, name, PaginationConfig={"PageSize": 2}), sorted(keys, key=str.encode))
    groups = s3.list_objects_v2(Bucket=name, Delimiter="/")["CommonPrefixes"]
    expect("groups", groups, [{"Prefix": "a/"}, {"Prefix": f"{name}/"}])
    s3.copy_object(Bucket=name, Key="copy", CopySource={"Bucket": name, "Key": "plain"})
    expect("a range", s3.get_object(Bucket=name, Key="copy", Range="bytes=5-9")["Body"].read(), body[5:10])
    s3.put_bucket_tagging(Bucket=name, Tagging={"TagSet": [{"Key": "a", "Value": "b"}]})
    expect("tags", s3.get_bucket_tagging(Bucket=name)["TagSet"], [{"Key": "a", "Value": "b"}])
    s3.delete_objects(Bucket=name, Delete={"Objects": [{"Key": key} for key in [*keys, "copy"]]})
    refused("gone", "NoSuchKey", s3.get_object, Bucket=name, Key="plain")
    s3.delete_bucket(Bucket=name)
    asked(name)


def boto3_sends_parts_there():
    s3, name = virtual(), bucket("host-parts")
    HOSTS.clear()
    body = os.urandom(12 * MB)
    (HOME / "parts").write_bytes(body)
    from boto3.s3.transfer import TransferConfig

    config = TransferConfig(multipart_threshold=5 * MB, multipart_chunksize=5 * MB)
    s3.upload_file(str(HOME / "parts"), name, "k", Config=config)
    expect("in parts", s3.head_object(Bucket=name, Key="k")["ETag"].endswith('-3"'), True)
    s3.download_file(name, "k", str(HOME / "parts-back"), Config=config)
    expect("what came back", (HOME / "parts-back").read_bytes() == body, True)
    begun = s3.create_multipart_upload(Bucket=name, Key="none")["UploadId"]
    expect("begun", [it["Key"] for it in s3.list_multipart_uploads(Bucket=name)["Uploads"]], ["none"])
    s3.abort_multipart_upload(Bucket=name, Key="none", UploadId=begun)
    asked(name)


def a_signature_for_one_name_is_none_for_another():
    s3, name = virtual(), bucket("host-one")
    other = bucket("host-other")
    for where, text in [(name, b"one"), (other, b"other")]:
        s3.put_object(Bucket=where, Key="k", Body=text)
    url = s3.generate_presigned_url("get_object", Params={"Bucket": name, "Key": "k"})
    ask = lambda url, **headers: answered(urllib.request.Request(url, headers=headers))
    expect("its own", ask(url)[::2], (200, b"one"))
    expect("another", ask(url.replace(f"//{name}.", f"//{other}."))[0], 403)
    expect("its path", ask(url.replace(f"//{name}.", "//").replace("/k?", f"/{name}/k?"))[0], 403)
    refused("no such bucket", "NoSuchBucket", s3.list_objects_v2, Bucket="host-none")


def answered(request):
    """Status, headers and bytes."""
    try:
        answer = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        answer = error
    return answer.status, answer.headers, answer.read()


def browsers_ask_there_first():
    s3, name = virtual(), bucket("host-cors")
    rule = {"AllowedOrigins": ["https://app.example.com"], "AllowedMethods": ["GET", "PUT"], "AllowedHeaders": ["content-type"],
            "ExposeHeaders": ["ETag"], "MaxAgeSeconds": 60}
    s3.put_bucket_cors(Bucket=name, CORSConfiguration={"CORSRules": [rule]})
    s3.put_object(Bucket=name, Key="k", Body=b"x")

    def preflight(where, **more):
        headers = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "PUT",
                   "Access-Control-Request-Headers": "content-type", **more}
        return answered(urllib.request.Request(f"{URL}/k", method="OPTIONS", headers={"Host": where, **headers}))

    status, headers, _ = preflight(f"{name}.{DOMAIN}")
    found = (status, headers["Access-Control-Allow-Origin"], headers["Access-Control-Max-Age"])
    expect("a preflight", found, (200, "https://app.example.com", "60"))
    expect("methods", "PUT" in headers["Access-Control-Allow-Methods"], True)
    expect("headers", headers["Access-Control-Allow-Headers"].lower(), "content-type")
    expect("with a port", preflight(f"{name}.{DOMAIN}:9000")[0], 200)
    expect("in capitals", preflight(f"{name}.{DOMAIN.upper()}")[0], 200)
    for what, where, more in [
        ("another origin", name, {"Origin": "https://example.org"}),
        ("another method", name, {"Access-Control-Request-Method": "DELETE"}),
        ("another header", name, {"Access-Control-Request-Headers": "x-amz-acl"}),
        ("another bucket", bucket("host-no-cors"), {}),
        ("no bucket", "host-none", {}),
    ]:
        expect(what, preflight(f"{where}.{DOMAIN}", **more)[0], 403)
    url = s3.generate_presigned_url("put_object", Params={"Bucket": name, "Key": "new", "ContentType": "text/plain"})
    told = {"Origin": "https://app.example.com", "Content-Type": "text/plain"}
    status, headers, _ = answered(urllib.request.Request(url, method="PUT", headers=told, data=b"from a page"))
    expect("what follows", (status, headers["Access-Control-Allow-Origin"]), (200, "https://app.example.com"))
    expect("what it brought", s3.get_object(Bucket=name, Key="new")["Body"].read(), b"from a page")


def aws_cli_syncs_there():
    name = bucket("host-aws")
    HOSTS.clear()
    (HOME / "aws-config").write_text("[default]\ns3 =\n  addressing_style = virtual\n  multipart_threshold = 6MB\n")
    environment = {**ENVIRONMENT, "AWS_CONFIG_FILE": str(HOME / "aws-config")}
    aws = lambda *words: run(sys.executable, BIN / "aws", *words, environment=environment)
    there, back = tree(HOME / "aws", seed=6, files=30), HOME / "aws-back"
    aws("s3", "sync", there, f"s3://{name}/tree", "--only-show-errors")
    aws("s3", "sync", f"s3://{name}/tree", back, "--only-show-errors")
    files = same(there, back)
    expect("listed", len(json.loads(aws("s3api", "list-objects-v2", "--bucket", name))["Contents"]), files)
    aws("s3", "rm", f"s3://{name}/", "--recursive", "--only-show-errors")
    asked(name)
    return f"{files} files"


def rclone_syncs_there():
    name = bucket("host-rclone")
    HOSTS.clear()
    config = HOME / "rclone.conf"
    config.write_text(
        f"[s3]\ntype = s3\nprovider = Other\naccess_key_id = {KEY}\nsecret_access_key = {SECRET}\nendpoint = {THERE}\n"
        f"region = {REGION}\nforce_path_style = false\nchunk_size = 5M\nno_check_bucket = true\n"
    )
    rclone = lambda *words: run(TOOLS / "rclone", "--config", config, "--retries", "1", *words, environment=ENVIRONMENT)
    there, back = tree(HOME / "rclone", seed=7, files=30), HOME / "rclone-back"
    rclone("sync", there, f"s3:{name}/tree", "--s3-upload-cutoff", "8M")
    rclone("sync", f"s3:{name}/tree", back)
    asked(name)
    return f"{same(there, back)} files"


def restic_keeps_a_tree_there():
    name = bucket("host-restic")
    HOSTS.clear()
    environment = {
        **ENVIRONMENT, "RESTIC_REPOSITORY": f"s3:{THERE}/{name}/kept", "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(HOME / "restic-cache"),
    }
    restic = lambda *words: run(TOOLS / "restic", "--quiet", "-o", "s3.bucket-lookup=dns", *words, environment=environment)
    there, back = tree(HOME / "restic", seed=8, files=30), HOME / "restic-back"
    restic("init")
    restic("backup", there)
    restic("restore", "latest", "--target", back)
    asked(name)
    return f"{same(there, back / there.relative_to('/'))} files"


def minio_py_puts_there():
    from minio import Minio

    name = bucket("host-minio")
    HOSTS.clear()
    minio = Minio(f"{DOMAIN}:{PORT}", access_key=KEY, secret_key=SECRET, secure=False, region=REGION)
    minio.enable_virtual_style_endpoint()
    there, back = tree(HOME / "minio", seed=9, files=20), HOME / "minio-back"
    for path in there.rglob("*"):
        if path.is_file():
            minio.fput_object(name, str(path.relative_to(there)), str(path), part_size=5 * MB)
    for found in minio.list_objects(name, recursive=True):
        minio.fget_object(name, found.object_name, str(back / found.object_name))
    asked(name)
    return f"{same(there, back)} files"


if __name__ == "__main__":
    all_of([
        boto3_does_everything_there,
        boto3_sends_parts_there,
        a_signature_for_one_name_is_none_for_another,
        browsers_ask_there_first,
        aws_cli_syncs_there,
        rclone_syncs_there,
        restic_keeps_a_tree_there,
        minio_py_puts_there,
    ])

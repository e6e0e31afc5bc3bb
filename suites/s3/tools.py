"""Programs that people use with S3, unmodified: a tree goes there and comes back, byte for byte."""

import json
import sys
from pathlib import Path

import boto3
from botocore.config import Config

from place import DOMAIN, HOME, KEY, REGION, SECRET, TOOLS, URL, all_of, bucket, client, expect, run, same, tree

HOST = URL.removeprefix("http://")
BIN = Path(sys.executable).parent
AWS = {
    "AWS_ACCESS_KEY_ID": KEY,
    "AWS_SECRET_ACCESS_KEY": SECRET,
    "AWS_DEFAULT_REGION": REGION,
    "AWS_ENDPOINT_URL": URL,
    "AWS_PAGER": "",
}


def aws_cli_syncs_a_tree_there_and_back():
    aws = lambda *words: run(sys.executable, BIN / "aws", *words, environment=AWS)
    there, back = tree(HOME / "aws"), HOME / "aws-back"
    aws("s3", "mb", "s3://aws-sync")
    aws("s3", "sync", there, "s3://aws-sync/tree", "--only-show-errors")
    expect("a second sync", aws("s3", "sync", there, "s3://aws-sync/tree").strip(), "")
    aws("s3", "sync", "s3://aws-sync/tree", back, "--only-show-errors")
    files = same(there, back)
    aws("s3", "cp", "s3://aws-sync/tree/large.bin", "s3://aws-sync/copied.bin", "--quiet")
    aws("s3", "mv", "s3://aws-sync/copied.bin", "s3://aws-sync/moved.bin", "--quiet")
    expect("what was listed", "moved.bin" in aws("s3", "ls", "s3://aws-sync/"), True)
    url = aws("s3", "presign", "s3://aws-sync/tree/empty").strip()
    import urllib.request

    expect("a presigned URL", urllib.request.urlopen(url).status, 200)
    head = json.loads(aws("s3api", "head-object", "--bucket", "aws-sync", "--key", "moved.bin"))
    expect("the size", head["ContentLength"], 24 * 1024 * 1024 + 3)
    aws("s3", "rb", "s3://aws-sync", "--force")
    return f"{files} files"


def s3cmd_puts_gets_and_syncs():
    config = HOME / "s3cfg"
    config.write_text(
        f"[default]\naccess_key = {KEY}\nsecret_key = {SECRET}\nhost_base = {HOST}\nhost_bucket = {HOST}\n"
        "use_https = False\nsignature_v2 = False\nmultipart_chunk_size_mb = 5\nmax_retries = 1\n"
    )
    s3cmd = lambda *words: run(sys.executable, BIN / "s3cmd", "--config", config, *words)
    there, back = tree(HOME / "s3cmd", seed=2), HOME / "s3cmd-back"
    s3cmd("mb", "s3://s3cmd-tree")
    s3cmd("sync", "--no-progress", f"{there}/", "s3://s3cmd-tree/tree/")
    back.mkdir()
    s3cmd("sync", "--no-progress", "s3://s3cmd-tree/tree/", f"{back}/")
    files = same(there, back)
    s3cmd("cp", "s3://s3cmd-tree/tree/empty", "s3://s3cmd-tree/copied")
    expect("what was listed", "s3://s3cmd-tree/copied" in s3cmd("ls", "s3://s3cmd-tree/"), True)
    expect("what is told", "MD5 sum" in s3cmd("info", "s3://s3cmd-tree/tree/large.bin"), True)
    s3cmd("del", "--recursive", "--force", "s3://s3cmd-tree/")
    s3cmd("rb", "s3://s3cmd-tree")
    return f"{files} files"


def rclone_copies_checks_and_brings_back():
    config = HOME / "rclone.conf"
    config.write_text(
        f"[s3]\ntype = s3\nprovider = Other\naccess_key_id = {KEY}\nsecret_access_key = {SECRET}\n"
        f"endpoint = {URL}\nregion = {REGION}\nforce_path_style = true\nchunk_size = 5M\n"
    )
    rclone = lambda *words: run(TOOLS / "rclone", "--config", config, "--retries", "1", *words)
    there, back = tree(HOME / "rclone", seed=3), HOME / "rclone-back"
    rclone("mkdir", "s3:rclone-tree")
    rclone("sync", there, "s3:rclone-tree/tree", "--s3-upload-cutoff", "8M")
    rclone("check", there, "s3:rclone-tree/tree")
    rclone("check", "--download", there, "s3:rclone-tree/tree")
    rclone("sync", "s3:rclone-tree/tree", back)
    files = same(there, back)
    (there / "empty").write_bytes(b"no more")
    (there / "large.bin").unlink()
    rclone("sync", there, "s3:rclone-tree/tree")
    rclone("check", there, "s3:rclone-tree/tree")
    rclone("copyto", "s3:rclone-tree/tree/empty", "s3:rclone-tree/copied")
    rclone("purge", "s3:rclone-tree")
    return f"{files} files"


def restic_backs_up_checks_and_restores():
    environment = {
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "RESTIC_REPOSITORY": f"s3:{URL}/restic-tree/repository",
        "RESTIC_PASSWORD": "correct horse battery staple",
        "RESTIC_CACHE_DIR": str(HOME / "restic-cache"),
    }
    restic = lambda *words: run(TOOLS / "restic", "--quiet", *words, environment=environment)
    there, back = tree(HOME / "restic", seed=4), HOME / "restic-back"
    restic("init")
    restic("backup", there)
    (there / "later").write_text("a second snapshot\n")
    restic("backup", there)
    restic("check", "--read-data")
    restic("restore", "latest", "--target", back)
    files = same(there, back / there.relative_to("/"))
    restic("forget", "--keep-last", "1", "--prune")
    restic("check", "--read-data")
    return f"{files} files"


def minio_py_puts_gets_and_lists():
    from minio import Minio
    from minio.commonconfig import CopySource, Tags

    minio = Minio(HOST, access_key=KEY, secret_key=SECRET, secure=False, region=REGION)
    there = tree(HOME / "minio", seed=5, files=20)
    minio.make_bucket("minio-tree")
    for path in there.rglob("*"):
        if path.is_file():
            minio.fput_object("minio-tree", str(path.relative_to(there)), str(path), part_size=5 * 1024 * 1024)
    back = HOME / "minio-back"
    for found in minio.list_objects("minio-tree", recursive=True):
        minio.fget_object("minio-tree", found.object_name, str(back / found.object_name))
    files = same(there, back)
    tags = Tags.new_object_tags()
    tags["team"] = "blue"
    minio.set_object_tags("minio-tree", "empty", tags)
    expect("tags", dict(minio.get_object_tags("minio-tree", "empty")), {"team": "blue"})
    minio.copy_object("minio-tree", "copied", CopySource("minio-tree", "large.bin"))
    expect("the size of a copy", minio.stat_object("minio-tree", "copied").size, 24 * 1024 * 1024 + 3)
    return f"{files} files"


def virtual_hosts_and_paths_are_the_same_bucket():
    import http.client

    bucket("by-host")
    client().put_object(Bucket="by-host", Key="a/b.txt", Body=b"same")
    by_host = boto3.client(
        "s3", endpoint_url=f"http://{DOMAIN}", region_name=REGION, aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        config=Config(signature_version="s3v4", s3={"addressing_style": "virtual"}),
    )
    for there in [client(), by_host]:
        url = there.generate_presigned_url("get_object", Params={"Bucket": "by-host", "Key": "a/b.txt"})
        host, path = url.removeprefix("http://").split("/", 1)
        connection = http.client.HTTPConnection(HOST)
        connection.request("GET", f"/{path}", headers={"Host": host})
        expect(host, connection.getresponse().read(), b"same")


if __name__ == "__main__":
    all_of(
        [
            aws_cli_syncs_a_tree_there_and_back,
            s3cmd_puts_gets_and_syncs,
            rclone_copies_checks_and_brings_back,
            restic_backs_up_checks_and_restores,
            minio_py_puts_gets_and_lists,
            virtual_hosts_and_paths_are_the_same_bucket,
        ]
    )

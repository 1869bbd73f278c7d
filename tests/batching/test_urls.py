"""Batches in and out of buckets: S3 by moto, a server on this machine; what other schemes need."""

import json
import os
import sys
from pathlib import Path
from urllib.request import urlopen

import cheap_compute
import fsspec
import pytest
from fsspec.registry import _registry
from small_batch import Inline, prepared

from hdmatt.batching import spool, urls
from hdmatt.batching.batch import run
from hdmatt.batching.executor import Outcome, Task
from hdmatt.batching.spool import computed_locally
from hdmatt.batching.urls import Url, path_of, stamp_of, walk
from hdmatt.cli.main import main
from hdmatt.errors import InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def server():
    from moto.server import ThreadedMotoServer  # installed for a release only

    running = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


@pytest.fixture
def bucket(server, monkeypatch):
    """A client of S3, with an empty bucket called pictures."""
    import boto3

    known = {"ENDPOINT_URL": server, "ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}
    for name, value in known.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    urlopen(f"{server}/moto-api/reset", data=b"").close()
    fsspec.filesystem("s3").invalidate_cache()
    urls._listed.clear()
    client = boto3.client("s3")
    client.create_bucket(Bucket="pictures")
    yield client
    client.close()


def put(client, *names, data=b"trimap of "):
    for name in names:
        client.put_object(Bucket="pictures", Key=name, Body=data + name.encode())


def keys(client, prefix):
    found = client.list_objects_v2(Bucket="pictures", Prefix=prefix).get("Contents", [])
    return {one["Key"].removeprefix(prefix) for one in found}


def states(inputs, out, folder, *, compute=cheap_compute.copy, **options):
    made = prepared(inputs, out, ledger=folder / "ledger", **options)
    return {one.name: one.state for one in run(made, lambda _: Inline(lambda task: computed_locally(task, compute)))}


@pytest.mark.release
def test_in_and_out_of_a_bucket_and_a_second_run_computes_what_changed(bucket, tmp_path):
    put(bucket, "in/a b.jpg", "in/a b_trimap.png", "in/sub/ü.jpg", "in/sub/trimaps/ü.png", "in/bad.jpg", "in/.x.jpg")
    put(bucket, "in/bad.jpg", data=b"bad")
    put(bucket, "in/bad_trimap.png")
    found = states("s3://pictures/in", "s3://pictures/out", tmp_path)
    assert found == {"a b.jpg": "done", "bad.jpg": "failed", "sub/ü.jpg": "done"}
    assert keys(bucket, "out/") == {"a b_alpha.png", "sub/ü_alpha.png"}
    matte = bucket.get_object(Bucket="pictures", Key="out/sub/ü_alpha.png")["Body"].read()
    assert matte == "trimap of in/sub/trimaps/ü.png".encode()

    def none(task: Task) -> Outcome:
        raise AssertionError(task.name)

    again = states("s3://pictures/in", "s3://pictures/out", tmp_path, compute=none)
    assert again == {"a b.jpg": "unchanged", "bad.jpg": "failed", "sub/ü.jpg": "unchanged"}
    bucket.delete_object(Bucket="pictures", Key="out/a b_alpha.png")
    put(bucket, "in/sub/ü.jpg", data=b"another ")
    again = states("s3://pictures/in", "s3://pictures/out", tmp_path)
    assert again == {"a b.jpg": "done", "bad.jpg": "failed", "sub/ü.jpg": "done"}


@pytest.mark.release
def test_patterns_lists_manifests_and_folders_of_trimaps_may_be_in_a_bucket(bucket, tmp_path):
    put(bucket, "in/a.jpg", "in/b.png", "in/deep/a.jpg", "t/a.png", "t/b.png", "t/deep/a.png")
    assert states("s3://pictures/in/*.jpg", tmp_path / "1", tmp_path, trimaps="s3://pictures/t") == {"a.jpg": "done"}
    assert (tmp_path / "1/a_alpha.png").read_bytes() == b"trimap of t/a.png"
    listed = {"listed": True, "root": "s3://pictures/in", "trimaps": "s3://pictures/t"}
    assert states("s3://pictures/in/deep/a.jpg", tmp_path / "2", tmp_path, **listed) == {"deep/a.jpg": "done"}
    assert states("s3://pictures/in/b.png", tmp_path / "3", tmp_path, masks="s3://pictures/t") == {"b.png": "done"}
    bucket.put_object(Bucket="pictures", Key="m.csv", Body=b"picture,trimap\nin/a.jpg,s3://pictures/t/deep/a.png\n")
    assert states([], tmp_path / "4", tmp_path, manifest="s3://pictures/m.csv") == {"in/a.jpg": "done"}
    assert (tmp_path / "4/in/a_alpha.png").read_bytes() == b"trimap of t/deep/a.png"


@pytest.mark.release
def test_what_is_not_there_or_stands_in_the_way_is_listed_before_anything_runs(bucket, tmp_path):
    put(bucket, "in/a.jpg", "in/b.jpg", "in/b_trimap.png", "out/b_alpha.png")
    for inputs, text in (
        ("s3://pictures/in", "s3://pictures/in/a.jpg has no trimap"),
        ("s3://pictures/in", "s3://pictures/out/b_alpha.png is there, and not by a batch"),
        ("s3://pictures/none", "s3://pictures/none: there is no such file"),
        ("s3://nowhere/in", "s3://nowhere/in: there is no such file"),
        ("s3:///in", "names no host or bucket"),
    ):
        with pytest.raises(InputError) as raised:
            prepared(inputs, "s3://pictures/out", ledger=tmp_path)
        assert text in raised.value.message
    put(bucket, "double//a.jpg")
    with pytest.raises(InputError, match="a part that is empty"):
        prepared("s3://pictures/double", "s3://pictures/out", ledger=tmp_path)
    with pytest.raises(InputError, match="a ledger cannot be locked"):
        prepared("s3://pictures/in", "s3://pictures/out")


@pytest.mark.release
def test_a_picture_that_changes_while_it_is_computed_fails(bucket, tmp_path):
    put(bucket, "in/a.jpg", "in/a_trimap.png")

    def changing(task: Task) -> Outcome:
        put(bucket, "in/a.jpg", data=b"changed")
        return cheap_compute.copy(task)

    assert states("s3://pictures/in", tmp_path / "out", tmp_path, compute=changing) == {"a.jpg": "failed"}
    assert states("s3://pictures/in", tmp_path / "out", tmp_path) == {"a.jpg": "done"}


@pytest.mark.release
def test_failures_name_the_url_and_not_the_copy(bucket, tmp_path, monkeypatch):
    put(bucket, "in/a.jpg")

    def failing(task: Task) -> Outcome:
        return Outcome("failed", reason=f"{task.picture} is bad", summary={"outputs": [task.outputs["alpha"]]})

    task = Task("a", "s3://pictures/in/a.jpg", None, None, {"alpha": "s3://pictures/out/a.png"}, {})
    failed = computed_locally(task, failing)
    assert failed.reason == "s3://pictures/in/a.jpg is bad"
    assert failed.summary == {"outputs": ["s3://pictures/out/a.png"]}
    gone = computed_locally(Task("b", "s3://pictures/in/b.jpg", None, None, {}, {}), failing)
    assert "s3://pictures/in/b.jpg is not there" in gone.reason and gone.again
    monkeypatch.setattr(spool, "ROOM", 2**60)
    short = computed_locally(task, failing)
    assert "MiB are free" in short.reason and "TMPDIR" in short.hint and short.again


@pytest.mark.release
def test_the_command_computes_in_processes_and_prints_urls(bucket, tmp_path, monkeypatch, capsys):
    import hdmatt.batching.batch as batch
    from hdmatt.batching.processes import Processes

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")]))
    monkeypatch.setattr(batch, "Processes", lambda division, **_: Processes(division, "cheap_compute:copy"))
    put(bucket, "in/a.jpg", "in/a_trimap.png")
    command = ["batch", "s3://pictures/in", "-o", "s3://pictures/out", "--ledger", str(tmp_path), "--memory", "1GiB"]
    assert main([*command, "--json"]) == 0
    result, summary = map(json.loads, capsys.readouterr().out.splitlines())
    assert result["outputs"] == ["s3://pictures/out/a_alpha.png"] and summary["done"] == 1
    assert main(command) == 0
    assert capsys.readouterr().out == "0 done, 1 unchanged, 0 failed\n"


def test_a_store_without_whole_uploads_gets_hidden_names_that_are_changed(tmp_path):
    (tmp_path / "a.png").write_bytes(b"matte")
    urls.put(tmp_path / "a.png", "memory://store/sub/a.png")
    assert [top[2] for top in walk(Url("memory://store/sub"))] == [["a.png"]]
    assert urls.read(Url("memory://store/sub/a.png")) == b"matte"
    assert stamp_of("memory://store/sub/a.png").startswith("5-")


@pytest.mark.parametrize(
    ("package", "url", "text"),
    [
        ("fsspec.core", "s3://bucket/a", "pip install 'hdmatt[cluster]'"),
        ("s3fs", "s3://bucket/a", "pip install 'hdmatt[cluster]'"),
        ("gcsfs", "gs://bucket/a", "gcsfs"),
        (None, "nothing://bucket/a", "Name a scheme that fsspec knows"),
    ],
)
def test_a_scheme_whose_package_is_missing_is_refused_by_name(monkeypatch, package, url, text):
    if package:
        monkeypatch.setitem(sys.modules, package, None)
        monkeypatch.delitem(_registry, url.split(":")[0], raising=False)
    with pytest.raises(InputError) as raised:
        urls.filesystem(url)
    assert text in raised.value.hint


def test_what_can_only_be_read_is_refused_as_output(tmp_path):
    with pytest.raises(InputError, match="can only be read"):
        prepared([], "https://host/out", ledger=tmp_path)


def test_the_name_of_a_url_keeps_its_slashes_and_has_the_parts_of_a_path():
    url = path_of("s3://bucket/sub/a.b.png")
    assert str(url) == "s3://bucket/sub/a.b.png" and (url.stem, url.suffix) == ("a.b", ".png")
    assert str(url.parent / "c.png") == "s3://bucket/sub/c.png" and isinstance(url.parent, Url)
    assert path_of("file:///folder/a.png") == Path("/folder/a.png")
    assert urls.normal(urls.joined(Path("out"), "./a.png")) == "out/a.png"
    assert urls.normal(urls.joined(Url("s3://bucket/out"), "./x/../a.png")) == "s3://bucket/out/a.png"

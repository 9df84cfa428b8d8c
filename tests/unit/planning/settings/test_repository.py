"""Which repositories and revisions are taken, and which folders of the volume are theirs."""

from itertools import combinations
from typing import Any

import jsonschema
import pytest

from planning.folders import SLASH, cache_folder, model_folder
from planning.parse import parse
from planning.problems import Refused
from planning.settings import reference
from planning.settings.addresses import ADDRESS, NAME, REVISION
from planning.settings.schema import settings_schema
from planning.settings.sections import Model
from planning.settings.stack_file import read
from tests.unit.planning.stacks import V3_BF16, plan, raw

SECRET = "hf_secretsecret"  # noqa: S105 - it opens nothing
ADDRESSES = [
    V3_BF16,
    "http://tiny-model:8080/DeepSeek-V3-tiny.git",
    "https://git.example.com/~ops/models/DeepSeek_V3.1",
    "https://10.0.0.7:8443/a/b/c/d.git",
    "https://git.example.com/_team/_model",
    "ssh://git@git.example.com:2222/o/n",
    "git://git.example.com/o/n",
    "https://git.example.com.:65535/o/n",
    f"https://{'h' * 63}.example.com/o/n",
    "s3://models/deepseek-ai/DeepSeek-V3",
    "s3://my.bucket-7/_a/~b/c.d",
    "s3://models",
    "s3+https://minio.example.com/models/V3",
    "s3+http://[2001:db8::7]:9000/models",
    "oci://registry.example.com/models/deepseek-v3",
    "oci+http://[2001:db8::7]:5000/a.b/c__d/e--f",
    "https://[2001:db8::7]/o/n",
    "http://[2001:DB8::7]:3000/o/n.git",
    "ssh://git@[::ffff:192.0.2.7]:2222/o/n",
]
FAULTY_ADDRESSES = {
    "up": "https://huggingface.co/owner/..",
    "here": "https://huggingface.co/owner/.",
    "up in between": "https://huggingface.co/owner/../name",
    "Git's folder": "https://huggingface.co/owner/.git",
    "Git's folder in between": "https://huggingface.co/.git/name",
    "no name before .git": "https://huggingface.co/owner/...git",
    "hidden": "https://huggingface.co/owner/.hidden",
    "flag": "https://huggingface.co/owner/--flag",
    "flag in between": "https://huggingface.co/--upload-pack/name",
    "short flag": "https://huggingface.co/owner/-c.git",
    "flag as host": "ssh://-oProxyCommand/owner/name",
    "flag as user": "ssh://-l@host/owner/name",
    "password": f"https://me:{SECRET}@huggingface.co/owner/name",
    "password with a slash": f"https://me:/{SECRET}@huggingface.co/owner/name",
    "token as user": f"https://{SECRET}@huggingface.co/owner/name",
    "password for ssh": f"ssh://me:{SECRET}@git.example.com/owner/name",
    "password without scheme": f"me:{SECRET}@git.example.com:owner/name",
    "query": f"https://huggingface.co/owner/name?token={SECRET}",
    "fragment": f"https://huggingface.co/owner/name#{SECRET}",
    "space": "https://huggingface.co/owner/my name",
    "space before": f" {V3_BF16}",
    "line break": f"{V3_BF16}\n",
    "second line": f"{V3_BF16}\n--upload-pack=id",
    "tab": "https://huggingface.co/owner\t/name",
    "NUL": f"{V3_BF16}\0",
    "file": "file:///etc/passwd",
    "path": "/volume/model",
    "command": "ext::sh -c id",
    "command as name": "ext::https://huggingface.co/owner/name",
    "option": "--upload-pack=id",
    "other scheme": "ftp://huggingface.co/owner/name",
    "capital scheme": "HTTPS://huggingface.co/owner/name",
    "SSH without scheme": "git@git.example.com:owner/name",
    "owner and name": "owner/name",
    "no host": "https:///owner/name",
    "no path": "https://huggingface.co",
    "slash at the end": f"{V3_BF16}/",
    "two slashes": "https://huggingface.co//name",
    "percent": "https://huggingface.co/owner/%2e%2e",
    "backslash": "https://huggingface.co/owner\\name",
    "port": "https://huggingface.co:port/owner/name",
    "port 0": "https://huggingface.co:0/owner/name",
    "port too large": "https://huggingface.co:65536/owner/name",
    "no port after the colon": "https://huggingface.co:/owner/name",
    "IPv6 without brackets": "https://2001:db8::7/owner/name",
    "IPv6 with one bracket": "https://[2001:db8::7/owner/name",
    "IPv6 of too many parts": "https://[1:2:3:4:5:6:7:8:9]/owner/name",
    "IPv6 twice shortened": "https://[2001::db8::7]/owner/name",
    "IPv6 with an interface": "https://[fe80::1%25eth0]/owner/name",
    "IPv6 with port 0": "https://[2001:db8::7]:0/owner/name",
    "IPv6 with a port too large": "https://[2001:db8::7]:65536/owner/name",
    "something after the IPv6 address": "https://[2001:db8::7]x/owner/name",
    "IPv4 in brackets": "https://[192.0.2.7]/owner/name",
    "nothing in brackets": "https://[]/owner/name",
    "two dots in the host": "https://huggingface..co/owner/name",
    "two dots after the host": "https://huggingface.co../owner/name",
    "dash after a dot of the host": "https://git.-example.com/owner/name",
    "dash at the end of a host's part": "https://git-.example.com/owner/name",
    "long part of the host": f"https://{'h' * 64}.example.com/owner/name",
    "quote": "https://huggingface.co/owner/na'me",
    "variable": "https://huggingface.co/owner/$(HOME)",
    "other letters": "https://huggingface.co/owner/nаme",  # noqa: RUF001 - a Cyrillic letter
    "dot at the end": "https://huggingface.co/owner/name.",
    "long": f"https://huggingface.co/owner/{'n' * 201}",
    "nothing": "",
}
FAULTY_BUCKETS = {
    "no bucket": "s3://",
    "no bucket before the folder": "s3:///folder",
    "capital bucket": "s3://Models/V3",
    "short bucket": "s3://ab/V3",
    "long bucket": f"s3://{'b' * 64}/V3",
    "two dots in the bucket": "s3://a..b/V3",
    "key": f"s3://ID:{SECRET}@models/V3",
    "bucket with a port": "s3://models:9000/V3",
    "query": f"s3://models/V3?versionId={SECRET}",
    "folder up": "s3://models/../V3",
    "bucket's slash at the end": "s3://models/V3/",
    "bucket's slash alone": "s3://models/",
    "folder with a space": "s3://models/my V3",
    "store without a bucket": "s3+https://minio.example.com",
    "store with a slash": "s3+https://minio.example.com/",
    "store with a password": f"s3+https://me:{SECRET}@minio.example.com/models/V3",
    "store's port": "s3+https://minio.example.com:0/models/V3",
    "no store": "s3+https:///models/V3",
    "folder that is a flag": "s3://models/--V3",
}
REVISIONS = ["main", "v1.0", "a/b", "a-b", "refs/pr/1", "feature/x_y.z-1", "_", "0" * 40, "F" * 40, "r" * 200]
FAULTY_REVISIONS = {
    "option": "--upload-pack=id",
    "short option": "-c",
    "option in a part": "a/--flag",
    "up": "..",
    "up in between": "a/../b",
    "range": "main..other",
    "here": ".",
    "hidden": "a/.git",
    "lock": "main.lock",
    "lock in between": "a.lock/b",
    "dot at the end": "main.",
    "slash before": "/main",
    "slash at the end": "main/",
    "two slashes": "a//b",
    "space": "my branch",
    "line break": "main\n",
    "control character": "ma\x07in",
    "history": "main~1",
    "reflog": "main@{1}",
    "plus": "a+b",
    "colon": "main:config.json",
    "percent": "a%2Fb",
    "other letters": "mаin",  # noqa: RUF001 - a Cyrillic letter
    "long": "r" * 201,
    "nothing": "",
}


def problem(**model: str) -> str:
    """What is said of the only fault of that object `model`."""
    with pytest.raises(Refused) as refused:
        parse(raw(model=model))
    [found] = refused.value.problems
    assert found.key in {"model.repository", "model.revision"}
    return str(found)


def folder(repository: str = V3_BF16, **keys: str) -> str:
    return model_folder(Model.model_validate({"repository": repository, **keys}))


def cache(repository: str = V3_BF16, **keys: str) -> str:
    return cache_folder(Model.model_validate({"repository": repository, **keys}))


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_is_taken(address: str) -> None:
    assert parse(raw(model={"repository": address})).model.repository == address


@pytest.mark.parametrize("address", FAULTY_ADDRESSES.values(), ids=FAULTY_ADDRESSES)
def test_another_address_is_refused_with_the_form_and_without_its_secrets(address: str) -> None:
    said = problem(repository=address)
    assert "https://HOST/OWNER/NAME" in said
    assert SECRET not in said
    assert "found '" in said


FAULTY_ARTIFACTS = {
    "no host": "oci:///models/v3",
    "no name": "oci://registry.example.com",
    "capital name": "oci://registry.example.com/models/V3",
    "tag": "oci://registry.example.com/models/v3:main",
    "digest": f"oci://registry.example.com/models/v3@sha256:{64 * 'a'}",
    "login": f"oci://me:{SECRET}@registry.example.com/models/v3",
    "query": f"oci://registry.example.com/models/v3?token={SECRET}",
    "folder up": "oci://registry.example.com/../v3",
    "slash at the end": "oci://registry.example.com/models/v3/",
    "two dots": "oci://registry.example.com/models/v..3",
    "port of a registry": "oci://registry.example.com:0/models/v3",
}


@pytest.mark.parametrize("address", FAULTY_ARTIFACTS.values(), ids=FAULTY_ARTIFACTS)
def test_another_artifact_is_refused_with_the_form_and_without_its_secrets(address: str) -> None:
    said = problem(repository=address)
    assert "oci://HOST/NAME" in said
    assert SECRET not in said


@pytest.mark.parametrize("address", FAULTY_BUCKETS.values(), ids=FAULTY_BUCKETS)
def test_another_bucket_is_refused_with_the_form_and_without_its_secrets(address: str) -> None:
    said = problem(repository=address)
    assert "s3://BUCKET/FOLDER" in said
    assert SECRET not in said


@pytest.mark.parametrize("revision", REVISIONS)
def test_a_revision_is_taken(revision: str) -> None:
    assert parse(raw(model={"revision": revision})).model.revision == revision


@pytest.mark.parametrize("revision", FAULTY_REVISIONS.values(), ids=FAULTY_REVISIONS)
def test_another_revision_is_refused_with_the_form(revision: str) -> None:
    assert "write a full commit, or the name of a tag or branch" in problem(revision=revision)


def test_editors_take_what_the_program_takes() -> None:
    keys: dict[str, Any] = settings_schema()["$defs"]["Model"]["properties"]
    assert keys["repository"]["pattern"] == ADDRESS
    assert keys["revision"]["pattern"] == REVISION
    for key, values in (("repository", ADDRESSES), ("revision", REVISIONS)):
        for value in values:
            jsonschema.validate(value, keys[key])


def test_folders_of_revisions_without_a_slash_are_called_as_ever() -> None:
    for revision in (revision for revision in REVISIONS if "/" not in revision):
        assert folder(revision=revision) == f"DeepSeek-V3-bf16/{revision}"
    assert folder(name="v3", revision="main") == "v3/main"


def test_two_revisions_never_have_one_folder() -> None:
    names = ["a/b", "a-b", "a_b", "a.b", "ab", "a/b/c", "a/b-c", "a-b/c", "a-b-c", "refs/pr/1", "refs-pr-1", *REVISIONS]
    folders = {name: folder(revision=name) for name in names}
    for one, other in combinations(set(names), 2):
        assert folders[one] != folders[other]
    assert SLASH not in NAME.replace("]*", "]"), "a revision could have the character itself"


def test_a_folder_is_one_name_below_its_models() -> None:
    for revision in REVISIONS:
        model, name = folder(revision=revision).split("/")
        assert model == "DeepSeek-V3-bf16"
        assert name not in {".", ".."}
        assert len(name.encode()) <= 200, "file systems take 255 bytes"


def test_the_compile_cache_has_a_folder_for_each_repository_and_revision() -> None:
    other = "https://huggingface.co/another-owner/DeepSeek-V3-bf16"
    found = [cache(), cache(revision="a/b"), cache(revision="a-b"), cache(other), cache(other, revision="a-b")]
    assert len(set(found)) == len(found)
    assert all(name.startswith("cache/") for name in found)
    assert cache(name="other-name") != cache(), "another folder may hold another commit"
    mirror = f"https://mirror.example.com/opensourcerelease/{V3_BF16.rpartition('/')[2]}.git"
    assert cache(mirror) == cache(), "another address of the same files stops nothing that serves"


@pytest.mark.parametrize("name", ["cache.", "model.", "model..", ".model", "a/b", "model\n", "..", ""])
def test_a_name_is_one_that_every_file_system_keeps_as_it_is(name: str) -> None:
    with pytest.raises(Refused, match=r"model\.name"):
        parse(raw(model={"name": name}))


@pytest.mark.parametrize("name", ["cache", "Cache", "CACHE"])
def test_a_model_is_not_called_like_the_folder_of_the_caches(name: str) -> None:
    for model in ({"name": name}, {"repository": f"https://example.com/{name}/{name}.git", "precision": "bf16"}):
        [found] = [found for found in plan(model=model).problems if found.key == "model.name"]
        assert found.suggestion == f"model.name: {name}-model"
    assert plan(model={"name": f"{name}-model"}).fits


@pytest.mark.parametrize(
    "address", ["http://git.example.com/o/n", "http://localhost:8080/o/n", "git://git.example.com/o/n", "ssh://h/o/n"]
)
def test_a_token_for_an_address_that_is_not_encrypted_is_refused(address: str, tmp_path: Any) -> None:
    file = tmp_path / "Pulumi.test.yaml"
    text = f"config:\n  deepseek:model: {{repository: '{address}'}}\n"
    file.write_text(text)
    assert read(file)
    file.write_text(f"{text}  deepseek:modelToken: {{secure: abc}}\n")
    with pytest.raises(Refused, match=r"modelToken: is set, and .* over https:// only"):
        read(file)
    file.write_text(file.read_text().replace(address, V3_BF16))
    assert read(file)


def test_the_reference_page_has_the_addresses_form() -> None:
    assert "https://huggingface.co/deepseek-ai/DeepSeek-V3-0324" in reference.page()


@pytest.mark.parametrize(
    "page", ["/tree/main", "/blob/main/config.json", "/commit/0123456789", "/-/tree/main", "/src/branch/main"]
)
def test_a_page_of_a_repository_is_refused_with_its_address(page: str) -> None:
    with pytest.raises(Refused) as refused:
        parse(raw(model={"repository": f"https://huggingface.co/deepseek-ai/DeepSeek-V3{page}"}))
    (problem,) = refused.value.problems
    assert problem.key == "model.repository"
    assert "write https://huggingface.co/deepseek-ai/DeepSeek-V3," in problem.text

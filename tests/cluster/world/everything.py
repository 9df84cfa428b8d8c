"""Every object that the API server has, of whatever kind: found by asking it which kinds it knows."""

from collections.abc import Iterator

from local.cluster.api_server import ApiServer

PASSING = {"events", "leases"}
"""They come and go by themselves: Events last an hour, Leases are the components' own."""

Key = tuple[str, str, str]


def everything(api: ApiServer) -> dict[Key, str]:
    """Return the identity of every object of every namespace, by kind, namespace and name."""
    return {
        (kind, item["metadata"].get("namespace", ""), item["metadata"]["name"]): item["metadata"].get("uid", "")
        for group in _groups(api)
        for kind in _kinds(api, group)
        for item in api.request("GET", f"{group}/{kind}")["items"]
    }


def _groups(api: ApiServer) -> Iterator[str]:
    yield "/api/v1"
    for group in api.request("GET", "/apis")["groups"]:
        yield f"/apis/{group['preferredVersion']['groupVersion']}"


def _kinds(api: ApiServer, group: str) -> Iterator[str]:
    for resource in api.request("GET", group)["resources"]:
        if "list" in resource["verbs"] and resource["name"] not in PASSING:
            yield resource["name"]

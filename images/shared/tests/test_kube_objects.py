"""Objects, lists and Events, as the programs of several images read them."""

from typing import Any

import in_cluster
import pytest
from kube_objects import last_of_each_reason, read, read_list


def answers(monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | in_cluster.ApiError) -> None:
    def request(method: str, path: str) -> dict[str, Any]:
        assert (method, path) == ("GET", "/api/v1/pods")
        if isinstance(answer, in_cluster.ApiError):
            raise answer
        return answer

    monkeypatch.setattr(in_cluster, "request", request)


def event(uid: str, reason: str, **when: str | None) -> dict[str, Any]:
    return {"involvedObject": {"uid": uid, "kind": "Pod"}, "reason": reason, **when}


def test_an_object_and_a_list_are_given_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, {"items": [{"kind": "Pod"}]})
    assert read("/api/v1/pods") == {"items": [{"kind": "Pod"}]}
    assert read_list("/api/v1/pods") == [{"kind": "Pod"}]


@pytest.mark.parametrize("answer", [{}, {"items": None}, in_cluster.ApiError(404, "not found")], ids=str)
def test_a_list_without_objects_is_empty(
    monkeypatch: pytest.MonkeyPatch, answer: dict[str, Any] | in_cluster.ApiError
) -> None:
    answers(monkeypatch, answer)
    assert read_list("/api/v1/pods") == []


def test_an_object_that_does_not_exist_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    answers(monkeypatch, in_cluster.ApiError(404, "not found"))
    assert read("/api/v1/pods") is None


@pytest.mark.parametrize("status", [0, 403, 500])
def test_what_cannot_be_read_is_an_error_and_not_absent(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    answers(monkeypatch, in_cluster.ApiError(status, "no answer"))
    with pytest.raises(in_cluster.ApiError, match="no answer"):
        read("/api/v1/pods")
    with pytest.raises(in_cluster.ApiError, match="no answer"):
        read_list("/api/v1/pods")


def test_of_each_reason_the_last_event_is_kept_oldest_first() -> None:
    scheduled = event("a", "Scheduled", lastTimestamp=None, eventTime="2026-11-02T00:00:00Z")
    late, early = (event("a", "Failed", lastTimestamp=f"2026-11-0{day}T00:00:00Z") for day in (3, 1))
    assert last_of_each_reason([late, scheduled, early], "uid") == [scheduled, late]


def test_events_about_two_objects_are_one_where_the_field_is_the_same() -> None:
    first, second = (event(uid, "Failed", firstTimestamp=f"2026-11-0{uid}T00:00:00Z") for uid in "12")
    assert last_of_each_reason([second, first], "uid") == [first, second]
    assert last_of_each_reason([second, first], "kind") == [second]

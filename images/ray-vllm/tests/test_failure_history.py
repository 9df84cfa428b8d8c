from failure_history import Failed, FailureHistory


def test_delays_double_up_to_five_minutes() -> None:
    history = FailureHistory()
    assert [history.add(Failed("exit", reason)) for reason in "abcdefgh"] == [10, 20, 40, 80, 160, 300, 300, 300]


def test_failures_that_differ_in_numbers_are_the_same() -> None:
    history = FailureHistory()
    for pid in range(3):
        history.add(Failed("exit", f"pid {pid} died"))
    assert history.same == 3
    history.add(Failed("lost", "pid 3 died"))
    assert history.same == 1


def test_good_serving_clears_them() -> None:
    history = FailureHistory()
    history.add(Failed("exit", "x"))
    history.clear()
    assert history.add(Failed("exit", "x")) == 10
    assert history.same == 1

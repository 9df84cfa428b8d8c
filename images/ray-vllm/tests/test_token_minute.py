"""A minute's tokens, summed up over the processes that share a folder."""

import multiprocessing
import random
from pathlib import Path

from token_minute import TokenMinute

PROCESSES, ADDITIONS = 4, 500


def add_many(folder: Path) -> None:
    minute = TokenMinute(folder, lambda: 5_000.0)
    for _ in range(ADDITIONS):
        minute.add("team-a", 3)


def test_processes_count_in_one_sum(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=add_many, args=(tmp_path,)) for _ in range(PROCESSES)]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    counted = PROCESSES * ADDITIONS * 3
    minute = TokenMinute(tmp_path, lambda: 5_000.0)
    assert minute.seconds_until_below("team-a", counted + 1) == 0
    assert minute.seconds_until_below("team-a", counted) == 60


def test_it_is_what_a_list_of_all_additions_says(tmp_path: Path) -> None:
    numbers = random.Random(7)
    now = 10_000.0
    minute, added = TokenMinute(tmp_path, lambda: now), list[tuple[int, int]]()
    for _ in range(300):
        now += numbers.choice([0, 0.4, 1, 3, 20, 61])
        tokens, limit = numbers.randrange(1, 50), numbers.randrange(1, 300)
        minute.add("team-a", tokens)
        added.append((int(now), tokens))
        wanted = next(s for s in range(62) if sum(n for t, n in added if t > int(now) + s - 60) < limit)
        assert minute.seconds_until_below("team-a", limit) == wanted


def test_a_name_that_never_counted_has_its_whole_minute(tmp_path: Path) -> None:
    assert TokenMinute(tmp_path).seconds_until_below("team-a", 1) == 0

"""The rows of -g: sorted by total time, however many; and the recorder that hands them out."""

import time

import pytest

from opskit.bench import recorder, rows
from opskit.bench.recorder import Recorder, Row
from opskit.bench.rows import RowSpool

MS = 1_000_000


@pytest.mark.parametrize("in_memory", [2, 3, 1000])
def test_rows_come_back_by_total_time_from_memory_and_disk(
    monkeypatch: pytest.MonkeyPatch, in_memory: int
) -> None:
    monkeypatch.setattr(rows, "_SORTED_AT_ONCE", in_memory)
    spool = RowSpool()
    begun = time.monotonic_ns()
    for total in (9, 1, 5, 3, 7, 2, 2):
        spool.add(Row(begun=begun, connect=1 * MS, total=total * MS, wait=int(0.5 * MS)))
    lines = list(spool.lines())
    assert lines[0] == "starttime\tseconds\tctime\tdtime\tttime\twait\n"
    cells = [line.rstrip("\n").split("\t") for line in lines[1:]]
    assert [[int(cell) for cell in row[2:]] for row in cells] == [
        [1, total - 1, total, 1] for total in (1, 2, 2, 3, 5, 7, 9)
    ]


def test_a_start_is_said_in_words_and_seconds_that_agree() -> None:
    spool = RowSpool()
    for tenth in range(20):
        spool.add(Row(begun=time.monotonic_ns() + tenth * 100 * MS, connect=0, total=1, wait=0))
    for line in list(spool.lines())[1:]:
        words, seconds, *_ = line.split("\t")
        assert words == time.ctime(int(seconds))
        assert abs(int(seconds) - time.time()) < 10


def test_a_recorder_files_each_list_under_the_times_it_stands_for() -> None:
    taken = Recorder()
    taken.quick += [1, 2]  # one number is first byte, processing and total
    taken.once += [5]  # first byte and processing in one; total comes beside it
    taken.first_byte += [3]
    taken.processing += [4]
    taken.total += [10, 11]
    taken.connect += [6]
    taken.response += [20]
    taken.lag += [2]
    found = taken.latencies()
    counts = {name: (each.count, each.total) for name, each in found.named().items()}
    assert counts == {
        "connect": (1, 6), "tls": (0, 0), "ready": (0, 0), "first_byte": (4, 11), "processing": (4, 12),
        "total": (4, 24), "response": (1, 20), "lag": (1, 2), "loop": (0, 0),
    }  # fmt: skip
    assert taken.quick == taken.total == []
    assert taken.latencies() == found


def test_labels_are_counted_slowest_first_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorder, "MOST_LABELS", 2)
    taken = Recorder()
    for label, total in (("fast", 1), ("slow", 9), ("slow", 9), ("third", 4), ("fourth", 5), ("fast", None)):
        taken.labelled(label, total)
    assert [(each.label, each.total.count, each.failed) for each in taken.labels()] == [
        ("slow", 2, 0), (recorder.OTHER_LABELS, 2, 0), ("fast", 1, 1),
    ]  # fmt: skip

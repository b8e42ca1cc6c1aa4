"""Finished runs made by hand, for the reports to show."""

from dataclasses import replace

from opskit.bench.histogram import Histogram
from opskit.bench.results import Failure, FirstAnswer, LabelTimes, Latencies, Results, Run, Stop, TlsFacts

MS = 1_000_000


def histogram(*milliseconds: float) -> Histogram:
    made = Histogram()
    made.record([round(value * MS) for value in milliseconds])
    return made


PLAIN = Results(
    run=Run(
        url="http://127.0.0.1:8080/search?q=", scheme="http", host="127.0.0.1", port=8080, path="/search?q=",
        method="GET", concurrency=4, keep_alive=False, request_limit=30.0, started_at=1795351709.25,
        version="0.1.0",
    ),
    stop=Stop.FINISHED, planned=10, started=10, failures={}, status={200: 10}, seconds=0.125, cpu_share=0.5,
    received=2480, body=1000, sent=900, opened=10, reused=0, kept=0, resent=0, unsent=0,
    redirected=0, resumed=0, lower_bounds=0,
    latencies=Latencies(
        connect=histogram(*[0.4] * 9, 1.5),
        first_byte=histogram(*[2] * 5, *[3] * 4, 12.5),
        processing=histogram(*[2.5] * 5, *[4] * 4, 13),
        total=histogram(*[2.9] * 5, *[4.4] * 4, 14.5),
    ),
    first=FirstAnswer("nginx/1.22.1 (Debian)", 100),
)  # fmt: skip

KEPT = replace(
    PLAIN,
    run=replace(PLAIN.run, keep_alive=True),
    opened=4, reused=6, kept=10,
    latencies=replace(PLAIN.latencies, connect=histogram(1.0, 1.0, 1.0, 2.0)),
)  # fmt: skip

FAILING = replace(
    PLAIN,
    planned=1000, started=20,
    failures={
        Failure.REFUSED: 1, Failure.TLS: 1, Failure.RESET: 2, Failure.TRUNCATED: 1, Failure.LENGTH: 3,
        Failure.CUT_OFF: 2,
    },
    status={200: 6, 301: 4, 404: 3}, stop=Stop.TIME, reason="the server refused the connection",
)  # fmt: skip

POSTED = replace(PLAIN, run=replace(PLAIN.run, method="POST", body_sent=True, variable_length=True))

SECURE = replace(
    PLAIN,
    run=replace(PLAIN.run, scheme="https", host="example.org", port=443, path="/", url="https://example.org/"),
    tls=TlsFacts("TLSv1.3", "TLS_AES_256_GCM_SHA384", 2048, 256, "example.org"),
    latencies=replace(PLAIN.latencies, tls=histogram(*[3.0] * 10), ready=histogram(*[3.4] * 9, 4.5)),
)

SILENT = replace(
    PLAIN,
    started=40, planned=1000, failures={Failure.REFUSED: 40}, status={}, stop=Stop.DEAD, received=0, body=0,
    sent=0, opened=0, latencies=Latencies(), first=None, reason="http://127.0.0.1:8080 refused the connection",
)  # fmt: skip

LABELLED = replace(
    PLAIN,
    run=replace(PLAIN.run, requests_file="requests.jsonl", proxy="proxy:3128"),
    requests_file={"lines": 3, "encoded": 1, "skipped": 0, "wrapped": 3},
    labels=(LabelTimes("slow <one>", 1, histogram(4, 5)), LabelTimes("fast", 0, histogram(1, 2, 3))),
)

RUNS = {
    "plain": PLAIN, "kept": KEPT, "failing": FAILING, "posted": POSTED, "secure": SECURE, "silent": SILENT,
    "labelled": LABELLED,
}  # fmt: skip

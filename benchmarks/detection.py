"""How long a look at 5,000 series of 400 nights takes, on one core and on two; and at one more night of each."""

import json
import time
from concurrent.futures import ProcessPoolExecutor

import numpy as np

from assay.runner.regressions.detection.detect import changes, known_tonight
from assay.runner.regressions.detection.histories import KINDS, nights

SERIES = 5000
NIGHTS = 400


def history(number: int) -> list[float]:
    """A series with a step of 8 % somewhere, in one of the seven noises."""
    generator = np.random.default_rng(number)
    y = nights(KINDS[number % len(KINDS)], NIGHTS, generator)
    y[int(generator.integers(50, 350)) :] += np.log(1.08)
    return [float(v) for v in np.exp(y)]


def looked_back(numbers: range) -> float:
    """CPU seconds of hindsight."""
    series = [history(number) for number in numbers]
    start = time.process_time()
    for values in series:
        changes(values)
    return time.process_time() - start


def tonight(numbers: range) -> float:
    """CPU seconds of what a nightly job does with the newest 100 nights of each."""
    series = [history(number)[-100:] for number in numbers]
    start = time.process_time()
    for values in series:
        known_tonight(values)
    return time.process_time() - start


def main() -> None:
    every = range(SERIES)
    with ProcessPoolExecutor(2) as pool:
        start = time.perf_counter()
        back = list(pool.map(looked_back, (every[::2], every[1::2])))
        wall = time.perf_counter() - start
        night = list(pool.map(tonight, (every[::2], every[1::2])))
    facts = {
        "benchmark": "detection",
        "series": SERIES,
        "nights": NIGHTS,
        "hindsight_cpu_s": sum(back),
        "hindsight_wall_s_2_cores": wall,
    }
    print(json.dumps({**facts, "tonight_cpu_s": sum(night), "targets": {"hindsight_wall_s": 60, "tonight_s": 5}}))


if __name__ == "__main__":
    main()

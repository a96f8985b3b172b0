"""Made-up histories: nights of a figure with the noises that benchmarks have.

For telling what a detector costs and finds. Seeded.

ln(value) = level + what differs from night to night. Kinds of noise: `plain`, `spikes` (single bad nights), `modes` (a
second level that comes and goes), `quiet-loud` (stretches of other spread), `dependent` (AR(1)), `grid` (rounded
values), `skewed` (a long tail).
"""

from __future__ import annotations

import numpy as np

from assay.runner.tensors import Array

KINDS = ("plain", "spikes", "modes", "quiet-loud", "dependent", "grid", "skewed")


def nights(kind: str, count: int, generator: np.random.Generator) -> Array:
    """ln(value) of nights in which nothing changed; the spread of a night is drawn between 0.3 and 6 %.

    Raises:
        ValueError: there is no such kind.
    """
    if kind not in KINDS:
        raise ValueError(f"there is no kind of noise {kind!r}; there are {', '.join(KINDS)}")
    spread = float(np.exp(generator.uniform(np.log(0.003), np.log(0.06))))
    noise = spread * generator.normal(size=count)
    if kind == "spikes":
        noise += (generator.random(count) < 0.05) * generator.uniform(0.1, 1.0, count)
    elif kind == "modes":
        stays = generator.choice([0.0, 0.7])
        other = generator.random() < 0.3
        for night in range(count):
            other = other if generator.random() < stays else generator.random() < 0.3
            noise[night] += 6 * spread * other
    elif kind == "quiet-loud":
        noise *= np.repeat(generator.choice([1.0, 4.0], size=count // 10 + 1), 10)[:count]
    elif kind == "dependent":
        rho = generator.uniform(0.4, 0.8)
        for night in range(1, count):
            noise[night] = rho * noise[night - 1] + np.sqrt(1 - rho**2) * noise[night]
    elif kind == "grid":
        step = 1.5 * spread
        noise = np.round(noise / step) * step
    elif kind == "skewed":
        noise = spread * (generator.exponential(size=count) - 1)
    return np.asarray(noise)


def resampled(history: Array, count: int, generator: np.random.Generator) -> Array:
    """Nights drawn from a history's in blocks of about its cube root (moving blocks, Kuensch 1989).

    Its spread and its dependence, without its order.

    Raises:
        ValueError: the history is empty.
    """
    if not len(history):
        raise ValueError("a history without nights cannot be resampled")
    block = max(1, round(len(history) ** (1 / 3)))
    starts = generator.integers(0, len(history) - block + 1, size=count // block + 1)
    return np.concatenate([history[start : start + block] for start in starts])[:count]

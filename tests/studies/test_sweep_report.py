"""The table over seeds has Student's intervals; the figures draw what the trials found."""

import numpy as np
import pytest
from scipy import stats

from minivae.studies.sweep_report import over_seeds, sweep_figure, sweep_rate_figure, varied, write_report


def rows_of(settings, values):
    return [
        s
        | {"status": "early", "test_elbo": v, "test_elbo_standard_error": 9.0, "test_kl": 2.0, "test_log_lik": v + 2.0}
        for s, v in zip(settings, values, strict=True)
    ]


SETTINGS = [{"beta": b, "posterior": p, "seed": s} for b in (0.5, 4.0) for p in ("diagonal", None) for s in range(4)]


def test_means_and_intervals_are_students(rng):
    values = rng.normal(-20, 3, 16)
    rows = rows_of(SETTINGS, values)
    table = over_seeds(rows, ["beta", "posterior"], level=0.9)
    assert [(t["beta"], t["posterior"], t["trials"], t["failed"]) for t in table] == [
        *((0.5, "diagonal", 4, 0), (0.5, None, 4, 0), (4.0, "diagonal", 4, 0), (4.0, None, 4, 0))
    ]
    for t, group in zip(table, values.reshape(4, 4), strict=True):
        low, high = stats.t.interval(0.9, 3, group.mean(), stats.sem(group))
        assert (t["elbo"], t["elbo_low"], t["elbo_high"]) == pytest.approx((group.mean(), low, high), rel=1e-12)
        assert "elbo_standard_error" not in t


def test_the_interval_covers_the_mean_as_often_as_it_says(rng):
    n = 4000
    rows = rows_of([{"g": i // 3, "seed": i % 3} for i in range(3 * n)], rng.standard_normal(3 * n))
    hits = np.mean([t["elbo_low"] <= 0 <= t["elbo_high"] for t in over_seeds(rows, ["g"], level=0.8)])
    assert abs(hits - 0.8) < 5 * np.sqrt(0.8 * 0.2 / n)


def test_failures_are_counted_and_left_out():
    rows = rows_of([{"beta": 1.0, "seed": s} for s in range(3)], [-1.0, -3.0, -100.0])
    rows[2]["status"] = "failed"
    rows[2]["test_elbo"] = None
    line = over_seeds(rows, ["beta"])[0]
    assert (line["trials"], line["failed"], line["elbo"]) == (3, 1, -2.0)
    alone = over_seeds(rows[:1], ["beta"])[0]
    assert (alone["elbo"], alone["elbo_low"]) == (-1.0, None)
    none = over_seeds([rows[2]], ["beta"])[0]
    assert none["elbo"] is None


def test_what_varies():
    rows = rows_of(SETTINGS, np.zeros(16))
    assert varied(rows, ["beta", "posterior", "seed"]) == ["beta", "posterior"]


def test_the_figure_has_a_line_for_each_group_at_its_values(rng):
    rows = rows_of(SETTINGS, rng.normal(-20, 1, 16))
    axes = sweep_figure(rows, ["beta", "posterior"]).axes[0]
    table = over_seeds(rows, ["beta", "posterior"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("beta", "test ELBO, nats per example")
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["posterior diagonal", "posterior None"]
    for container, name in zip(axes.containers, ("diagonal", None), strict=True):
        x, y = container[0].get_data()
        assert list(x) == [0.5, 4.0]
        assert list(y) == [t["elbo"] for t in table if t["posterior"] == name]


def test_words_stand_one_after_the_other():
    rows = rows_of([{"posterior": p} for p in ("bits", None, "full")], [-1.0, -2.0, -3.0])
    axes = sweep_figure(rows, ["posterior"]).axes[0]
    assert [t.get_text() for t in axes.get_xticklabels()] == ["bits", "none", "full"]


def test_rate_and_distortion_stand_where_they_are():
    rows = rows_of([{"beta": b, "seed": 0} for b in (4.0, 1.0)], [-10.0, -8.0])
    rows[0] |= {"test_kl": 1.0, "test_log_lik": -9.0}
    rows[1] |= {"test_kl": 3.0, "test_log_lik": -5.0}
    axes = sweep_rate_figure(rows, ["beta"]).axes[0]
    rate, distortion = axes.lines[0].get_data()
    assert (list(rate), list(distortion)) == ([3.0, 1.0], [5.0, 9.0])
    assert [t.get_text() for t in axes.texts] == ["β = 1", "β = 4"]
    ends, best = axes.lines[1].get_data()
    assert list(ends + best) == [8.0, 8.0]  # along it the ELBO is the best, -8


def test_autoencoders_and_seeds_alone_are_drawn_too(tmp_path):
    rows = [{"seed": s, "status": "finished", "test_log_lik": -1.0 - s} for s in range(2)]
    table, paths = write_report(rows, ["seed"], tmp_path)
    assert (table[0]["log_lik"], [p.rsplit("/", 1)[-1] for p in paths]) == (-1.5, ["sweep.png"])
    failed = [{"beta": b, "status": "failed"} for b in (1.0, 2.0)]
    assert write_report(failed, ["beta"], tmp_path)[1] == []

"""Intervals by hand, and against scipy."""

from __future__ import annotations

import math

import pytest
from scipy import stats

from gendistill.evaluation.comparing.significance import Interval, agreement, independent, paired
from gendistill.types import UserError

OURS, THEIRS = [46.0, 44.0, 47.0, 45.0], [44.0, 43.0, 44.0, 43.0]  # apart by 2, 1, 3, 2


def test_the_t_interval_by_hand() -> None:
    found = paired(OURS, THEIRS)
    error = math.sqrt(2 / 3) / math.sqrt(4)  # squared distances from 2 are 0, 1, 1, 0, over n - 1
    assert (found.mean, found.n) == (2.0, 4) and found.std == pytest.approx(math.sqrt(2 / 3))
    assert found.t.low == pytest.approx(2 - 3.182446 * error) and found.t.high == pytest.approx(2 + 3.182446 * error)
    assert found.significant and 2.0 in found.t


def test_it_is_the_paired_t_test() -> None:
    theirs = stats.ttest_rel(OURS, THEIRS)
    assert paired(OURS, THEIRS).p == pytest.approx(theirs.pvalue)
    assert paired(OURS, THEIRS, level=0.9).t.low == pytest.approx(theirs.confidence_interval(0.9).low)


def test_what_a_seed_brings_to_both_falls_out() -> None:
    luck = [0.0, 30.0, -10.0, 5.0]
    lucky = paired(*([a + b for a, b in zip(each, luck, strict=True)] for each in (OURS, THEIRS)))
    assert lucky.t.low == pytest.approx(paired(OURS, THEIRS).t.low)


def test_the_bootstrap_is_of_means_of_what_was_seen() -> None:
    found = paired([3.0, 0.0], [0.0, 0.0])  # means of two of {3, 0}: 0, 1.5, 1.5, 3
    assert (found.bootstrap.low, found.bootstrap.high) == (0.0, 3.0)
    assert paired([3.0, 0.0], [0.0, 0.0], level=0.4).bootstrap == Interval(1.5, 1.5)
    assert paired(OURS, THEIRS) == paired(OURS, THEIRS)
    assert paired(OURS, THEIRS, seed=1, draws=50).bootstrap != paired(OURS, THEIRS, seed=0, draws=50).bootstrap


def test_turned_around_it_is_the_same_with_another_sign() -> None:
    one, other = paired(OURS, THEIRS), paired(THEIRS, OURS)
    assert (one.mean, one.p) == (-other.mean, other.p)
    assert one.t.low == pytest.approx(-other.t.high) and one.bootstrap.low == pytest.approx(-other.bootstrap.high)


def test_differences_that_are_all_alike() -> None:
    alike = paired([2.0, 3.0], [1.0, 2.0])
    assert (alike.mean, alike.p, alike.significant) == (1.0, 1.0, False)  # two equal numbers say nothing of chance
    assert str(alike) == "+1.0 each time, so that there is no interval, n = 2"
    assert paired([2.0, 3.0], [2.0, 3.0]).p == 1.0 and not paired([2.0, 3.0], [2.0, 3.0]).significant


def test_spearman_by_hand() -> None:
    quick, full = [10.0, 20.0, 30.0, 40.0], [1.0, 3.0, 2.0, 4.0]  # squared rank differences add up to 2
    assert agreement(quick, full).rho == pytest.approx(1 - 6 * 2 / (4 * 15))
    tied = [1.0, 2.0, 2.0, 4.0]
    assert agreement(quick, tied).rho == pytest.approx(stats.spearmanr(quick, tied).statistic)


def test_the_interval_of_spearman_holds_it_and_narrows_with_more_sets() -> None:
    few = agreement([1, 2, 3, 4, 5, 6], [2, 1, 4, 3, 6, 5])
    many = agreement(list(range(60)), [place + 37 * place % 20 for place in range(60)])
    assert few.rho in few.bootstrap and many.rho in many.bootstrap
    assert few.bootstrap.high - few.bootstrap.low > 5 * (many.bootstrap.high - many.bootstrap.low)
    same = agreement([1, 2, 3], [4, 5, 6])  # a ninth of all resamples hold one value only
    assert (same.rho, same.bootstrap.low, same.bootstrap.high) == pytest.approx((1, 1, 1))


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: paired([1.0], [2.0]), "at least 2"),
        (lambda: paired([1.0, 2.0], [2.0]), "2 and 1 numbers do not pair up"),
        (lambda: paired([1.0, float("nan")], [2.0, 3.0]), "not finite"),
        (lambda: paired([1.0, 2.0], [2.0, 3.0], level=95), r"level in \(0, 1\)"),
        (lambda: agreement([1.0, 2.0], [2.0, 3.0]), "at least 3"),
        (lambda: agreement([1.0, 1.0, 1.0], [2.0, 3.0, 4.0]), "in no order"),
    ],
)
def test_numbers_that_say_nothing_are_refused(call, says) -> None:
    with pytest.raises(UserError, match=says):
        call()


def test_students_of_a_set_are_one_draw_of_it() -> None:
    # Sets 0, 1, 0, 1: means 2.5 and 1.5 of the differences 2, 1, 3, 2.
    found = paired(OURS, THEIRS, sets=[0, 1, 0, 1])
    alone = paired([2.5, 1.5], [0.0, 0.0])
    assert (found.mean, found.std, found.n, found.t) == (alone.mean, alone.std, 2, alone.t)
    assert found.sets == 2 and str(found).endswith("n = 2 sets") and str(alone).endswith("n = 2")
    assert not found.significant and paired(OURS, THEIRS).significant


def test_one_set_is_told_to_be_one() -> None:
    found = paired(OURS, THEIRS, sets=[3] * 4)
    assert found.t == paired(OURS, THEIRS).t and found.n == 4
    assert str(found).endswith("n = 4, one set: says nothing of another seed")
    with pytest.raises(UserError, match="one for every pair"):
        paired(OURS, THEIRS, sets=[0, 1])


def test_pairs_with_a_set_in_common_are_of_one_unit() -> None:
    def count(ours: int, theirs: int, n: int = 6) -> int:
        return len(set(independent([(seed % ours, seed % theirs) for seed in range(n)])))

    assert [count(1, 6), count(6, 6), count(3, 6), count(2, 3), count(2, 4)] == [1, 6, 3, 1, 2]

"""Batches of images: bounded, complete, and hardly moved by an image that comes or goes."""

from hypothesis import given
from hypothesis import strategies as st

from neurocwl.batches import FIRST, batches

PATHS = st.sets(st.text("abc/_-. é\udc80", min_size=1, max_size=6), max_size=120)
MOST = st.integers(1, 12)

Batches = dict[str, tuple[str, ...]]


def cut(paths: set[str], most: int) -> Batches:
    found = batches(sorted(paths), str, most)
    assert len({name for name, _ in found}) == len(found), "no two have one name"
    return dict(found)


@given(PATHS, MOST)
def test_every_path_is_in_one_batch_in_order_and_none_is_too_long(paths: set[str], most: int) -> None:
    found = cut(paths, most)
    assert [path for members in found.values() for path in members] == sorted(paths)
    assert all(1 <= len(members) <= most for members in found.values())


@given(PATHS, MOST, st.randoms())
def test_the_order_of_a_listing_does_not_matter(paths: set[str], most: int, random: object) -> None:
    shuffled = list(paths)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert dict(batches(shuffled, str, most)) == cut(paths, most)


@given(PATHS, st.text("abc/_-. é", min_size=1, max_size=6), MOST)
def test_a_path_that_comes_or_goes_changes_a_bounded_part(paths: set[str], new: str, most: int) -> None:
    without, with_it = cut(paths - {new}, most), cut(paths | {new}, most)
    for old, now in ((without, with_it), (with_it, without)):
        changed = [members for name, members in now.items() if old.get(name) != members]
        assert sum(map(len, changed)) <= 2 * most + 1


@given(st.sets(st.integers(0, 10_000), min_size=200, max_size=400))
def test_most_often_one_batch_changes(numbers: set[int]) -> None:
    paths = {f"plate/{number:05}.tif" for number in numbers}
    old, changed = cut(paths, 20), 0
    for new in range(100):
        now = cut(paths | {f"plate/{new * 97:05}_new.tif"}, 20)
        changed += sum(old.get(name) != members for name, members in now.items())
    assert changed < 200, "fewer than two of some thirty on the average"


@given(PATHS.filter(bool), MOST)
def test_the_first_batch_keeps_its_name_whatever_comes_before(paths: set[str], most: int) -> None:
    assert next(iter(cut(paths | {"\x01"}, most))) == next(iter(cut(paths, most))) == FIRST


def test_a_batch_is_called_after_its_first_path() -> None:
    paths = {f"{number:03}.tif" for number in range(100)}
    known = {members[0]: name for name, members in cut(paths, 10).items() if name != FIRST}
    later = {members[0]: name for name, members in cut(paths | {"0505.tif"}, 10).items()}
    assert len(known) > 5
    assert all(later[first] == name for first, name in known.items() if first in later)

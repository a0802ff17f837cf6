"""The list of objects that every store must give (see `consilo.store.port`)."""

import pytest

from consilo.store.errors import InvalidKey
from consilo.store.keys import unique_key
from consilo.store.local import wall_clock
from tests.contract.stores import StoreUnderTest
from tests.contract.test_object_store import put, stored


def listed(store: StoreUnderTest, limit: int, after: str = "") -> list[str]:
    """Keys of all objects after one, page by page."""
    found: list[str] = []
    following: str | None = after
    while following is not None:
        page = store.adapter.list(following, limit)
        assert len(page.objects) <= limit
        found += [each.key for each in page.objects]
        following = page.next
    return found


def test_all_objects_are_listed_once_in_the_order_of_their_keys(store: StoreUnderTest) -> None:
    top = unique_key("listed")
    # A file beside a directory of almost the same name: "-" and "." come before "/", digits come after it.
    keys = [f"{top}/{name}" for name in ("a/1", "a/2", "a-b", "a.b", "a0", "b/c/d", "b/e", "z", "_")]
    for key in keys:
        put(store, store.adapter.sign_put(key, 3, 60), b"abc")
    for limit in (1, 2, 4, 1000):
        found = listed(store, limit, after=top)
        assert [key for key in found if key.startswith(top)] == sorted(keys)
    assert listed(store, 3) == sorted(set(listed(store, 1000)))
    assert [key for key in listed(store, 2, after=f"{top}/a/1") if key.startswith(top)] == [
        f"{top}/{name}" for name in ("a/2", "a0", "b/c/d", "b/e", "z")
    ]


def test_a_list_tells_size_and_time_and_forgets_what_was_deleted(store: StoreUnderTest) -> None:
    before = wall_clock()
    key = stored(store, b"weights")
    (found,) = (each for each in store.adapter.list("", 1000).objects if each.key == key)
    assert found.size_bytes == 7
    assert before - 2_000 <= found.modified_at <= wall_clock() + 2_000  # S3 tells whole seconds
    store.adapter.delete(key)
    assert key not in listed(store, 1000)


@pytest.mark.parametrize("limit", [0, -1, 1001])
def test_a_list_has_a_bounded_number_of_objects_a_page(store: StoreUnderTest, limit: int) -> None:
    with pytest.raises(ValueError, match="1 to 1000"):
        store.adapter.list("", limit)


@pytest.mark.parametrize("after", ["../a", "A", "a&limit=9", "a b"])
def test_a_list_goes_on_after_a_key_only(store: StoreUnderTest, after: str) -> None:
    with pytest.raises(InvalidKey):
        store.adapter.list(after, 10)

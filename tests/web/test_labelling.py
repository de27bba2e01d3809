"""Which photos are asked about, what the labels say, and that nobody is asked what another is."""

from typing import Any

from starlette.testclient import TestClient

from aliens.library import Library
from search.tags.labelling import LEASE_S, LabellingDesk

BATHTUB = {"vocabulary": "case-study", "tag": "a bathtub"}


def asked(client: TestClient, tab: str, **more: object) -> dict[str, object]:
    answer = client.get("/api/v1/labelling", params={**BATHTUB, "tab": tab, **more})
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def ids(state: dict[str, object]) -> list[int]:
    return [each["photo_id"] for each in state["next"]]  # type: ignore[attr-defined, index]


def test_two_tabs_are_asked_about_different_photos(own_client: TestClient) -> None:
    first, second = asked(own_client, "one"), asked(own_client, "two")
    assert len(ids(first)) == len(ids(second)) == 4
    assert not set(ids(first)) & set(ids(second))
    assert ids(asked(own_client, "one")) == ids(first)  # a tab that comes back goes on where it was


def test_labels_are_kept_and_taken_back(own_library: Library, own_client: TestClient) -> None:
    photo = ids(asked(own_client, "one"))[0]
    address = f"/api/v1/photos/{photo}/labels"
    for present, counts in ((True, (1, 0)), (False, (0, 1)), (None, (0, 0))):
        said = own_client.post(address, json={**BATHTUB, "present": present, "tab": "one"})
        assert said.status_code == 200
        state = asked(own_client, "one")
        assert (state["yes"], state["no"]) == counts
        assert (photo in ids(state)) == (present is None)
    assert photo not in ids(asked(own_client, "two", count=50))
    skipped = ids(asked(own_client, "one"))[1]
    assert skipped not in ids(asked(own_client, "one", skipped=skipped))
    assert skipped not in ids(asked(own_client, "two", count=50))
    asked(own_client, "one", skipped=10**9)  # of a photo that there is not nothing is kept
    assert list(own_library._desk._lent["bathtub"].skipped) == [skipped]
    assert own_client.get("/api/v1/labelling", params={**BATHTUB, "skipped": 1 << 63}).status_code == 422
    known = own_library.tags_of(photo, "case-study")
    assert all(tag.by_hand is None for tag in known)


def test_labels_say_what_learning_from_them_decides(own_library: Library, own_client: TestClient) -> None:
    truth = {hit.photo_id for hit in own_library.search("a bathtub", k=30)}
    state = asked(own_client, "one")
    assert (state["expected"], state["brought"], state["taught"]) == (None, None, 0)
    assert state["photos_taught"] == state["photos"]
    while int(str(state["yes"])) + int(str(state["no"])) < 40:
        for photo in ids(state):
            own_library.label(photo, "a bathtub", photo in truth)
        state = asked(own_client, "one")
    assert 0 < float(str(state["expected"])) <= 1
    brought: dict[str, float] = state["brought"]  # type: ignore[assignment]
    assert (brought["yes"] + brought["no"], brought["clear"]) == (40, brought["low"] > 0 or brought["high"] < 0)
    own_client.post("/tags/start", data={"vocabulary": "case-study", "calibrate": "labels"})
    look = own_library.look_at_tags("case-study").tag("a bathtub")
    decided = sum(look.histogram[32:]) + sum(look.said_yes[32:]) + sum(look.said_no[32:])
    assert decided == state["photos_taught"]
    now = asked(own_client, "one")
    assert (now["taught"], now["photos"]) == (40, decided)
    page = own_client.get("/tags/tag", params=BATHTUB).text
    assert "Decided by your 40 labels." in page


def test_whole_photos_are_labelled_and_taken_back(own_library: Library, own_client: TestClient) -> None:
    def asked_whole(tab: str) -> dict[str, Any]:
        params = {"vocabulary": "case-study", "tab": tab, "count": 2}
        return own_client.get("/api/v1/labelling/photos", params=params).json()  # type: ignore[no-any-return]

    first, other = asked_whole("one"), asked_whole("two")
    assert not {each["photo_id"] for each in first["next"]} & {each["photo_id"] for each in other["next"]}
    (photo, _), names = first["next"], own_library.vocabulary("case-study").names
    assert [each["tag"] for each in photo["tags"]] == names  # few tags: each has its place
    own_library.label(photo["photo_id"], "a pool", False)
    said = {name: name in ("a pool", "a table") for name in names}
    address = f"/api/v1/photos/{photo['photo_id']}/labels"
    before = own_client.put(address, json={"said": said, "vocabulary": "case-study", "tab": "one"}).json()["before"]
    assert before == {name: False if name == "a pool" else None for name in names}
    state = asked_whole("one")
    assert (state["photos"], state["yes"], state["no"], state["tags"]) == (1, 2, 13, 15)
    assert photo["photo_id"] not in [each["photo_id"] for each in state["next"]]
    again = {"said": before, "vocabulary": "case-study", "again": True, "tab": "one"}
    own_client.put(address, json=again).raise_for_status()
    state = asked_whole("one")
    assert (state["photos"], state["yes"], state["no"]) == (0, 0, 1)
    assert state["next"][0]["photo_id"] == photo["photo_id"]
    unknown = own_client.put(address, json={"said": {"a pool": True, "a pol": True}, "vocabulary": "case-study"})
    assert unknown.status_code == 422
    assert own_library.labels_of(photo["photo_id"], "case-study") == {"a pool": False}  # all or nothing
    assert own_client.put("/api/v1/photos/999999/labels", json={"said": {}}).status_code == 404
    most = own_client.get("/api/v1/labelling/photos", params={"vocabulary": "hotel", "count": 1}).json()
    chances = [each["probability"] for each in most["next"][0]["tags"]]
    assert (len(chances), chances) == (20, sorted(chances, reverse=True))


def test_what_cannot_be_labelled_is_said(own_client: TestClient) -> None:
    for params, words in (
        ({"tag": "nothing", "vocabulary": "hotel"}, "no tag"),
        ({"tag": "a bathtub", "vocabulary": "nope"}, "not tagged"),
    ):
        answer = own_client.get("/api/v1/labelling", params=params)
        assert answer.status_code == 422
        assert words in answer.json()["detail"]
    for photo, status in ((999_999, 404), (0, 422), (2**63, 422)):
        answer = own_client.post(f"/api/v1/photos/{photo}/labels", json={"tag": "a bathtub", "present": True})
        assert answer.status_code == status
    answer = own_client.post("/api/v1/photos/1/labels", json={"tag": "nothing", "present": True})
    assert answer.status_code == 422


def test_a_photo_that_a_tab_has_left_comes_back(own_library: Library) -> None:
    now = [0.0]
    desk = LabellingDesk(lambda: now[0])
    with own_library._tagging("case-study") as (session, tagging):
        first, _ = desk.ask(session, tagging, "a bathtub", tab="one", count=4)
        second, _ = desk.ask(session, tagging, "a bathtub", tab="two", count=4)
        assert not set(first) & set(second)
        now[0] = LEASE_S + 1
        again, _ = desk.ask(session, tagging, "a bathtub", tab="two", count=4)
        assert set(again) & set(first)

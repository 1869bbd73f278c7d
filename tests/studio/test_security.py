"""hdmatt.studio.security: strangers are refused, each for its own reason."""

import pytest
import small_network
import studio_scene
from starlette.testclient import TestClient
from studio_scene import ACCESS, ADDRESS

from hdmatt.studio.opened import Choice
from hdmatt.studio.security import MOST_BYTES, Access
from hdmatt.studio.server import app
from hdmatt.studio.studio import Studio


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("security")
    (folder / "root").mkdir()
    picture, _ = studio_scene.files(folder)
    (folder / "other.png").write_bytes(picture.read_bytes())
    (folder / "root" / "below.png").write_bytes(picture.read_bytes())
    (folder / "root" / "link.png").symlink_to(folder / "other.png")
    choice = Choice(studio_scene.OPTIONS, small_network.network(), automatic=False)
    studio = Studio([picture], root=folder / "root", choice=choice)
    with TestClient(app(studio, ACCESS), base_url=ADDRESS, follow_redirects=False) as client:
        yield client


def get(client, path="/api/pictures", cookie=ACCESS.token, **headers):
    given = {"cookie": f"{ACCESS.cookie}={cookie}"} if cookie else {}
    return client.get(path, headers={**given, **{name.replace("_", "-"): value for name, value in headers.items()}})


def test_the_page_of_the_one_who_started_it_is_answered(client):
    answer = get(client, origin=ADDRESS, sec_fetch_site="same-origin")
    assert answer.status_code == 200 and answer.json()[0]["name"] == "picture.png"
    assert get(client, host="localhost:8123").status_code == 200
    assert get(client, host="[::1]:8123").status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example:8123", "127.0.0.1:8124", "127.0.0.1", "localhost.evil.example:8123", ""]
)
def test_another_name_for_this_server_is_misdirected(client, host):
    assert get(client, host=host).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:8124", "null", "file://127.0.0.1:8123"])
def test_another_page_is_refused_by_its_origin(client, origin):
    assert get(client, origin=origin).status_code == 403


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_another_page_is_refused_by_where_the_browser_says_it_comes_from(client, site):
    assert get(client, sec_fetch_site=site).status_code == 403


@pytest.mark.parametrize("cookie", ["", "wrong", "ü"])
def test_who_does_not_have_the_cookie_is_unknown(client, cookie):
    assert client.get("/", headers={"cookie": f"{ACCESS.cookie}={cookie}".encode()}).status_code == 401
    assert client.get("/static/main.js").status_code == 401
    assert client.get("/?token=wrong").status_code == 401


def test_the_token_is_exchanged_for_a_cookie_that_scripts_and_other_sites_do_not_get(client):
    answer = client.get(f"/?token={ACCESS.token}", headers={"sec-fetch-site": "none"})
    client.cookies.clear()
    assert answer.status_code == 303 and answer.headers["location"] == "/"
    cookie = answer.headers["set-cookie"]
    assert (
        cookie.startswith(f"{ACCESS.cookie}={ACCESS.token};") and "HttpOnly" in cookie and "SameSite=strict" in cookie
    )


def test_large_bodies_and_those_of_unknown_length_are_refused(client):
    cookie = {"cookie": f"{ACCESS.cookie}={ACCESS.token}"}
    assert client.post("/api/pictures", content=bytes(MOST_BYTES + 1), headers=cookie).status_code == 413
    assert client.post("/api/pictures", content=iter([b"{}"]), headers=cookie).status_code == 411


def test_only_named_files_and_those_below_the_root_are_opened(client):
    def opened(path):
        headers = {"cookie": f"{ACCESS.cookie}={ACCESS.token}"}
        return client.post("/api/pictures", json={"path": path}, headers=headers)

    first, again = (opened(path).json()["id"] for path in ("below.png", "../root/below.png"))
    assert first == again and [one["id"] for one in get(client).json()][1:] == [first]
    for path in ("../other.png", "link.png", "/etc/passwd", "\0", "", "no-such.png"):
        assert opened(path).status_code == 403, path


def test_every_answer_has_the_headers_that_keep_others_out(client):
    for answer in (get(client), get(client, cookie=""), get(client, "/api/nothing"), get(client, host="evil")):
        assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self'")
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cross-origin-resource-policy"] == "same-origin"
        assert answer.headers["cross-origin-opener-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"


def test_a_server_for_everybody_is_called_by_numbers_and_its_own_name_only():
    everywhere = Access(port=80, host="0.0.0.0")
    assert everywhere.knows("192.168.1.7:80") and everywhere.knows("192.168.1.7")
    assert not everywhere.knows("evil.example:80") and not everywhere.knows("192.168.1.7:81")
    assert "token=" in everywhere.address and everywhere.token not in repr(everywhere)


@pytest.mark.parametrize(("path", "headers"), [("/?token=wrong", {}), ("/", {"host": "evil.example:8123"})])
def test_who_opens_a_wrong_address_in_a_browser_sees_a_page_that_says_what_to_do(client, path, headers):
    asked = {"accept": "text/html,application/xhtml+xml", **headers}
    answer, plain = client.get(path, headers=asked), client.get(path, headers={"accept": "*/*", **headers})
    assert answer.status_code == plain.status_code in (401, 421)
    assert answer.headers["content-type"].startswith("text/html") and "<h1>" in answer.text
    assert plain.json()["message"] in answer.text and "that the terminal printed" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]

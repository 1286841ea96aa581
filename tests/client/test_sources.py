"""Files, folders, globs and stdin as sources of images."""

from __future__ import annotations

import io
import os
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sightline.errors import UnreadableImageError
from sightline.sources import Sources, is_image_name

FILES = ["a.jpg", "b.PNG", "notes.txt", ".hidden.jpg", "sub/c.jpeg", "sub/deep/d.webp", "sub/.git/e.jpg", "z/f.jpg"]


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `photos` with pictures at several depths, in the working folder."""
    for name in FILES:
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "photos"


def problems(sources: Sources) -> list[tuple[str, str]]:
    assert all(isinstance(problem.error, UnreadableImageError) for problem in sources.problems)
    return [(str(problem.source), str(problem.error)) for problem in sources.problems]


def found(*arguments: str) -> list[str]:
    return [path.replace(os.sep, "/") for path in Sources(arguments)]


def test_nothing_named() -> None:
    sources = Sources([])
    assert list(sources) == []
    assert sources.count() == 0


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("photos", ["a.jpg", "b.PNG", "sub/c.jpeg", "sub/deep/d.webp", "z/f.jpg"]),
        ("photos/", ["a.jpg", "b.PNG", "sub/c.jpeg", "sub/deep/d.webp", "z/f.jpg"]),
        ("photos/a.jpg", ["a.jpg"]),
        ("photos/notes.txt", ["notes.txt"]),
        ("photos/.hidden.jpg", [".hidden.jpg"]),
        ("photos/*", ["a.jpg", "b.PNG"]),
        ("photos/*.jpg", ["a.jpg"]),
        ("photos/*.txt", ["notes.txt"]),
        ("photos/.*.jpg", [".hidden.jpg"]),
        ("photos/[ab].*", ["a.jpg", "b.PNG"]),
        ("photos/**", ["a.jpg", "b.PNG", "sub/c.jpeg", "sub/deep/d.webp", "z/f.jpg"]),
        ("photos/**/*.jpg", ["a.jpg", "z/f.jpg"]),
        ("photos/**/deep/*", ["sub/deep/d.webp"]),
        ("photos/*/*.jp*g", ["sub/c.jpeg", "z/f.jpg"]),
        ("photos/s*/../z/?.jpg", ["sub/../z/f.jpg"]),
        ("*/a.jpg", ["a.jpg"]),
        ("**/f.jpg", ["z/f.jpg"]),
    ],
)
def test_what_an_argument_stands_for(argument: str, expected: list[str]) -> None:
    assert found(argument) == [f"photos/{name}" for name in expected]
    assert Sources([argument]).count() == len(expected)


def test_absolute_patterns(photos: Path) -> None:
    assert found(f"{photos}/**/*.webp") == [f"{photos}/sub/deep/d.webp".replace(os.sep, "/")]


@pytest.mark.usefixtures("photos")
def test_paths_stay_as_the_user_wrote_them() -> None:
    assert found("./photos/z", "photos/../photos/z") == ["./photos/z/f.jpg", "photos/../photos/z/f.jpg"]


@pytest.mark.usefixtures("photos")
def test_arguments_keep_their_order_and_repeat() -> None:
    assert found("photos/z", "photos/a.jpg", "photos/a.jpg") == ["photos/z/f.jpg", "photos/a.jpg", "photos/a.jpg"]


def test_an_existing_name_is_never_a_pattern(photos: Path) -> None:
    (photos / "x[1].jpg").write_bytes(b"")
    (photos / "x1.jpg").write_bytes(b"")
    assert found("photos/x[1].jpg") == ["photos/x[1].jpg"]
    assert found("photos/x[12].jpg") == ["photos/x1.jpg"]


def test_what_leads_nowhere_is_reported_and_the_rest_goes_on(photos: Path) -> None:
    (photos / "empty").mkdir()
    sources = Sources(["nowhere/", "nothing.jpg", "photos/*.tiff", "photos/empty", "photos/a.jpg"])
    assert list(sources) == ["photos/a.jpg"]
    assert [named for named, _ in problems(sources)] == ["nowhere/", "nothing.jpg", "photos/*.tiff", "photos/empty"]
    reasons = [reason for _, reason in problems(sources)]
    assert "no such file or folder" in reasons[0]
    assert "no file matches" in reasons[2]
    assert "no image in this folder" in reasons[3]
    assert sources.count() == 5
    assert len(sources.problems) == 4


def test_overlong_names_are_missing_not_a_crash() -> None:
    sources = Sources(["x" * 5000, "y" * 300 + "/*"])
    assert list(sources) == []
    assert len(sources.problems) == 2


@pytest.fixture
def locked(photos: Path) -> Iterator[None]:
    (photos / "sub").chmod(0)
    yield
    (photos / "sub").chmod(0o755)


def test_a_locked_folder_is_reported(locked: None, bound_by_permissions: None) -> None:
    sources = Sources(["photos"])
    assert list(sources) == ["photos/a.jpg", "photos/b.PNG", "photos/z/f.jpg"]
    assert problems(sources) == [("photos/sub", "cannot read this folder: Permission denied")]


@pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")
def test_links_are_followed_but_not_in_circles(photos: Path) -> None:
    (photos / "z" / "up").symlink_to(photos)
    (photos / "z" / "deep").symlink_to(photos / "sub" / "deep")
    (photos / "z" / "gone.jpg").symlink_to(photos / "nothing")
    (photos / "z" / "self.jpg").symlink_to(photos / "z" / "self.jpg")
    sources = Sources(["photos/z"])
    assert list(sources) == [
        "photos/z/f.jpg",
        "photos/z/gone.jpg",
        "photos/z/self.jpg",
        "photos/z/deep/d.webp",
        *(f"photos/z/up/{name}" for name in ("a.jpg", "b.PNG", "sub/c.jpeg", "sub/deep/d.webp")),
    ]
    assert not sources.problems


def test_excluded_folders_are_not_entered(photos: Path) -> None:
    sources = Sources(["photos", "photos/**/*.jpg"], exclude=[photos / "sub", Path("photos/z")])
    assert list(sources) == ["photos/a.jpg", "photos/b.PNG", "photos/a.jpg"]


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="needs a file system that takes any bytes")
def test_awkward_names_survive(tmp_path: Path) -> None:
    names = [
        b"with space.jpg",
        "größe 日本.jpg".encode(),
        b"new\nline.jpg",
        b"not-utf8-\xff\xfe.jpg",
        b"[x](y) {z}.jpg",
    ]
    for name in names:
        Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name)).write_bytes(b"")
    assert {os.fsencode(Path(path).name) for path in Sources([str(tmp_path)])} == set(names)
    stdin = io.BytesIO(b"\0".join(names))
    assert [os.fsencode(path) for path in Sources(["-"], stdin=stdin, null_separated=True)] == names


@pytest.mark.usefixtures("photos")
def test_paths_on_stdin() -> None:
    stdin = io.BytesIO(b"photos/a.jpg\r\n\nphotos/sub\nphotos/*.jpg\nmissing.jpg")
    sources = Sources(["-"], stdin=stdin)
    assert sources.count() is None
    assert list(sources) == [
        "photos/a.jpg",
        "photos/sub/c.jpeg",
        "photos/sub/deep/d.webp",
        "photos/*.jpg",
        "missing.jpg",
    ]
    assert not sources.problems


@pytest.mark.parametrize("content", [b"\xff\xd8\xff\xe0\0\x10JFIF", b"x" * 3_000_000])
def test_an_image_on_stdin_is_not_a_list_of_paths(content: bytes) -> None:
    sources = Sources(["-"], stdin=io.BytesIO(content))
    assert list(sources) == []
    [(named, reason)] = problems(sources)
    assert named == "-"
    assert "not a list of paths" in reason


def test_stdin_is_read_as_it_comes() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stdin, os.fdopen(writing, "wb", buffering=0) as pipe:
        paths = iter(Sources(["-"], stdin=stdin))
        pipe.write(b"one.jpg\ntw")
        assert next(paths) == "one.jpg"
        pipe.write(b"o.jpg\n")
        assert next(paths) == "two.jpg"


def test_nothing_is_looked_for_before_it_is_needed(photos: Path) -> None:
    paths = iter(Sources(["photos/z", "photos/late"]))
    assert Path(next(paths)) == Path("photos/z/f.jpg")
    (photos / "late" / "below").mkdir(parents=True)
    for name in ("g.jpg", "below/h.jpg", "below/i.jpg"):
        (photos / "late" / name).write_bytes(b"")
    assert Path(next(paths)) == Path("photos/late/g.jpg")
    (photos / "late" / "below" / "h.jpg").unlink()
    assert Path(next(paths)) == Path("photos/late/below/i.jpg")


def test_counting_stops_when_told(photos: Path) -> None:
    stop = threading.Event()
    stop.set()
    assert Sources([str(photos)]).count(stop=stop) is None


@pytest.mark.parametrize(
    ("arguments", "base"),
    [
        (["photos"], "photos"),
        (["photos/a.jpg"], "photos"),
        (["photos/sub/*.jpg"], "photos/sub"),
        (["photos/**/*.jpg"], "photos"),
        (["photos/s*/c.jpeg", "photos/z/f.jpg"], "photos"),
        (["*.jpg"], "."),
        (["photos/sub", "photos/z"], "photos"),
        (["photos/sub", "missing/x.jpg"], "."),
        (["photos", "-"], "."),
        ([], "."),
    ],
)
def test_the_folder_that_holds_all(photos: Path, arguments: list[str], base: str) -> None:
    assert Sources(arguments).base() == (photos.parent / base).resolve()


@pytest.mark.parametrize("name", ["x.jpg", "x.JPEG", "a.b.tiff", "dir.d/x.heic"])
def test_image_names(name: str) -> None:
    assert is_image_name(name)


@pytest.mark.parametrize("name", ["x", "x.txt", "jpg", ".jpg", "x.jpg.part"])
def test_other_names(name: str) -> None:
    assert not is_image_name(name)

import io
import stat
import zipfile
import zlib

import pytest

from cellular.data.archive.remote_zip import check_members, extract, files_in, open_zip
from cellular.errors import DownloadError


def zipped(members, compression=zipfile.ZIP_DEFLATED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def unpack(data, out):
    with open_zip(io.BytesIO(data), "a.zip") as archive:
        members = files_in(archive)
        check_members(members, len(data), "a.zip")
        return extract(archive, [(m, out / m.filename) for m in members], "a.zip", show_progress=False)


def test_files_come_out_and_are_not_unpacked_twice(tmp_path):
    data = zipped({"a/b.txt": b"one", "c.txt": b"two", "__MACOSX/a/._b.txt": b"junk", "d/": b""})
    assert unpack(data, tmp_path) == 2
    assert (tmp_path / "a/b.txt").read_bytes() == b"one"
    (tmp_path / "c.txt").unlink()
    assert unpack(data, tmp_path) == 1
    for other in (b"old", b"c"):  # of one size, as another version's images are, and cut off
        (tmp_path / "a/b.txt").write_bytes(other)
        assert unpack(data, tmp_path) == 1
        assert (tmp_path / "a/b.txt").read_bytes() == b"one"


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "a\\..\\evil"])
def test_members_that_would_leave_the_folder_are_refused(tmp_path, name):
    data = zipped({"fine.txt": b"x", name: b"x"})
    with pytest.raises(DownloadError, match="outside the folder; nothing was unpacked"):
        unpack(data, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_links_and_double_names_are_refused(tmp_path):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        link = zipfile.ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DownloadError, match="is a link"):
        unpack(buffer.getvalue(), tmp_path)
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a", b"1")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a", b"2")
    with pytest.raises(DownloadError, match="occurs twice"):
        unpack(buffer.getvalue(), tmp_path)


def test_a_zip_bomb_is_refused(tmp_path):
    data = zipped({"bomb": bytes(120 << 20)})
    assert len(data) < 200_000
    with pytest.raises(DownloadError, match="like a zip bomb"):
        unpack(data, tmp_path)
    many = zipped({f"{n}": bytes(30 << 20) for n in range(4)})
    with pytest.raises(DownloadError, match="a zip bomb or damaged"):
        unpack(many, tmp_path)


def test_members_that_share_bytes_are_refused(tmp_path):
    data = zipped({"a": zlib.compress(bytes(range(256)) * 50)}, zipfile.ZIP_STORED)
    with open_zip(io.BytesIO(data), "a.zip") as archive:
        member = archive.infolist()[0]
        twin = zipfile.ZipInfo("b")
        twin.header_offset, twin.compress_size, twin.file_size = 0, member.compress_size, member.file_size
        with pytest.raises(DownloadError, match="zip bomb or damaged"):
            check_members([member, twin], len(data), "a.zip")


def test_a_truncated_archive_is_named(tmp_path):
    data = zipped({"a": b"x" * 1000})
    with pytest.raises(DownloadError, match=r"a.zip is not a whole zip archive"):
        unpack(data[:-30], tmp_path)
    with pytest.raises(DownloadError, match="No such archive"):
        open_zip(tmp_path / "none.zip")


def test_a_damaged_member_leaves_no_file(tmp_path):
    data = bytearray(zipped({"a.txt": b"x" * 1000, "b.txt": b"y"}, zipfile.ZIP_STORED))
    data[100] ^= 1
    with pytest.raises(DownloadError, match=r"member 'a.txt' is damaged.*CRC"):
        unpack(bytes(data), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_names_with_spaces_unicode_and_255_characters(tmp_path):
    names = ["a b/ü 細胞.txt", "x" * 251 + ".txt"]
    unpack(zipped(dict.fromkeys(names, b"1")), tmp_path)
    assert all((tmp_path / name).read_bytes() == b"1" for name in names)

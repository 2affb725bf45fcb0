import dataclasses
import hashlib
import io
import zipfile

import pytest

from cellular.cli.main import main
from cellular.data.archive import catalogue

FIELD = "Timepoint_001_220518-ST_C03_s1"


def zipped(members):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def archives(mirror, monkeypatch):
    masks = zipped({f"masks/{FIELD}/fed/1.png": b"png"})
    images = zipped({f"images/{FIELD}_w{n}.TIF": b"tif" for n in (1, 2, 3)} | {"images/other_w1.TIF": b"tif"})
    mirror.files |= {"/records/8315423/files/masks.zip": masks, "/records/8315423/files/images.zip": images}
    record = dataclasses.replace(catalogue.ARCHIVES["masks"], sha256=hashlib.sha256(masks).hexdigest())
    monkeypatch.setitem(catalogue.ARCHIVES, "masks", record)
    return mirror


def test_masks_then_annotated_images_with_the_terms_first(archives, tmp_path, capsys):
    out = tmp_path / "CELLULAR"
    assert main(["download", "masks", "-o", str(out)]) == 0
    said = capsys.readouterr().out
    assert said.index("written permission") < said.index("Unpacked in")
    assert "10.1038/s41597-023-02687-x" in said
    assert main(["download", "images", "--annotated", "-o", str(out)]) == 0
    assert "1 fields in" in capsys.readouterr().out
    assert main(["download", "images", "--annotated", "-o", str(out), "--shard", "2/2"]) == 0
    assert "0 fields in" in capsys.readouterr().out
    assert sorted(path.name for path in (out / "images").iterdir()) == [f"{FIELD}_w{n}.TIF" for n in (1, 2, 3)]


def test_a_failure_is_one_line_and_exit_code_2(archives, tmp_path, capsys):
    archives.files.clear()
    assert main(["download", "masks", "-o", str(tmp_path / "out")]) == 2
    assert "error: http" in capsys.readouterr().err


def test_options_that_do_not_go_together_are_refused(tmp_path, capsys):
    assert main(["download", "masks", "--annotated"]) == 2
    assert main(["download", "masks", "cyto"]) == 2
    assert main(["download", "images", "--shard", "1/2"]) == 2
    assert main(["download", "images", "--fields", "*", "--shard", "3/2"]) == 2
    assert "go with 'images' only" in capsys.readouterr().err


def test_weights_by_name_and_the_list(mirror, capsys):
    mirror.files |= {"/models/cyto3": b"weights", "/models/size_cyto3.npy": b"size"}
    assert main(["download", "weights", "cyto3"]) == 0
    assert "cache/models/cyto3" in capsys.readouterr().out
    assert main(["weights"]) == 0
    listed = capsys.readouterr().out
    assert "cache/models/cyto3" in listed
    assert hashlib.sha256(b"weights").hexdigest() in listed
    assert "cellular download weights cyto2 fetches http" in listed
    assert main(["download", "weights", "cyto9"]) == 2
    assert "known: cyto, cyto2, cyto3" in capsys.readouterr().err


def test_the_list_as_json(mirror, capsys):
    import json

    assert main(["weights", "--json"]) == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == ["starter", "nuclei", *catalogue.WEIGHTS]

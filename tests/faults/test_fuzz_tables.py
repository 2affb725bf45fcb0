"""Tables and options with damage of every kind: a right result, or one error that names the file and writes nothing.

Seeded, so that a failure can be repeated: the number of the case is in its message.
"""

import io
import json
import random
from pathlib import Path, PurePosixPath

import numpy as np
import openpyxl
import pytest
from verbs import cells_table

from cellular.autophagy.compare.effects import compare
from cellular.cli.main import EXIT_ERROR, main
from cellular.data.channels import parse_channels
from cellular.data.formats.images import write_image, write_labels
from cellular.data.platemap import read_plate_map
from cellular.data.schemes import choose, read_names
from cellular.errors import CellularError
from cellular.files import read_csv, read_json

CASES = 150
WORDS = [
    b"",
    b",",
    b";",
    b"\n",
    b"\r",
    b'"',
    b"\0",
    b"\xff",
    b"nan",
    b"1e999",
    b"-1",
    b"inf",
    b"True",
    b"\xef\xbb\xbf",
    b"A1",
    b"=A1",
]
MAP = "plate,well,treatment,dose_nM,inhibitor\nP1,A01,DMSO,0,none\nP1,A02,drug,10,none\nP1,B01,drug,2.5,Baf A1\n"
DRAWN = "treatment,1,2\nA,DMSO,drug\nB,drug,DMSO\n\ndose (nM),1,2\nA,0,10\nB,5,0\n"


def damaged(content: bytes, seed: int) -> bytes:
    """`content` with one to four bytes turned, pieces cut out or doubled, and odd words put in."""
    rng = random.Random(seed)
    data = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data) + 1)
        kind = rng.choice(["flip", "cut", "double", "word"])
        if kind == "flip" and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "cut":
            del data[at : at + rng.choice((1, 5, 40))]
        elif kind == "double":
            data[at:at] = data[at : at + 40]
        else:
            data[at:at] = rng.choice(WORDS)
    return bytes(data)


def check(call, path, content: bytes, cases=CASES):
    """Every damaged `content` at `path`: `call` returns, or raises ours with the name of the file."""
    refused = []
    for seed in range(cases):
        path.write_bytes(damaged(content, seed))
        try:
            call()
        except CellularError as error:
            refused.append((seed, str(error)))
        except Exception as error:
            raise AssertionError(f"case {seed}: {path.read_bytes()[:300]!r}") from error
    assert [case for case in refused if path.name not in case[1]] == []
    assert 0 < len(refused) < cases, "neither all nor none of the damage is harmless"


@pytest.mark.parametrize("content", [MAP, DRAWN, MAP.replace(",", "\t")], ids=["long", "drawn", "tabs"])
def test_plate_maps_of_text(tmp_path, content):
    path = tmp_path / "map.csv"

    def call():
        table = read_plate_map(path, reserved=["area"]).table
        assert table["well"].is_unique or "plate" in table
        assert table["well"].str.fullmatch(r"[A-Z]{1,2}\d\d").all()

    check(call, path, content.encode())


def test_plate_maps_of_workbooks(tmp_path):
    book = openpyxl.Workbook()
    for row in MAP.splitlines():
        book.active.append(row.split(","))
    content = io.BytesIO()
    book.save(content)
    path = tmp_path / "map.xlsx"
    check(lambda: read_plate_map(path), path, content.getvalue(), cases=60)


def test_tables_are_read_or_named(tmp_path):
    content = cells_table(("log2_ratio", "puncta_total")).head(12).to_csv(index=False).encode()
    path = tmp_path / "cells.csv"
    check(lambda: read_csv(path), path, content)


def test_records_beside_results(tmp_path):
    path = tmp_path / "plate.json"
    content = json.dumps({"folder": "x", "fields": 2, "channels": [{"token": "w1", "role": None}], "z": [1.5, True]})
    check(lambda: read_json(path), path, content.encode())


def test_images_and_cells_are_compared_or_named():
    """Whatever stands in a table of images or cells: a comparison, or one of our errors."""
    cells = cells_table(("log2_ratio",)).groupby("field").head(3)
    images = cells[["field", "well", "treatment"]].drop_duplicates().assign(timepoint=1, site=1, date="220518")
    odd = [None, np.nan, "", " ", "NA", -1, 1.5, np.inf, True, "1e400", "É", 10**30, "0001"]
    bare = cells[["field", "label", "log2_ratio"]]
    done = 0
    for seed in range(16):
        rng = random.Random(seed)
        table, about = bare.astype(object), images.astype(object)
        for _ in range(rng.randint(1, 3)):
            hit = rng.choice((table, about))
            hit.iloc[rng.randrange(len(hit)), rng.randrange(hit.shape[1])] = rng.choice(odd)
        try:
            compare(table.infer_objects(), images=about.infer_objects())
            done += 1
        except CellularError:
            continue
        except Exception as error:
            raise AssertionError(f"case {seed}") from error
    assert 0 < done < 16


def test_channels_and_patterns_of_any_text():
    rng = random.Random(0)
    pieces = ["mRFP", "EGFP", "DNA", "marker:", "=", "w1", " ", "", "µ", "\0", "mrfp", "LAMP1", "==", "w2=w1", ":"]
    groups = [
        r"(?P<well>",
        r"(?P<series>",
        r"(?P<timepoint>",
        r"(?P<nothing>",
        ".+",
        r"\d+",
        ")",
        "_",
        "[",
        "(?:",
        "*",
        "\\",
    ]
    paths = [PurePosixPath(f"a{n}_A0{n}_t{n}.tif") for n in (1, 2, 3)]
    read, refused = 0, []
    for _ in range(400):
        for call, words in (
            (lambda text: parse_channels([text]), pieces),
            (lambda text: read_names(paths, choose(paths, pattern=text)), groups),
        ):
            text = "".join(rng.choice(words) for _ in range(rng.randint(1, 5)))
            try:
                call(text)
                read += 1
            except CellularError as error:
                refused.append((text, str(error)))
    assert [case for case in refused if "--channels" not in case[1] and "--pattern" not in case[1]] == []
    assert read
    assert refused


@pytest.mark.parametrize(
    "wrong",
    [
        ["--plate_map", "map.csv"],
        ["--channels", "mRFP=w7", "EGFP=w1"],
        ["--pattern", "(?P<well>.+"],
        ["--scheme", "nobody"],
    ],
    ids=["map", "channels", "pattern", "scheme"],
)
@pytest.mark.parametrize("verb", ["measure", "analyse", "quality"])
def test_a_refused_command_has_written_nothing(verb, wrong, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    labels = np.zeros((32, 32), np.uint16)
    labels[4:20, 4:20] = 1
    for token in ("w1", "w2"):
        write_image(tmp_path / "images" / f"P_A01_s1_{token}.tif", labels * 50 + 20)
    write_labels(tmp_path / "labels" / "P_A01_s1_masks.tif", labels)
    Path("map.csv").write_text("well,treatment\nA01,x\nA1,y\n")
    argv = {"measure": ["images", "labels"], "analyse": ["images", "--labels", "labels"], "quality": ["images"]}[verb]
    roles = [] if "--channels" in wrong else ["--channels", "mRFP=w2", "EGFP=w1"]
    before = sorted(tmp_path.rglob("*"))
    assert main([verb, *argv, "--out", "out", *roles, *wrong]) == EXIT_ERROR
    assert "error: " in capsys.readouterr().err
    assert sorted(tmp_path.rglob("*")) == before


def test_a_damaged_record_or_table_of_a_field_is_made_again(tmp_path, monkeypatch):
    """In a folder of results that a rerun goes on with: the same tables as at first, whatever was damaged."""
    labels = np.zeros((48, 48), np.uint16)
    labels[4:20, 4:20], labels[25:40, 25:40] = 1, 2
    for token in ("w1", "w2"):
        write_image(tmp_path / "images" / f"P_A01_s1_{token}.tif", (labels > 0) * np.uint16(50) + np.uint16(20))
    write_labels(tmp_path / "labels" / "P_A01_s1_masks.tif", labels)
    words = ["measure", "images", "labels", "--out", "out", "--overlays", "0", "--min_sigma", "1", "--max_sigma", "3"]
    words += ["--channels", "mRFP=w2", "EGFP=w1"]
    monkeypatch.chdir(tmp_path)
    assert main(words) == 0
    names = ("cells.csv", "images.csv")
    right = [Path("out", name).read_text() for name in names]
    for seed in range(12):
        path = Path("out/fields/P_A01_s1") / ("made_of.json", "cells.csv", "images.csv")[seed % 3]
        path.write_bytes(damaged(path.read_bytes(), seed))
        assert main(words) == 0, f"case {seed}"
        assert [Path("out", name).read_text() for name in names] == right, f"case {seed}"

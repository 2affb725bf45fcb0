"""errors, settings, device, progress, tables: what every room leans on."""

import hashlib
import io
import logging
import os
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cellular import errors
from cellular.device import resolve_device
from cellular.errors import CellularError, DeviceError, InputError, MissingInputError, OutputError, SettingsError
from cellular.files import as_numbers, of_words, read_csv, read_json, sha256_of, whole_file, write_csv, write_json
from cellular.progress import byte_progress, progress
from cellular.settings import parse_toml, settings_from, settings_to_dict

PROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_every_error_is_a_cellular_error_with_its_standard_kin():
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) == 12
    # A part that is done is no fault, and must not be taken for one.
    assert [kind for kind in kinds if not issubclass(kind, CellularError)] == [errors.PartDone]
    assert issubclass(MissingInputError, FileNotFoundError)
    assert issubclass(SettingsError, ValueError)
    # An OSError with two arguments hides its message behind an errno; ours always show it.
    assert str(OutputError("disk full")) == "disk full"


def test_missing_extra_names_the_package_and_the_remedy():
    assert errors.import_extra("json", "any").loads("1") == 1
    with pytest.raises(ImportError, match=r"'no_such_package'.*pip install 'cellular\[zarr\]'"):
        errors.import_extra("no_such_package", "zarr")


def test_extras_that_bring_nothing_on_an_old_python_say_so(monkeypatch):
    extras = parse_toml(PROJECT.read_text(encoding="utf-8"))["project"]["optional-dependencies"]
    newer = {name for name, needs in extras.items() if all(need.endswith("python_version >= '3.11'") for need in needs)}
    assert newer == errors._FROM_3_11
    monkeypatch.setattr(sys, "version_info", (3, 10))
    with pytest.raises(ImportError, match=r"cellular\[zarr\]', on Python 3.11 or newer$"):
        errors.import_extra("no_such_package", "zarr")


@dataclass(frozen=True)
class Example:
    diameter: float = 30.0
    names: tuple[str, ...] = ()


def test_settings_there_and_back():
    values = settings_to_dict(Example(12.5, ("a",)))
    assert values == {"diameter": 12.5, "names": ("a",)}
    assert settings_from(Example, values) == Example(12.5, ("a",))


def test_unknown_setting_is_refused_by_name():
    with pytest.raises(SettingsError, match=r"diametre.*known.*diameter"):
        settings_from(Example, {"diametre": 3})


def test_device_auto_says_what_it_chose(caplog, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with caplog.at_level(logging.INFO):
        assert resolve_device() == torch.device("cpu")
    assert "device: cpu" in caplog.text


@pytest.mark.parametrize("name", ["cuda", "cuda:3", "mps", "tpu", "xpu", "gpu 1", ""])
def test_a_device_that_is_not_there_is_an_error_with_a_remedy(name, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(DeviceError, match=rf"'{name}'.*cpu"):
        resolve_device(name)


def test_cuda_device_beyond_the_last(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("cuda:1") == torch.device("cuda:1")
    with pytest.raises(DeviceError, match="2 CUDA"):
        resolve_device("cuda:2")


def test_progress_goes_to_stderr(capsys):
    assert list(progress([1, 2], desc="cells")) == [1, 2]
    with byte_progress(10, "masks.zip", start=4) as bar:
        bar.update(6)
        assert bar.n == 10
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "cells" in shown.err
    assert "masks.zip" in shown.err
    with byte_progress(10, "hidden", show=False):
        pass
    assert "hidden" not in capsys.readouterr().err


def test_bars_are_rare_in_a_log_file(monkeypatch):
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert progress([]).mininterval == 5


def test_a_file_is_whole_or_not_there(tmp_path):
    path = tmp_path / "new" / "a.csv"
    with whole_file(path) as temporary:
        assert temporary.parent == path.parent
        assert temporary.suffix == ".csv"
        temporary.write_text("x")
        assert not path.exists()
    assert path.read_text() == "x"
    assert path.stat().st_mode & 0o777 == 0o644

    with pytest.raises(KeyboardInterrupt):
        _interrupted(path)
    assert path.read_text() == "x", "the old file stays"
    assert [p.name for p in path.parent.iterdir()] == ["a.csv"]


def _interrupted(path):
    with whole_file(path) as temporary:
        temporary.write_text("half")
        raise KeyboardInterrupt


def test_what_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError, match="file/a.json cannot be written"):
        write_json(tmp_path / "file" / "a.json", {})
    with pytest.raises(OutputError, match="cannot be written"):
        write_json(tmp_path / ("n" * 300 + ".json"), {})


def test_an_error_of_ours_passes_through_whole_file(tmp_path):
    with pytest.raises(InputError, match="mask 3"), whole_file(tmp_path / "a"):
        raise InputError("mask 3 is empty")


def test_json_there_and_back(tmp_path):
    value = {"μm": [1, None, "ü"], "nested": {"a": 0.5}}
    write_json(tmp_path / "a.json", value)
    assert read_json(tmp_path / "a.json") == value
    assert "ü" in (tmp_path / "a.json").read_text(encoding="utf-8")
    with pytest.raises(ValueError, match="JSON"):
        write_json(tmp_path / "a.json", {"score": float("nan")})
    assert read_json(tmp_path / "a.json") == value


def test_csv_there_and_back(tmp_path):
    table = pd.DataFrame({"field": ["a, b", "c"], "area_px": [1, 2]})
    write_csv(tmp_path / "a.csv", table)
    pd.testing.assert_frame_equal(read_csv(tmp_path / "a.csv"), table)


def test_identity_columns_are_text_and_only_an_empty_field_is_missing(tmp_path):
    (tmp_path / "a.csv").write_bytes(
        b"\xef\xbb\xbffield,treatment,drug,x,n,yes,\r\n"
        b"001,None,NA,1.5,1,True,0\r\n"
        b"NA,,null,nan,2,False,1\r\n"
        b"1e5,null,nan,NA,3,True,2\r\n"
    )
    table = read_csv(tmp_path / "a.csv")
    assert table["field"].tolist() == ["001", "NA", "1e5"]
    assert table["treatment"].fillna("missing").tolist() == ["None", "missing", "null"]
    assert table["drug"].tolist() == ["NA", "null", "nan"], "words stay words where a column has no numbers"
    assert table["x"].fillna(-1).tolist() == [1.5, -1, -1], "and are missing numbers where it has"
    assert table.dtypes[["n", "yes"]].tolist() == [int, bool]
    assert len(table.columns) == 6, "row numbers without a name are left out"
    assert read_csv(tmp_path / "a.csv", ["n"])["n"].tolist() == ["1", "2", "3"]


def test_a_table_without_rows_keeps_its_columns(tmp_path):
    (tmp_path / "a.csv").write_text("field,label,x\n")
    table = read_csv(tmp_path / "a.csv")
    assert table.columns.tolist() == ["field", "label", "x"]
    assert table["label"].dtype == float


def test_a_word_late_in_a_long_table_makes_the_whole_column_text(tmp_path):
    (tmp_path / "a.csv").write_text("code,x\n" + "001,1\n" * 300_000 + "abc,1\n")
    assert set(read_csv(tmp_path / "a.csv")["code"]) == {"001", "abc"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"field,x,x\na,1,2\n", "names the column.s. x twice"),
        (b"field,x\na,1\nb,2,3\n", "line 3"),
        (b"field,x\na,1,2\nb,2,3\n", "line 2 has 3 values for 2 columns"),
        (b"field,x\na,\x001\n", "bytes of zero"),
        (b"PK\x03\x04rest of a workbook", "is a workbook"),
        (b"# made on Monday\nfield,x\na,1\n", "line 2 has 2 values for 1 columns"),
        (b"\n", "No columns"),
    ],
)
def test_tables_that_would_be_misread_are_refused(content, message, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_csv(tmp_path / "a.csv")


PLAIN = "field,treatment,n,x\na,µ,1,0.5\nb,NA,22,-12.25\n"


@pytest.mark.parametrize(
    "content",
    [
        PLAIN.encode("utf-16"),
        PLAIN.encode("cp1252"),
        PLAIN.replace(",", ";").encode(),
        PLAIN.replace(",", "\t").encode(),
        PLAIN.replace(",", ";").replace(".", ",").encode(),
        PLAIN.replace(",", "\t").replace(".", ",").replace("\n", "\r\n").encode("utf-16"),
        f"sep=,\n{PLAIN}".encode(),
        f"sep=;\n{PLAIN.replace(',', ';')}".encode(),
        f"{PLAIN},,,\n\n,,,\n".encode(),
        PLAIN.replace("field,", "field, ").encode(),
    ],
    ids=["utf16", "cp1252", "semicolon", "tab", "comma", "excel", "sep", "sep;", "trailing", "space"],
)
def test_what_spreadsheets_save_is_one_table(content, tmp_path):
    (tmp_path / "a.csv").write_bytes(content)
    table = read_csv(tmp_path / "a.csv")
    assert table.to_dict("list") == {"field": ["a", "b"], "treatment": ["µ", "NA"], "n": [1, 22], "x": [0.5, -12.25]}
    assert [of_words(table[name]) for name in table] == [True, True, False, False]
    assert table.dtypes[["n", "x"]].tolist() == [int, float]


def test_numbers_that_may_be_thousands_and_words_stay_text_and_errors_of_spreadsheets_are_missing(tmp_path):
    (tmp_path / "a.csv").write_text('field,x,y,z\na,"1,000","0,5",#DIV/0!\nb,"2,500","1,5",3\n')
    table = read_csv(tmp_path / "a.csv")
    assert table["x"].tolist() == ["1,000", "2,500"]
    assert table["y"].tolist() == ["0,5", "1,5"], "between commas a comma is in doubt"
    assert table["z"].fillna(-1).tolist() == [-1, 3]
    (tmp_path / "a.csv").write_text("field;x;y\na;1,000;0,5\nb;2,500;1.5\n")
    table = read_csv(tmp_path / "a.csv")
    assert table["x"].tolist() == ["1,000", "2,500"]
    assert table["y"].tolist() == ["0,5", "1.5"], "points and commas in one column"


names = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=8)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=st.lists(st.tuples(names, names, st.floats(allow_nan=False)), min_size=1, max_size=5))
def test_names_come_back_to_the_letter(rows, tmp_path):
    table = pd.DataFrame(rows, columns=["field", "treatment", "x"])
    write_csv(tmp_path / "a.csv", table)
    back = read_csv(tmp_path / "a.csv")
    assert back[["field", "treatment"]].to_numpy().tolist() == table[["field", "treatment"]].to_numpy().tolist()
    assert back["x"].tolist() == table["x"].tolist()


def test_numbers_of_any_length_are_read(tmp_path):
    (tmp_path / "a.csv").write_text(
        "x,word\n1,a\n1e3999999999999999999999999999999,1e3999999999999999999999999999999\n"
    )
    table = read_csv(tmp_path / "a.csv")
    assert table["x"].tolist() == [1, np.inf]
    assert table["word"].tolist() == ["a", "1e3999999999999999999999999999999"]
    text = pd.Series([1, None, " 2 ", "x", True, "-inf", "1_0"], dtype=object)
    assert as_numbers(text).fillna(0).tolist() == [1, 0, 2, 0, 0, -np.inf, 0]


@pytest.mark.parametrize(("read", "bad"), [(read_json, b"{"), (read_json, b"\xff\xfe"), (read_csv, b"")])
def test_unreadable_tables_are_named(read, bad, tmp_path):
    path = tmp_path / "table"
    with pytest.raises(MissingInputError, match=str(path)):
        read(path)
    path.write_bytes(bad)
    with pytest.raises(InputError, match=str(path)):
        read(path)


def test_malformed_csv_is_named(tmp_path):
    (tmp_path / "a.csv").write_bytes(b'a,b\n1,2\n1,2,3\n"')
    with pytest.raises(InputError, match=r"a\.csv"):
        read_csv(tmp_path / "a.csv")


def test_sha256_of_a_file_larger_than_one_piece(tmp_path):
    content = np.random.default_rng(0).bytes((1 << 20) + 17)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_read_only_folder_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(OutputError, match="Permission denied"):
        write_json(tmp_path / "a.json", {})

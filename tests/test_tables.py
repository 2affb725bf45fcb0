"""A run's tables: the same numbers by Parquet and by CSV, never one for the other, no more in memory than asked for."""

import numpy as np
import pandas as pd
import pyarrow.parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cellular import delimited
from cellular import tables as module
from cellular.delimited import csv_text
from cellular.errors import InputError, MissingInputError
from cellular.files import read_csv, write_csv
from cellular.tables import Tables, find_table, from_frame, of_fields, read_table, read_written, to_frame, write_table

# What columns may hold in one field; in another field they hold something else, or are not there.
KINDS = {
    "whole": st.integers(-(2**40), 2**40),
    "number": st.floats(allow_nan=False, width=64),
    "gappy": st.one_of(st.none(), st.floats(allow_nan=False)),
    "nothing": st.none(),
    "truth": st.booleans(),
    "word": st.sampled_from(["fed", "None", 'é, "µ"', "1 µM", "x", ""]),
}
FIELDS = st.lists(
    st.dictionaries(st.sampled_from("abc"), st.sampled_from(sorted(KINDS)), min_size=1), min_size=1, max_size=5
)


def frames_of(fields, data):
    for number, kinds in enumerate(fields):
        rows = data.draw(st.integers(0, 3))
        columns = {
            name: pd.Series(
                data.draw(st.lists(KINDS[kind], min_size=rows, max_size=rows)), dtype=object
            ).infer_objects()
            for name, kind in kinds.items()
        }
        about = {"field": [f"00{number}"] * rows, "well": ["C03", "C04"][number % 2]}
        yield pd.DataFrame(about | columns, index=range(rows))


@settings(max_examples=60, deadline=None)
@given(FIELDS, st.data())
def test_the_same_by_csv_and_by_parquet(tmp_path_factory, fields, data):
    """What is read of the Parquet is what is read of the CSV, and both are what pandas makes of all fields' files."""
    folder, paths = tmp_path_factory.mktemp("tables"), []
    for number, frame in enumerate(frames_of(fields, data)):
        paths.append(folder / f"{number}_field.csv")
        write_csv(paths[-1], frame)
    write_table(folder, "cells", map(read_written, paths))
    own, csv = read_table(folder / "cells.parquet"), read_csv(folder / "cells.csv")
    pd.testing.assert_frame_equal(own, csv, check_exact=True)
    parts = [part for part in map(read_csv, paths) if len(part)]
    if parts:
        every = pd.concat(parts, ignore_index=True)
        assert set(every) <= set(own)
        mixed = {name for kinds in fields for name, kind in kinds.items() if kind in ("truth", "word")}
        for name in set(every.select_dtypes("number")) - mixed:
            np.testing.assert_array_equal(own[name].to_numpy(float), every[name].to_numpy(float))
    theirs = pytest.importorskip("polars").read_parquet(folder / "cells.parquet")
    assert theirs.columns == list(own)
    assert theirs.height == len(own)


@pytest.mark.parametrize("words", [["", "x"], ["x", "", "y"], ["", ""]])
def test_a_text_of_no_letters_is_missing_in_both(tmp_path, words):
    """As it is written from memory: no group, reason or treatment by the name of nothing."""
    write_table(tmp_path, "cells", [from_frame(pd.DataFrame({"field": "f", "well": words, "reasons": words}))])
    own, csv = read_table(tmp_path / "cells.parquet"), read_csv(tmp_path / "cells.csv")
    assert own.isna().to_numpy().tolist() == csv.isna().to_numpy().tolist()
    assert own["reasons"].isna().tolist() == [word == "" for word in words]
    assert own.dropna().to_numpy().tolist() == csv.dropna().to_numpy().tolist()
    kept = Tables(tmp_path, ["cells"])
    assert kept.of_fields("cells", ["f"])["well"].isna().tolist() == [word == "" for word in words]


def test_truth_values_with_gaps_are_the_same_by_both(tmp_path):
    frame = pd.DataFrame({"field": "f", "seen": ["True", None, "False"]})
    write_table(tmp_path, "cells", [from_frame(frame)])
    own, csv = read_table(tmp_path / "cells.parquet"), read_csv(tmp_path / "cells.csv")
    assert own["seen"].dropna().to_dict() == csv["seen"].dropna().to_dict() == {0: True, 2: False}


def test_text_has_one_type_in_every_file_however_pandas_holds_it():
    words = pd.Series(["a", None])
    for column in (words, words.astype(object), words.astype("string"), words.astype("category").astype(object)):
        assert from_frame(pd.DataFrame({"word": column})).schema.field("word").type == "string"


def spots(number, rows):
    """Puncta of a field; their x says which they are."""
    return pd.DataFrame(
        {"field": f"f{number:02d}", "well": f"A{number // 4 + 1:02d}", "x": np.arange(rows) / 7 + number}
    )


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A folder with puncta of 12 fields in 3 wells, in groups of 20 rows and more."""
    monkeypatch.setattr(module, "GROUP_ROWS", 20)
    write_table(tmp_path, "puncta", (from_frame(spots(number, 8)) for number in range(12)))
    return tmp_path


def test_groups_end_with_wells_and_tell_their_fields(run):
    file = pyarrow.parquet.ParquetFile(run / "puncta.parquet")
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [32, 32, 32]
    for number in range(3):
        about = file.metadata.row_group(number).column(1).statistics
        assert (about.min, about.max) == (f"A{number + 1:02d}",) * 2


def test_rows_of_fields_are_those_of_the_whole(run):
    tables, whole = Tables(run, ["puncta", "cells"]), pd.concat([spots(number, 8) for number in (3, 7)])
    pd.testing.assert_frame_equal(tables.of_fields("puncta", ["f07", "f03"]), whole.reset_index(drop=True))
    held = tables.holding(puncta=tables["puncta"])
    pd.testing.assert_frame_equal(of_fields(held, "puncta", ["f03"]).reset_index(drop=True), spots(3, 8))
    assert (tables.rows("puncta"), held.rows("puncta"), tables.columns("puncta")) == (96, 96, ["field", "well", "x"])
    assert of_fields(tables, "cells", ["f03"]) is None
    assert list(tables) == ["puncta"]


def test_a_csv_of_another_time_is_not_taken_for_the_table(run):
    assert find_table(run, "puncta") == run / "puncta.parquet"
    with open(run / "puncta.csv", "a") as file:
        file.write("f99,A01,1.0\n")
    with pytest.raises(InputError, match=r"puncta\.csv is not what was written with puncta\.parquet"):
        Tables(run, ["puncta"])
    assert len(read_table(run / "puncta.csv")) == 97  # given by name, it is what it is
    (run / "puncta.csv").unlink()
    assert Tables(run, ["puncta"]).rows("puncta") == 96


def test_a_long_table_has_a_csv_only_on_request(run, monkeypatch):
    monkeypatch.setattr(module, "CSV_ROWS", 95)
    parts = [from_frame(spots(number, 8)) for number in range(12)]
    write_table(run, "puncta", parts)
    assert not (run / "puncta.csv").exists()
    with pytest.raises(MissingInputError, match=r"Its table is .*puncta\.parquet"):
        read_table(run / "puncta.csv")
    write_table(run, "puncta", parts, csv=True)
    pd.testing.assert_frame_equal(read_csv(run / "puncta.csv"), read_table(run / "puncta.parquet"))


@pytest.mark.parametrize("stop", [5, 11])
def test_what_is_cut_off_leaves_the_tables_that_were(run, stop):
    before = {path.name: path.read_bytes() for path in run.iterdir()}

    def parts():
        for number in range(12):
            if number == stop:
                raise KeyboardInterrupt
            yield from_frame(spots(number, 3))

    with pytest.raises(KeyboardInterrupt):
        write_table(run, "puncta", parts())
    assert {path.name: path.read_bytes() for path in run.iterdir()} == before


def test_a_disk_that_fills_up_leaves_no_parquet_beside_another_csv(run, monkeypatch):
    """The new Parquet cannot be renamed: the CSV stands alone, and is whole."""
    replace = module.whole_file.__wrapped__.__globals__["os"].replace

    def full(source, target):
        if str(target).endswith(".parquet"):
            raise OSError(28, "No space left on device")
        replace(source, target)

    monkeypatch.setattr("cellular.files.os.replace", full)
    with pytest.raises(Exception, match="cannot be written: No space left"):
        write_table(run, "puncta", [from_frame(spots(number, 3)) for number in range(12)])
    assert sorted(path.name for path in run.iterdir()) == ["puncta.csv"]
    assert len(read_table(find_table(run, "puncta"))) == 36


def test_damage_is_told_with_the_files_name(run):
    (run / "puncta.csv").unlink()
    data = (run / "puncta.parquet").read_bytes()
    (run / "puncta.parquet").write_bytes(data[: len(data) // 2])
    with pytest.raises(InputError, match=r"puncta\.parquet is not a readable table"):
        Tables(run, ["puncta"])["puncta"]


def test_a_name_that_looks_like_a_number_in_hexadecimal_stays(tmp_path):
    (tmp_path / "a.csv").write_text("field,lot\na,0x1A\nb,2\n")
    assert to_frame(read_written(tmp_path / "a.csv"))["lot"].tolist() == ["0x1A", "2"]


def test_text_asked_for_is_text_by_both(tmp_path):
    write_table(
        tmp_path, "cells", [from_frame(pd.DataFrame({"field": ["a", "b"], "dose": [1, 2], "lot": [0.5, None]}))]
    )
    for suffix in ("csv", "parquet"):
        found = read_table(tmp_path / f"cells.{suffix}", ("dose", "lot"))
        assert found["dose"].tolist() == ["1", "2"]
        assert found["lot"].tolist()[0] == "0.5"
        assert pd.isna(found["lot"][1])


def test_puncta_are_never_all_in_memory(tmp_path, monkeypatch):
    """The most that Arrow holds while two million rows are written and a field is looked up."""
    import pyarrow as pa

    pool, rows = pa.default_memory_pool(), 4000
    before, most = pool.bytes_allocated(), []

    def parts():
        for number in range(100):
            most.append(pool.bytes_allocated() - before)
            yield from_frame(spots(number, rows))

    monkeypatch.setattr(module, "CSV_ROWS", 0)
    write_table(tmp_path, "puncta", parts())
    whole = pyarrow.parquet.read_table(tmp_path / "puncta.parquet").nbytes
    assert len(Tables(tmp_path, ["puncta"]).of_fields("puncta", ["f42"])) == rows
    assert max(most) < whole / 4


@pytest.mark.parametrize(
    "column",
    [
        [1.0, -0.0, 1e5, 123456.789, 0.1, np.nan],
        [1e-4, 9.9e-5, 1e10, 9999999999.5, 1e15, 1e16, 1e22, 5e-324, np.inf, -np.inf],
        (np.random.default_rng(0).normal(size=500) * 10.0 ** np.arange(-25, 25).repeat(10)).tolist(),
        np.array([0.1, 2.0, 1e-7], np.float32),
        [3, -4, 2**53],
        [2**70, 1],
        [True, False],
        [True, None, np.nan],
        ["001", "", None, "a b", "nan", "µ"],
        ["a,b", 'say "x"', "two\nlines"],
        ["a", 1, 2.5, None],
        [None, None],
        [np.nan, np.nan],
        [],
        pd.to_datetime(["2026-01-01", None]),
        pd.Categorical(["x", None, "y"]),
    ],
)
def test_csv_is_to_the_byte_what_pandas_writes(column, monkeypatch):
    monkeypatch.setattr(delimited, "FEW", 0)
    table = pd.DataFrame({"value": column}).assign(field="f1").set_index(pd.Index(range(5, 5 + len(column))))
    assert csv_text(table) == table.to_csv(index=False)
    assert csv_text(table, header=False) == table.to_csv(index=False, header=False)
    alone = table[["value"]]
    assert csv_text(alone) == alone.to_csv(index=False)


def test_csv_of_odd_names_of_columns_is_what_pandas_writes(monkeypatch):
    monkeypatch.setattr(delimited, "FEW", 0)
    for names in (["a,b", "c"], [1, 2], ["same", "same"]):
        table = pd.DataFrame([[1, 2.5]], columns=names)
        assert csv_text(table) == table.to_csv(index=False)
    assert csv_text(pd.DataFrame()) == pd.DataFrame().to_csv(index=False)


def test_an_index_that_pandas_left_in_the_file_is_no_column(tmp_path):
    frame = pd.DataFrame({"field": ["a", "b", "c"], "label": [1, 2, 3], "class": pd.Categorical(["x", "y", "z"])})
    frame[frame["label"] > 1].to_parquet(tmp_path / "cells.parquet")
    found = read_table(tmp_path / "cells.parquet")
    assert list(found) == ["field", "label", "class"]
    assert found.to_dict("list") == {"field": ["b", "c"], "label": [2, 3], "class": ["y", "z"]}


@pytest.mark.parametrize("rows", [0, 4, 5])
def test_a_csv_written_in_pieces_is_that_of_the_whole(tmp_path, monkeypatch, rows):
    monkeypatch.setattr("cellular.files._ROWS", 2)
    words, numbers = ["a", None, 'b,"c"', "d", ""], [0.1, np.nan, 1e300, 2.0, -0.0]
    frame = pd.DataFrame({"word": words, "number": numbers}).head(rows)
    write_csv(tmp_path / "cells.csv", frame)
    assert (tmp_path / "cells.csv").read_text() == frame.to_csv(index=False)

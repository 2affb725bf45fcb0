import json

import numpy as np
import pandas as pd
import pytest

from cellular.data.formats.images import read_labels
from cellular.errors import InputError
from cellular.track.export import to_ctc, to_graph, to_laptrack, to_napari, write_export

# Track 1 divides into 2 and 3; track 4 skips a frame.
TRACKS = pd.DataFrame(
    [
        (0, 1, 1, 1, 1, 0, 1),
        (0, 2, 5, 5, 4, 0, 2),
        (1, 1, 1, 0, 2, 1, 1),
        (1, 2, 1, 2, 3, 1, 1),
        (2, 5, 1, 0, 2, 1, 1),
        (2, 9, 5, 6, 4, 0, 2),
    ],
    columns=["frame", "label", "y", "x", "track", "parent", "lineage"],
)


def images() -> list[np.ndarray]:
    frames = []
    for frame in range(3):
        image = np.zeros((7, 7), np.uint16)
        for row in TRACKS[TRACKS["frame"] == frame].itertuples():
            image[row.y, row.x] = row.label
        frames.append(image)
    return frames


def test_ctc_table_by_hand():
    table, _ = to_ctc(TRACKS)
    # the track with a gap becomes two, the second an only child of the first
    assert table.to_numpy().tolist() == [[1, 0, 0, 0], [2, 1, 2, 1], [3, 1, 1, 1], [4, 0, 0, 0], [5, 2, 2, 4]]


def test_ctc_files(tmp_path):
    write_export("ctc", TRACKS, images(), tmp_path)
    assert (tmp_path / "res_track.txt").read_text().splitlines()[1] == "2 1 2 1"
    last = read_labels(tmp_path / "mask002.tif")
    assert last[1, 0] == 2
    assert last[5, 6] == 5
    assert sorted(np.unique(read_labels(tmp_path / "mask001.tif"))) == [0, 2, 3]


def test_ctc_files_are_read_back_by_traccuracy(tmp_path):
    """External reference: the challenge's format as traccuracy reads and checks it."""
    loaders = pytest.importorskip("traccuracy.loaders")
    write_export("ctc", TRACKS, images(), tmp_path)
    graph = loaders.load_ctc_data(str(tmp_path), str(tmp_path / "res_track.txt"), run_checks=True).graph
    assert graph.number_of_nodes() == len(TRACKS)
    assert graph.number_of_edges() == to_graph(TRACKS).number_of_edges() == 4


def test_laptrack_tables_by_hand():
    spots, splits = to_laptrack(TRACKS)
    assert spots["track_id"].tolist() == [0, 3, 1, 2, 1, 3]
    assert splits.to_numpy().tolist() == [[0, 1], [0, 2]]


def test_napari_layer_by_hand(tmp_path):
    data, graph = to_napari(TRACKS)
    assert data[0].tolist() == [1, 0, 1, 1]
    assert graph == {2: [1], 3: [1]}
    write_export("napari", TRACKS, images(), tmp_path)
    assert json.loads((tmp_path / "graph.json").read_text()) == {"2": [1], "3": [1]}
    assert pd.read_csv(tmp_path / "tracks.csv").columns.tolist() == ["ID", "T", "Y", "X"]


def test_geff_round_trip(tmp_path):
    geff = pytest.importorskip("geff")
    write_export("geff", TRACKS, images(), tmp_path)
    write_export("geff", TRACKS, images(), tmp_path)  # a second run replaces the first
    graph, meta = geff.read(tmp_path / "tracks.geff")
    assert set(graph.edges) == {(1, 3), (1, 4), (3, 5), (2, 6)}
    assert graph.nodes[6]["t"] == 2
    assert [axis.name for axis in meta.axes] == ["t", "y", "x"]


def test_laptrack_files_and_unknown_kinds(tmp_path):
    write_export("laptrack", TRACKS, images(), tmp_path)
    assert len(pd.read_csv(tmp_path / "track_df.csv")) == len(TRACKS)
    with pytest.raises(InputError, match="'imaris'"):
        write_export("imaris", TRACKS, images(), tmp_path)

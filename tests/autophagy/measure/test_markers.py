"""Markers: their puncta, which of the reporter's lie in them, and by chance."""

import numpy as np
import pandas as pd
import pytest
from skimage.measure import pearson_corr_coeff

from cellular.autophagy.measure.columns import describe
from cellular.autophagy.measure.documentation import documentation
from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.measure.markers import positive_puncta
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.unmix import channel_name, measured_roles
from cellular.data.image import FieldImage
from cellular.errors import InputError, SettingsError

SIZES = MeasureSettings(puncta=PunctaSettings(1.4, 4.0))


def spots(*rows, **more):
    table = pd.DataFrame(rows, columns=["label", "y", "x", "sigma"]).astype({"label": int})
    return table.assign(**more)


def field(size=96, seed=0):
    """mRFP, EGFP, LAMP1 and DNA of one round cell: a yellow and a red-only punctum, LAMP1 on the red-only one."""
    rng, (yy, xx) = np.random.default_rng(seed), np.mgrid[:size, :size]
    radius = np.hypot(yy - size / 2, xx - size / 2)
    labels = (radius < 44).astype(np.uint16)
    soft = 1000 / (1 + np.exp((radius - 36) / 3))

    def plane(*places):
        base = rng.normal(300, 20, labels.shape) + soft
        return base + sum(2000 * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / 8) for y, x in places)

    planes = [plane((34, 34), (60, 60)), plane((34, 34)), plane((60, 60), (60, 30)), plane()]
    return np.stack(planes, axis=-1).round().astype(np.uint16), labels


def test_a_centre_inside_the_disc_is_positive_within_one_cell():
    labels = np.ones((60, 60), np.uint16)
    labels[:, 30:] = 2
    others = spots((1, 20, 20, 2.0), (2, 20, 31, 2.0))
    radius = np.sqrt(2) * 2
    puncta = spots((1, 20, 20 + radius - 0.01, 1.0), (1, 20, 20 + radius + 0.01, 1.0), (1, 20, 29, 1.0))
    positive, _ = positive_puncta(puncta, others, labels, 8.0)
    assert positive.tolist() == [True, False, False]


def test_chance_is_the_share_of_eight_places_in_the_cell():
    labels = np.ones((40, 40), np.uint16)
    one = spots((1, 20, 20, 1.0))
    # straight below, and below to the right: two of the eight places
    diagonal = 10 / np.sqrt(2)
    others = spots((1, 30, 20, 1.0), (1, 20 + diagonal, 20 + diagonal, 1.0))
    assert positive_puncta(one, others, labels, 10.0)[1].tolist() == [2 / 8]
    narrow = np.zeros_like(labels)
    narrow[:, 18:23] = 1  # only above and below are in the cell
    assert positive_puncta(one, others.iloc[:1], narrow, 10.0)[1].tolist() == [1 / 2]
    alone = np.zeros_like(labels)
    alone[19:22, 19:22] = 1
    assert np.isnan(positive_puncta(one, others, alone, 10.0)[1]).all()


def test_chance_meets_the_covered_share_of_a_cell(rng):
    labels = np.ones((400, 400), np.uint16)
    others = spots(*((1, y, x, 3.0) for y, x in rng.uniform(0, 400, (300, 2))))
    yy, xx = np.mgrid[:400, :400]
    covered = np.zeros(labels.shape, bool)
    for row in others.itertuples():
        covered |= (yy - row.y) ** 2 + (xx - row.x) ** 2 <= 2 * row.sigma**2
    puncta = spots(*((1, y, x, 1.0) for y, x in rng.uniform(0, 399, (2000, 2))))
    positive, chance = positive_puncta(puncta, others, labels, 16.0)
    assert positive.mean() == pytest.approx(covered.mean(), abs=0.025)
    assert np.nanmean(chance) == pytest.approx(covered.mean(), abs=0.025)


def test_a_marker_on_the_red_only_punctum():
    pixels, labels = field()
    image = FieldImage.of(pixels, ("mRFP", "EGFP", "marker:LAMP1", "DNA"))
    tables = measure_field(image, labels, "f", SIZES)
    puncta, cell = tables["puncta"], tables["cells"].iloc[0]
    assert dict(zip(puncta["kind"], puncta["positive__LAMP1"])) == {"yellow": False, "red_only": True}
    assert cell["puncta__LAMP1"] == len(tables["marker_puncta"]) == 2
    assert (cell["yellow_positive__LAMP1"], cell["red_only_positive__LAMP1"]) == (0, 1)
    assert cell["puncta_positive__LAMP1"] == 0.5
    assert cell["puncta_chance__LAMP1"] == 0
    inside = labels > 0
    wanted = pearson_corr_coeff(pixels[..., 0].astype(float), pixels[..., 2].astype(float), inside)[0]
    assert cell["pearson__mRFP__LAMP1"] == pytest.approx(wanted, abs=1e-4)
    assert cell["mean__DNA"] == pytest.approx(pixels[inside, 3].mean() - tables["images"]["background__DNA"][0])
    every = documentation(tables)
    assert len(every) == sum(len(list(table)) for table in tables.values())
    assert every["meaning"].str.endswith(".").all()


def test_without_mrfp_there_are_puncta_of_egfp_and_no_kinds():
    pixels, labels = field()
    tables = measure_field(FieldImage.of(pixels[..., [1, 2]], ("EGFP", "marker:LAMP1")), labels, "f", SIZES)
    cells = tables["cells"]
    assert tables["puncta"]["kind"].tolist() == ["EGFP"]
    assert cells["puncta_total"].tolist() == cells["puncta__EGFP"].tolist() == [1]
    mean = pixels[labels > 0, 1].mean() - tables["images"]["background__EGFP"][0]
    assert cells["puncta_per_level"][0] == pytest.approx(1 / mean)
    assert not {"puncta_yellow", "red_only_fraction", "log2_ratio", "pearson", "mean__mRFP"} & set(cells)


def test_markers_alone_have_shape_light_and_puncta():
    pixels, labels = field()
    tables = measure_field(FieldImage.of(pixels[..., [2, 3]], ("marker:LAMP1", "DNA")), labels, "f", SIZES)
    assert set(tables) == {"cells", "marker_puncta", "images"}
    assert tables["cells"]["puncta__LAMP1"].tolist() == [2]
    assert not any(name.startswith("puncta_positive") or name == "puncta_total" for name in tables["cells"])


def test_two_proteins_that_are_no_reporter_are_counted_each_for_itself():
    pixels, labels = field()
    image = FieldImage.of(pixels[..., :2], ("mRFP", "EGFP"))
    tables = measure_field(image, labels, "f", MeasureSettings(puncta=SIZES.puncta, reporter="none"))
    assert sorted(tables["puncta"]["kind"]) == ["EGFP", "mRFP", "mRFP"]
    assert tables["cells"][["puncta__mRFP", "puncta__EGFP"]].iloc[0].tolist() == [2, 1]
    assert "log2_ratio" not in tables["cells"]


def test_a_reporter_needs_its_channels_and_keima_its_threshold():
    pixels, labels = field()
    with pytest.raises(InputError, match="mRFP"):
        measure_field(FieldImage.of(pixels[..., 1], ("EGFP",)), labels, "f", MeasureSettings(reporter="tandem"))
    with pytest.raises(SettingsError, match="keima_ratio"):
        MeasureSettings(reporter="mt-keima")
    with pytest.raises(SettingsError, match="choose one of"):
        MeasureSettings(reporter="rosella")
    with pytest.raises(InputError, match="no channel's role"):
        measure_field(FieldImage.of(pixels[..., 1]), labels, "f")


def test_names_of_markers_fit_into_columns():
    assert channel_name("marker:p62 / SQSTM1__a") == "p62_SQSTM1_a"
    assert measured_roles(["transmitted", "marker:b", None, "DNA", "marker:a", "EGFP"]) == [
        *("EGFP", "DNA", "marker:a", "marker:b")
    ]
    with pytest.raises(InputError, match="called p62"):
        measured_roles(["marker:p62", "marker:p62 "])
    assert describe("cells", "pearson__mRFP__p62").meaning.startswith("Pearson correlation of mRFP and p62")
    assert describe("cells", "pearson__mRFP") is None
    assert describe("cells", "mine") is None


def test_shares_of_a_cell_without_puncta_are_empty():
    pixels, labels = field()
    labels[44:52, 44:52] = 2  # between the puncta
    image = FieldImage.of(pixels, ("mRFP", "EGFP", "marker:LAMP1", "DNA"))
    cells = measure_field(image, labels, "f", SIZES)["cells"]
    assert cells["puncta__LAMP1"].tolist() == [2, 0]
    assert np.isnan(cells["puncta_positive__LAMP1"][1])

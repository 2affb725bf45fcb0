"""Figures are checked by what is in them: how many markers, where, in which colours."""

import matplotlib.colors as colors
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.decomposition import PCA

from cellular.errors import InputError
from cellular.report.linked import MARKERS as shapes_of_the_page
from cellular.report.statistics import _embed, cell_map, forest, over_time, superplot
from cellular.report.style import MARKERS, PALETTE, treatment_colours


@pytest.fixture(autouse=True)
def close_figures():
    yield
    plt.close("all")


def nested(wells=("C03", "C05", "I04", "I06"), each=30) -> pd.DataFrame:
    rng = np.random.default_rng(0)
    well = np.repeat(wells, each)
    treatment = np.where([name[0] == "C" for name in well], "fed", "starved")
    values = {f"feature_{i}": rng.normal(size=len(well)) + (treatment == "fed") * i for i in range(4)}
    return pd.DataFrame({"field": well, "well": well, "treatment": treatment, **values})


def test_superplot_shows_every_cell_and_every_unit_mean():
    cells = nested()
    cells["field"] = np.where(np.arange(len(cells)) % 3 == 0, "sparse", "crowded")
    axes = superplot(cells, "feature_2").axes[0]
    small = [c for c in axes.collections if c.get_sizes()[0] < 20]
    large = [c for c in axes.collections if c.get_sizes()[0] >= 20]
    assert sum(len(c.get_offsets()) for c in small) == len(cells)
    heights = np.concatenate([np.asarray(c.get_offsets())[:, 1] for c in large])
    means = cells.groupby(["well", "field"])["feature_2"].mean().groupby("well").mean()
    assert sorted(heights[~np.isnan(heights)]) == pytest.approx(sorted(means))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == ["fed", "starved"]
    assert "120 cells, 4 wells" in axes.get_title()


def test_superplot_says_which_cells_have_no_dot():
    """One cell in two hundred lay beyond either end of the axis, and past 4,000 cells the others were not drawn."""
    cells = nested(each=60).assign(feature_1=np.r_[1000.0, -1000, -900, np.linspace(0, 1, 237)])
    axes = superplot(cells, "feature_1").axes[0]
    bottom, top = axes.get_ylim()
    assert cells["feature_1"].between(bottom, top).sum() == 237
    assert axes.get_title() == "240 cells, 4 wells\n3 beyond the axis"
    many = nested(each=1050).assign(feature_1=0.5)
    assert superplot(many, "feature_1").axes[0].get_title() == "4,200 cells, 4 wells\n4,000 of them drawn"
    figure, _ = cell_map(nested(each=1050), ["feature_0", "feature_1"])
    assert figure.axes[0].get_title() == "4,200 cells, 2 features\n4,000 of them drawn"


def test_superplot_refuses_what_is_not_there():
    with pytest.raises(InputError, match="feature_9"):
        superplot(nested(), "feature_9")
    with pytest.raises(InputError, match="No values"):
        superplot(nested().assign(feature_1=np.nan), "feature_1")


def test_over_time_draws_the_intervals():
    rows = [
        {
            "feature": "ratio",
            "treatment": name,
            "timepoint": t,
            "mean": t + up,
            "ci_low": t + up - 1,
            "ci_high": t + up + 2,
        }
        for name, up in (("fed", 0), ("starved", 5))
        for t in (1, 2, 3)
    ]
    figure = over_time(pd.DataFrame(rows).assign(unit="well", n=3), ["ratio"])
    axes = figure.axes[0]
    assert len(axes.containers) == 2
    segments = axes.containers[0].lines[2][0].get_segments()
    assert segments[0][:, 1].tolist() == pytest.approx([0, 3])
    with pytest.raises(InputError):
        over_time(pd.DataFrame(rows), ["other"])


def test_map_separates_what_differs():
    cells = nested().assign(feature_0=lambda t: (t["treatment"] == "fed") * 10.0 + np.arange(len(t)) % 3)
    _, table = cell_map(cells, ["feature_0", "feature_3", "feature_2"])
    first = table.groupby("treatment")["first"].mean()
    assert abs(first["fed"] - first["starved"]) > 1
    assert len(table) == len(cells)
    with pytest.raises(InputError, match="two features"):
        cell_map(cells, ["feature_0"])
    with pytest.raises(InputError, match="tsne"):
        cell_map(cells, ["feature_0", "feature_1"], method="tsne")


def test_the_map_is_scikit_learns_principal_components():
    rng = np.random.default_rng(0)
    scaled = (rng.normal(size=(200, 5)) * (1, 4, 2, 0.5, 3) + 7).astype(np.float32)
    model = PCA(n_components=2, svd_solver="full")
    expected = model.fit_transform(scaled.astype(float))
    points, names = _embed(scaled.copy(), "pca", 0)
    np.testing.assert_allclose(points, expected, atol=1e-3)
    shares = [f"{share:.0%}" for share in model.explained_variance_ratio_]
    assert names == (f"component 1 ({shares[0]} of variance)", f"component 2 ({shares[1]})")


def test_forest_orders_by_size():
    effects = pd.DataFrame(
        {
            "feature": ["small", "large", "none"],
            "treatment": "drug $\\frac{",
            "control": "none",
            "standardised": [0.1, -2.0, np.nan],
            "standardised_low": [-0.1, -3, np.nan],
            "standardised_high": [0.3, -1, np.nan],
        }
    )
    axes = forest(effects).axes[0]
    assert [tick.get_text() for tick in axes.get_yticklabels()] == ["small", "large"]
    assert axes.get_title() == "drug $\\frac{ against none"
    axes.figure.canvas.draw()  # a formula that is none would raise here
    both = pd.concat([effects, effects.assign(treatment="10 nM")])
    labels = [tick.get_text() for tick in forest(both).axes[0].get_yticklabels()]
    assert sorted(labels) == ["large, 10 nM", "large, drug $\\frac{", "small, 10 nM", "small, drug $\\frac{"]
    with pytest.raises(InputError, match="No effect"):
        forest(effects.tail(1))


def test_a_treatment_looks_the_same_in_all_figures_of_a_page():
    """The control has no effect of its own: the first treatment had the control's colour of the other figures."""
    page = ["DMSO", "EBSS", "rapamycin"]
    cells = nested().assign(treatment=np.repeat(["DMSO", "EBSS", "rapamycin", "DMSO"], 30))
    mapped = cell_map(cells, ["feature_0", "feature_3"], page=page)[0].axes[0].collections
    looks = {dots.get_label(): colors.to_hex(dots.get_facecolor()[0]) for dots in mapped}
    looks = {name: looks[name].upper() for name in page}
    assert looks == dict(zip(page, PALETTE))
    effects = pd.DataFrame({"feature": "x", "treatment": page[1:], "control": "DMSO", "standardised": [1.0, -2]})
    effects = effects.assign(standardised_low=-3.0, standardised_high=3.0)
    points = {line.get_label(): line for line in forest(effects, page=page).axes[0].lines}
    assert {name: points[name].get_color() for name in page[1:]} == {name: looks[name] for name in page[1:]}
    assert [points[name].get_marker() for name in page[1:]] == list(MARKERS[1:3])
    means = pd.DataFrame({"feature": "x", "treatment": page[1:] * 2, "timepoint": [1, 1, 2, 2], "mean": 1.0})
    means = means.assign(ci_low=0.0, ci_high=2.0, unit="well")
    bars = over_time(means, ["x"], page=page).axes[0].containers
    assert {bar.get_label(): bar.lines[0].get_color() for bar in bars} == {name: looks[name] for name in page[1:]}


def seen_by(colour: str, lost: np.ndarray) -> np.ndarray:
    """A colour with one kind of cone missing (Machado et al., IEEE TVCG 15, 1291, 2009, severity 1), in linear RGB."""
    srgb = np.array(colors.to_rgb(colour))
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    return np.clip(lost @ linear, 0, 1)


PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
)


def test_twenty_treatments_and_units_differ_in_colour_or_shape():
    names = [f"t{number}" for number in range(20)]
    for treatments in (names, ["fed", *names], ["fed", "starved", *names]):
        colours = treatment_colours(treatments)
        looks = {(colours[name], MARKERS[number % len(MARKERS)]) for number, name in enumerate(treatments)}
        assert len(looks) == len(treatments)
    assert len({(PALETTE[k % len(PALETTE)], MARKERS[k % len(MARKERS)]) for k in range(20)}) == 20
    assert len(MARKERS) == len(shapes_of_the_page)


@pytest.mark.parametrize("lost", [PROTANOPIA, DEUTERANOPIA, np.eye(3)])
def test_fed_and_starved_differ_for_colour_blind_readers(lost):
    chosen = treatment_colours(["fed", "starved", "other"])
    assert len(set(chosen.values())) == 3
    pairs = [(chosen["fed"], chosen["starved"]), (chosen["fed"], chosen["other"]), (PALETTE[0], PALETTE[1])]
    for one, other in pairs:
        assert np.abs(seen_by(one, lost) - seen_by(other, lost)).max() > 0.15

"""Uneven light, told and taken out."""

import numpy as np
import pandas as pd
import pytest

from cellular.autophagy.measure.field import MeasureSettings, measure_field
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.quality.background import TILES, find_background, tile_centres
from cellular.autophagy.quality.flat_field import (
    Profile,
    correct_field,
    estimate_profile,
    given_profile,
    light_of_tiles,
    profiles_by_plate,
)
from cellular.data.image import FieldImage
from cellular.errors import InputError

V, U = tile_centres()
BOWL = 1 - 0.2 * (V**2 + U**2)


def light(profile, background, rng, fields=20, spread=0.2) -> pd.DataFrame:
    """Tiles of fields of different brightness, each tile of other cells, lit by `profile` (TILES²,)."""
    rows = []
    for number in range(fields):
        cells = np.exp(rng.normal(0, spread, TILES**2)) * 500 * (1 + number % 3)
        about = {"field": f"f{number}", "channel": "mRFP", "tile": np.arange(TILES**2), "pixels": 100}
        rows.append(pd.DataFrame(about | {"light": cells * profile, "background": background}))
    return pd.concat(rows, ignore_index=True)


def test_a_bowl_is_found_to_the_number(rng):
    found = estimate_profile(light(BOWL, 260.0, rng, spread=1e-9))
    assert found.shape == "centred"
    assert found.terms == pytest.approx([-0.2], abs=1e-6)
    assert found.offset == 260
    assert found.helps
    # mean of 1 - 0.2 r² over the square is 1 - 0.2 * 2/3
    assert found.over((200, 300))[100, 150] == pytest.approx(1 / (1 - 0.4 / 3), rel=1e-3)


def test_what_the_background_shares_with_the_profile_is_not_the_cameras(rng):
    mean = BOWL / BOWL.mean()
    found = estimate_profile(light(BOWL, 200 + 60 * mean, rng, spread=1e-9))
    assert found.offset == pytest.approx(200, abs=0.01)
    assert found.background_after == pytest.approx(0, abs=0.01)
    assert found.background_before == pytest.approx(60 * mean.std())


def test_even_light_is_left_alone(rng):
    found = estimate_profile(light(np.ones(TILES**2), 260.0, rng))
    assert not found.helps


def test_among_cells_of_many_kinds_it_is_found_within_three_percent(rng):
    found = estimate_profile(light(BOWL, 260.0, rng, fields=48, spread=0.3))
    truth = BOWL.reshape(TILES, TILES) / BOWL.mean()
    assert found.helps
    assert found.over((TILES, TILES)) == pytest.approx(truth, rel=0.03)


def test_too_few_fields_are_refused(rng):
    with pytest.raises(InputError, match="11 fields show cells"):
        estimate_profile(light(BOWL, 260.0, rng, fields=11))


def test_an_image_of_even_light_is_judged(rng):
    side = np.linspace(-1, 1, 160)
    image = 3000 * (1 - 0.2 * (side[:, None] ** 2 + side**2))
    assert given_profile(image, light(BOWL, 260.0, rng)).helps
    assert not given_profile(image, light(np.ones(TILES**2), 260.0, rng)).helps
    with pytest.raises(InputError, match="above 0"):
        given_profile(image - 3000, light(BOWL, 260.0, rng))


def test_cells_are_evened_out_and_saturated_pixels_stay_known(rng):
    side = (np.arange(64) + 0.5) / 32 - 1
    bowl = 1 - 0.2 * (side[:, None] ** 2 + side**2)
    pixels = np.round(200 + 1000 * bowl).astype(np.uint16)
    pixels[0, 0] = 65535
    image = FieldImage.of(np.stack([pixels, pixels], axis=-1), ("mRFP", "EGFP"))
    profile = estimate_profile(light(BOWL, 200.0, rng, spread=1e-9))
    found = correct_field(image, {"mRFP": profile})
    inside = found.plane("mRFP")[1:, 1:]
    assert np.ptp(inside) < 0.01 * inside.mean()
    assert np.array_equal(found.plane("EGFP"), pixels)
    assert found.saturated[0, 0].all()
    assert found.saturated.sum() == 2
    assert correct_field(image, {}) is image


def test_light_of_tiles_by_hand():
    plane = np.full((64, 64), 100.0)
    plane[:4, :8] = 600  # half of the first tile
    first = light_of_tiles(plane, find_background(plane), "mRFP").iloc[0]
    assert list(first[["light", "background", "pixels"]]) == pytest.approx([500, 100, 32])
    assert np.isnan(light_of_tiles(plane, find_background(plane), "mRFP")["light"].iloc[1])
    assert light_of_tiles(plane, find_background(plane), "transmitted")["light"].iloc[1] == 100


def test_a_bowl_off_the_middle_is_found_and_how_well_it_is_known_is_told(rng):
    askew = 1 - 0.2 * ((V - 0.3) ** 2 + U**2)
    found = estimate_profile(light(askew, 260.0, rng, spread=1e-9))
    assert found.shape == "round"
    # 1 - 0.2 (0.09 - 0.6 v + v² + u²) over its constant, 0.982
    assert found.terms == pytest.approx(np.array([0.12, 0, -0.2]) / 0.982, abs=1e-6)
    assert found.corner_error < 1e-6
    many, few = (estimate_profile(light(askew, 260.0, rng, fields=n, spread=0.3)) for n in (192, 24))
    truth = askew[-1] / askew.mean()
    for profile in (many, few):
        assert abs(profile.over((TILES, TILES))[-1, -1] / truth - 1) < 4 * profile.corner_error
    assert many.corner_error < few.corner_error < 0.2


def test_plates_have_a_profile_each_only_where_they_are_lit_differently(rng):
    one, two = (light(BOWL, 260.0, rng, fields=24).assign(plate=name) for name in "ab")
    other = light(1 + 0.25 * V, 260.0, rng, fields=24).assign(plate="b")
    for second, expected in ((two, [""]), (other, ["a", "b"]), (other[other["field"] < "f18"], [""])):
        both = pd.concat([one, second])
        both["field"] = both["plate"] + both["field"]
        plates = dict(zip(both["field"], both["plate"]))
        found = profiles_by_plate(both.drop(columns="plate"), plates)
        assert list(found) == expected
        if expected == ["a", "b"]:
            assert found["a"].over((8, 8))[0, 0] == pytest.approx(BOWL[0] / BOWL.mean(), rel=0.06)
            assert found["b"].over((8, 8))[0, 0] == pytest.approx(1 - 0.25 * 0.875, rel=0.06)


def test_whole_numbers_evened_out_by_nothing_are_measured_as_they_were(rng):
    labels = np.zeros((80, 80), np.uint16)
    labels[20:60, 20:60] = 1
    # a dark 8-bit ground shows no noise but that of rounding; nor is it seen once the pixels are fractions
    pixels = np.where(labels[:, :, None] > 0, rng.integers(3, 5, (80, 80, 2)), 2).astype(np.uint8)
    image = FieldImage.of(pixels, ("mRFP", "EGFP"))
    even = {name: Profile(name, 12, "even", np.empty(0), 0, 0, 0, 0, 0) for name in ("mRFP", "EGFP")}
    evened = correct_field(image, even)
    assert evened.pixels.dtype == np.float32
    settings = MeasureSettings(puncta=PunctaSettings(1.4, 4.0))
    before, after = (measure_field(each, labels, "f", settings) for each in (image, evened))
    assert after["images"]["noise__mRFP"].iloc[0] == pytest.approx(1 / np.sqrt(12))
    for name in ("cells", "puncta", "images"):
        pd.testing.assert_frame_equal(after[name], before[name])


@pytest.mark.parametrize("unit", [1 / 65535, 1, 1000])
def test_whether_a_profile_helps_does_not_go_by_the_unit(rng, unit):
    brighter_outwards = 260 + 40 * (V**2 + U**2)  # dividing by the bowl makes it more so
    for background, helps in ((260.0, True), (brighter_outwards, False)):
        table = light(BOWL, background, rng)
        table[["light", "background"]] *= unit
        assert estimate_profile(table).helps == helps


@pytest.mark.parametrize("fields", [5, 10])
def test_a_plate_of_few_fields_is_not_evened_out_by_another_ones_lamp(fields, rng):
    parts = []
    for plate, slope, count in (("a", 0.3, 24), ("b", -0.3, fields), ("c", 0.3, fields)):
        one = light(1 + slope * V, 260.0, rng, fields=count)
        parts.append(one.assign(field=plate + one["field"]))
    plates = {name: name[0] for part in parts for name in part["field"]}
    found = profiles_by_plate(pd.concat(parts), plates)
    assert sorted(found) == ["a", "c"]
    assert found["a"].over((8, 8))[0, 0] == pytest.approx(1 - 0.3 * 0.875, rel=0.06)
    alike = pd.concat([parts[0], parts[2]])
    assert list(profiles_by_plate(alike, plates)) == [""]

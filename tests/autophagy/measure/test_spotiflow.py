"""Places from Spotiflow, measured as all others.

The stand-in has the calls of Spotiflow 0.6; where the package itself is installed, a small model is made and used too.
"""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from pictures import field_image

from cellular.autophagy.measure.puncta import find_puncta
from cellular.autophagy.measure.puncta_settings import PunctaSettings
from cellular.autophagy.measure.spotiflow import spotiflow_detector
from cellular.autophagy.measure.unmix import unmix
from cellular.errors import InputError, MissingExtraError, SettingsError, WeightsError

SIZE = 160
SPOTS = [(50.3, 60.7, 2.0, 2000, 1900), (90.5, 50.25, 3.0, 1500, 0), (4.0, 80.0, 2.0, 2000, 0)]


@pytest.fixture(autouse=True)
def forget():
    spotiflow_detector.cache_clear()
    yield
    spotiflow_detector.cache_clear()


@pytest.fixture
def picture(rng):
    """Channels (mRFP, EGFP) with three Gaussian spots (y, x, sigma, red, green); the last is outside the one cell."""
    yy, xx = np.mgrid[:SIZE, :SIZE]
    labels = np.where(np.hypot(yy - SIZE / 2, xx - SIZE / 2) < 72, 3, 0).astype(np.uint16)
    planes = rng.normal(300, 20, (SIZE, SIZE, 2)) + 1000 * (labels > 0)[..., None]
    for y, x, sigma, *heights in SPOTS:
        planes += np.array(heights) * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * sigma**2))[..., None]
    return planes.clip(0, 65535).astype(np.uint16), labels


class Spotiflow:
    """Finds the true places, whatever the image; fetches nothing."""

    config = SimpleNamespace(is_3d=False, in_channels=1, out_channels=1)

    @classmethod
    def from_folder(cls, pretrained_path, map_location="auto"):
        if "broken" in str(pretrained_path):
            raise RuntimeError("Missing key(s) in state_dict")
        return cls()

    @classmethod
    def from_pretrained(cls, pretrained_name, verbose=True):
        raise Exception("URL fetch failure on https://example.org/general.zip")

    def predict(self, img, prob_thresh=None, verbose=True):
        assert img.ndim == 2
        return np.array([[y + 0.1, x - 0.1] for y, x, *_ in SPOTS]), SimpleNamespace(prob=np.ones(3))


@pytest.fixture
def stand_in(monkeypatch):
    model, pretrained = ModuleType("spotiflow.model"), ModuleType("spotiflow.model.pretrained")
    model.Spotiflow, pretrained.list_registered = Spotiflow, lambda: ["general", "hybiss"]
    for name, module in (
        ("spotiflow", ModuleType("spotiflow")),
        (model.__name__, model),
        (pretrained.__name__, pretrained),
    ):
        monkeypatch.setitem(sys.modules, name, module)


def folder(tmp_path, name="model"):
    (tmp_path / name).mkdir()
    for file in ("config.yaml", "best.pt"):
        (tmp_path / name / file).write_bytes(b"")
    return str(tmp_path / name)


def test_places_are_spotiflows_and_the_rest_is_measured(stand_in, picture, tmp_path):
    image, labels = picture
    settings = PunctaSettings(detector="spotiflow", spotiflow_model=folder(tmp_path))
    found = find_puncta(unmix(field_image(image), labels), labels, settings).sort_values("y", ignore_index=True)
    np.testing.assert_allclose(found[["y", "x"]], [[50.4, 60.6], [90.6, 50.15]])
    assert found["kind"].tolist() == ["yellow", "red_only"]
    assert found["sigma"].to_numpy() == pytest.approx([2, 3], rel=0.15)
    assert found["contrast__mRFP"].to_numpy() == pytest.approx([2000, 1500], rel=0.15)


def test_models_that_are_not_there(stand_in, tmp_path):
    with pytest.raises(InputError, match="general, hybiss"):
        spotiflow_detector("specific")
    with pytest.raises(WeightsError, match="could not be fetched: URL fetch failure.*give its folder"):
        spotiflow_detector("general")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"no config\.yaml and no best\.pt"):
        spotiflow_detector(str(tmp_path / "empty"))
    with pytest.raises(InputError, match="Missing key"):
        spotiflow_detector(folder(tmp_path, "broken"))
    with pytest.raises(SettingsError, match="log or spotiflow"):
        PunctaSettings(detector="eyes")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "spotiflow.model", None)
    with pytest.raises(MissingExtraError, match=r"cellular\[spotiflow\]"):
        spotiflow_detector("general")


def test_spotiflow_itself(picture, tmp_path):
    package = pytest.importorskip("spotiflow.model")
    model = package.Spotiflow(package.SpotiflowModelConfig(levels=2, initial_fmaps=4))
    model.save(str(tmp_path / "model"), which="best", update_thresholds=True)
    image, labels = picture
    settings = PunctaSettings(detector="spotiflow", spotiflow_model=str(tmp_path / "model"), spotiflow_probability=0.0)
    # an untrained network finds maxima everywhere; those in the cell that are bright spots are kept
    found = find_puncta(unmix(field_image(image), labels), labels, settings)
    assert len(found) > 10
    assert set(found["label"]) == {3}

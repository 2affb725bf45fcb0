"""Smoothed planes, responses and noise against scipy's filters and arithmetic."""

import numpy as np
import pytest
from scipy import ndimage as ndi

from cellular.autophagy.measure.scale_space import ScaleSpace, noise_at

SIGMAS = np.geomspace(1.4, 5.6, 5)


def test_layers_and_responses_are_scipys(rng):
    plane = rng.gamma(2, 20, (90, 110)).astype(np.float32)
    space = ScaleSpace(plane, SIGMAS)
    layers = [ndi.gaussian_filter(plane.astype(float), sigma, mode="mirror", truncate=9) for sigma in SIGMAS]
    responses = np.stack([-(s**2) * ndi.laplace(layer, mode="mirror") for s, layer in zip(SIGMAS, layers)])
    # Gaussians end at four sigmas
    np.testing.assert_allclose(space.layers, layers, atol=1e-3 * plane.std())
    strongest, _ = space.responses(np.ones(plane.shape, bool))
    np.testing.assert_allclose(strongest, responses.max(axis=0), atol=3e-3 * responses.std())
    scale, y, x = rng.integers(0, 5, 50), rng.integers(0, 90, 50), rng.integers(0, 110, 50)
    y[:2], x[1:3] = (0, 89), (0, 109)  # the rim too
    np.testing.assert_allclose(space.response(scale, y, x), responses[scale, y, x], atol=3e-3 * responses.std())


def test_scales_less_than_a_pixel_apart_are_smoothed_from_the_plane(rng):
    plane, sigmas = rng.normal(size=(40, 40)).astype(np.float32), np.geomspace(0.75, 2.0, 5)
    for layer, sigma in zip(ScaleSpace(plane, sigmas).layers, sigmas):
        expected = ndi.gaussian_filter(plane.astype(float), sigma, mode="mirror", truncate=9)
        np.testing.assert_allclose(layer, expected, atol=2e-3)


def test_a_spot_taken_away_leaves_nothing_even_at_the_border():
    spots = np.array([(30.3, 40.6, 2.0, 100.0), (1.2, 50.4, 3.0, 80.0), (59.0, 78.7, 1.5, 60.0)])
    yy, xx = np.mgrid[:60, :80]
    gaussians = [h * np.exp(-((yy - y) ** 2 + (xx - x) ** 2) / (2 * s**2)) for y, x, s, h in spots]
    space = ScaleSpace(sum(gaussians).astype(np.float32), SIGMAS)
    space.take_away(spots)
    # sums over pixels that end within a spot differ from integrals a little
    assert np.abs(space.layers[:, 4:-4]).max() < 0.1
    assert np.abs(space.layers).max() < 1
    space.take_away(np.empty((0, 4)))


@pytest.mark.parametrize(("spots", "tolerance"), [(0, 0.06), (500, 0.25)])
def test_noise_is_the_deviation_of_the_response_and_spots_count_for_little(rng, spots, tolerance):
    plane = rng.normal(0, 5, (300, 300)).astype(np.float32)
    allowed = np.zeros(plane.shape, bool)
    allowed[:200] = True
    layers = [ndi.gaussian_filter(plane, sigma, mode="mirror") for sigma in SIGMAS]
    expected = [sigma**2 * ndi.laplace(layer, mode="mirror").std() for sigma, layer in zip(SIGMAS, layers)]
    plane[250:] += 1000  # not allowed
    plane[20::40, 20::40] += spots
    noise = ScaleSpace(plane, SIGMAS).responses(allowed)[1]
    y, x = np.mgrid[60:150:10, 60:240:10].reshape(2, -1)
    for k in (0, 1, 2):
        assert np.median(noise_at(noise, np.full(y.size, k), y, x)) == pytest.approx(expected[k], rel=tolerance)

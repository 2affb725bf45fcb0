"""A measured run of one position at two timepoints, and a viewer without a window: no display, no OpenGL."""

import os

import pytest

from cellular.jobs.measure import measure
from cellular.jobs.simulate import simulate
from cellular.simulate.settings import SimulationSettings

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Two timepoints of one simulated position; not to be written to."""
    folder = tmp_path_factory.mktemp("napari") / "sim"
    return simulate(folder, SimulationSettings(fields=1, timepoints=2, size_px=160, diameter_px=30, cells_per_field=8))


@pytest.fixture(scope="session")
def measured(made):
    """The folder of its run, by the true label images; not to be written to."""
    out = made.folder.parent / "measured"
    measure(made.images, made.truth, out, overlays=0)
    return out


@pytest.fixture
def qtbot(request):
    """pytest-qt's, where napari and a Qt run; the plugin itself is off, so that no other test needs Qt."""
    try:
        import napari  # noqa: F401
        from pytestqt.qt_compat import qt_api
        from pytestqt.qtbot import QtBot

        qt_api.set_qt_api(None)
        from qtpy.QtWidgets import QApplication
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"needs napari, pytest-qt and a Qt binding with its system libraries: {error}")
    app = QApplication.instance() or QApplication([])
    bot = QtBot(request)
    with bot.capture_exceptions() as raised:
        yield bot
        app.processEvents()
    assert not raised, raised


@pytest.fixture
def widget(qtbot):
    """The plugin's widget on an empty viewer."""
    from napari.components import ViewerModel

    from cellular.napari.widget import CellularWidget

    made = CellularWidget(ViewerModel())
    yield made
    made.session.close()
    made.close()

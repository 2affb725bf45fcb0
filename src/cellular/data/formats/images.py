"""Images and label images on disk."""

import struct
from pathlib import Path

import cv2
import numpy as np
import tifffile

from cellular.data.formats.ome_zarr import is_ome_zarr, read_ome_zarr
from cellular.errors import InputError, MissingInputError, import_extra
from cellular.files import whole_file
from cellular.labels.checks import as_labels

TIFF_SUFFIXES = (".tif", ".tiff")
IMAGE_SUFFIXES = (*TIFF_SUFFIXES, ".png", ".jpg", ".jpeg")
VENDOR_SUFFIXES = (".czi", ".nd2", ".lif", ".lsm", ".oib", ".oif", ".oir", ".vsi", ".dv", ".ims", ".sld")
_PNG_HEADER = 33  # bytes: signature, length, "IHDR", the header and its checksum
MOST_PNG_INFLATION = 1040  # deflate cannot pack tighter than 1032 : 1
_LEAST_PAGE = 18  # bytes of a TIFF page's directory with one tag
MOST_INFLATION = 10_000  # pixels of one colour, packed as well as TIFF's codecs can

# Raw files of one field, in the order of the composite's red, green and blue.
CHANNEL_ORDER = (2, 1, 3)
CHANNEL_NAMES = {1: "EGFP", 2: "mRFP", 3: "transmitted"}


def read_image(path: str | Path) -> np.ndarray:
    """Read an image as (Y, X) or (Y, X, C), RGB order, in its own dtype (uint8, uint16 or float32).

    TIFF (also OME-TIFF and ImageJ), PNG, JPEG; OME-Zarr folders with the extra `zarr`; microscope makers' own formats
    with the extra `bioio` and the maker's plug-in.

    A TIFF whose first axis is the channels (2 to 4 planes before two longer axes) is turned channel-last.
    An alpha channel is dropped. Raises MissingInputError or InputError naming the file.
    """
    path = Path(path)
    if is_ome_zarr(path):
        return _channel_last(read_ome_zarr(path), path)
    if not path.is_file():
        raise MissingInputError(f"No such image: {path}")
    suffix = path.suffix.lower()
    if suffix in VENDOR_SUFFIXES:
        return _channel_last(_read_with_bioio(path), path)
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: unknown image format '{path.suffix}'; known: {', '.join(IMAGE_SUFFIXES)}, OME-Zarr")
    try:
        image = _read_tiff(path) if suffix in TIFF_SUFFIXES else _read_with_opencv(path)
    except InputError:
        raise
    except Exception as error:  # tifffile and its codecs raise whatever the damage makes them raise
        raise InputError(f"{path} cannot be read as an image: {error}") from error
    return _channel_last(np.squeeze(image) if image.ndim > 3 else image, path)


def _read_tiff(path: Path) -> np.ndarray:
    with tifffile.TiffFile(path) as file:
        size = path.stat().st_size
        _refuse_endless_tiff(file, size, path)
        claimed = file.series[0].nbytes
        if claimed > MOST_INFLATION * size:
            raise InputError(f"{path} claims {claimed} bytes of pixels, which its {size} bytes cannot hold")
        return file.asarray()


def _refuse_endless_tiff(file: tifffile.TiffFile, size: int, path: Path) -> None:
    """Refuse a TIFF whose chain of pages runs in a circle: it names more pages than its bytes can hold."""
    try:
        file.pages.get(size // _LEAST_PAGE + 1)
    except IndexError:
        return
    raise InputError(f"{path} is damaged: its pages run in a circle")


def _read_with_bioio(path: Path) -> np.ndarray:
    bioio = import_extra("bioio", "bioio")
    try:
        image = bioio.BioImage(path)
        if image.dims.T > 1 or image.dims.Z > 1:
            raise InputError(f"{path} has {image.dims.T} timepoints and {image.dims.Z} z planes; give one plane a file")
        return image.get_image_data("YXC", T=0, Z=0)
    except InputError:
        raise
    except Exception as error:  # each maker's plug-in has errors of its own; a missing one is named in the text
        raise InputError(f"{path} cannot be read by bioio (is its plug-in, e.g. bioio-czi, there?): {error}") from error


def _read_with_opencv(path: Path) -> np.ndarray:
    content = np.fromfile(path, np.uint8)
    if path.suffix.lower() == ".png":
        _refuse_broken_png(content.tobytes(), path)
    image = cv2.imdecode(content, cv2.IMREAD_UNCHANGED) if content.size else None
    if image is None:
        raise InputError(f"{path} cannot be read as an image: it is empty, truncated or not a {path.suffix} file")
    if image.ndim == 3:
        image = np.ascontiguousarray(image[:, :, [2, 1, 0, *range(3, image.shape[2])]])
    return image


def _refuse_broken_png(content: bytes, path: Path) -> None:
    """Refuse a PNG that claims more than its bytes can hold, before memory is set aside for it."""
    if content[12:16] == b"IHDR" and len(content) > _PNG_HEADER:
        width, height, depth = struct.unpack(">IIB", content[16:25])
        if width * height * depth // 8 > MOST_PNG_INFLATION * len(content):
            raise InputError(f"{path} claims {width} x {height} px, which its {len(content)} bytes cannot hold")
    place = 8
    while place + 8 <= len(content):
        length, kind = struct.unpack(">I4s", content[place : place + 8])
        place += 12 + length
        if place > len(content):
            raise InputError(f"{path} cannot be read as an image: its chunk {kind!r} is cut off")


def _channel_last(image: np.ndarray, path: Path) -> np.ndarray:
    if image.dtype.kind not in "uif" or image.size == 0:
        raise InputError(f"{path}: an image of shape {image.shape} and type {image.dtype} cannot be used")
    if image.dtype == np.float64:
        image = image.astype(np.float32)
    if image.ndim == 2:
        return image
    if image.ndim != 3:
        raise InputError(f"{path}: expected a 2-D image with or without channels, got shape {image.shape}")
    if image.shape[0] <= 4 < min(image.shape[1:]):
        image = np.moveaxis(image, 0, -1)
    if image.shape[2] > 16:
        raise InputError(f"{path}: shape {image.shape} looks like a z-stack or movie; give one plane a file")
    if image.shape[2] == 4 and path.suffix.lower() not in TIFF_SUFFIXES:
        image = image[:, :, :3]
    return np.ascontiguousarray(image[:, :, 0] if image.shape[2] == 1 else image)


def read_labels(path: str | Path) -> np.ndarray:
    """Read a label image (Y, X), 0 = background, as uint16 or uint32.

    Raises InputError for colour images, negative or fractional labels.
    """
    image = read_image(path)
    if image.ndim != 2:
        raise InputError(f"{path}: a label image has one channel, this one has shape {image.shape}")
    if image.dtype.kind == "f" and not np.array_equal(image, np.round(image)):
        raise InputError(f"{path}: a label image holds whole numbers, this one has fractions")
    if image.min(initial=0) < 0:
        raise InputError(f"{path}: labels are 0 (background) and up, this image has {image.min()}")
    return as_labels(image)


def write_labels(path: str | Path, labels: np.ndarray) -> Path:
    """Write a label image, 16 bit, or 32-bit TIFF above 65,535 cells. Returns the path written.

    A PNG cannot hold 32 bits: with a .png path and more than 65,535 cells the file gets the ending .tif.
    """
    path = Path(path)
    labels = as_labels(labels)
    if labels.dtype == np.uint32 and path.suffix.lower() == ".png":
        path = path.with_suffix(".tif")
    return write_image(path, labels)


def write_image(path: str | Path, image: np.ndarray) -> Path:
    """Write (Y, X) or (Y, X, C) RGB as TIFF (deflate), PNG or JPEG by its ending; whole or not at all."""
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise InputError(f"{path}: cannot write '{suffix}'; use one of {', '.join(IMAGE_SUFFIXES)}")
    with whole_file(path) as temporary:
        if suffix in TIFF_SUFFIXES:
            layout = {"photometric": "minisblack"}
            if image.ndim == 3:
                layout = {"photometric": "rgb" if image.shape[2] in (3, 4) else "minisblack", "planarconfig": "contig"}
            tifffile.imwrite(temporary, image, compression="zlib", **layout)
        else:
            pixels = image[:, :, ::-1] if image.ndim == 3 else image
            ok, encoded = cv2.imencode(suffix, pixels, [cv2.IMWRITE_JPEG_QUALITY, 95] if suffix != ".png" else [])
            if not ok:
                raise InputError(f"{path}: an image of shape {image.shape} and type {image.dtype} cannot be encoded")
            encoded.tofile(temporary)
    return path

"""TIFF of every kind that tifffile reads: plain, ImageJ, OME, MetaMorph, LSM; one plane of time and z at a time.

What a file says of itself is honoured: axes, the list of planes of an OME-TIFF, orientation, photometric
interpretation, palette, alpha. What cannot be is refused by name.
Source: TIFF 6.0 (Adobe, 1992), sections 3, 8 and 18; OME-TIFF specification.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import tifffile

from cellular.data.formats.image_info import ImageInfo, check_index
from cellular.data.formats.ome_xml import OmeImage, ome_images, parse_xml
from cellular.data.formats.pixels import apply_palette, invert_light, is_ramp, upright
from cellular.data.formats.tiff_metadata import channel_names, metamorph_axis, pixel_size, white
from cellular.errors import InputError

_LEAST_PAGE = 18  # bytes of a TIFF page's directory with one tag
MOST_INFLATION = 10_000  # pixels of one colour, packed as well as TIFF's codecs can
MOST_SUPPOSED = 4  # planes of an axis without a name that are taken for channels
_REDUCED, _MASK = 1, 4  # bits of NewSubfileType
_PHOTOMETRICS = ("MINISWHITE", "MINISBLACK", "RGB", "PALETTE", "YCBCR", "MASK")
ORIENTATION = "Orientation"


@dataclass(frozen=True)
class TiffScene:
    """One image of an open TIFF.

    Attributes
    ----------
    axes, shape : of all its pixels, outermost first; the first `lead` axes count pages, the others lie in a page.
    page_at : the page by its number along the lead axes; None for one that is nowhere.
    offset_at : where a plane's bytes begin, where they lie in the file as they are; else None.
    """

    info: ImageInfo
    keyframe: tifffile.TiffPage
    axes: str
    shape: tuple[int, ...]
    lead: int
    page_at: Callable[[int], tifffile.TiffPage | tifffile.TiffFrame | None]
    offset_at: Callable[[int], int | None]


def describe_tiff(path: Path) -> tuple[ImageInfo, ...]:
    """The images of a TIFF, from its directories alone."""
    with opened(path) as file:
        return tuple(scene.info for scene in scenes_of(file, path))


def read_tiff(
    path: Path, scene: int, t: int, z: int, *, mapped: bool = False, stored: bool = False
) -> tuple[np.ndarray, ImageInfo]:
    """One plane (Y, X, C) of time and z, and its description.

    With `mapped`, pixels that lie in the file as they are stay there. With `stored`, the numbers of the file: indices
    into a palette, 0 for white; but white as 1 where there are only these two, unless tifffile wrote the file.

    Raises InputError for an image, time or z that is not there, and for a damaged file.
    """
    with opened(path) as file:
        scenes = scenes_of(file, path)
        if not 0 <= scene < len(scenes):
            raise InputError(f"{path}: image {scene} was asked for, the file has {len(scenes)}")
        found = scenes[scene]
        check_index(found.info, t, z, path)
        image = _to_channel_last(_planes(found, path, t, z, mapped), found.axes)
        return _as_light(image, found, path, stored), found.info


@contextmanager
def opened(path: Path) -> Iterator[tifffile.TiffFile]:
    """The file, with everything that reads other files switched off: planes of theirs would be mixed in."""
    with tifffile.TiffFile(path, is_mmstack=False, is_ndtiff=False) as file:
        _check_chain(file, path)
        yield file


def _check_chain(file: tifffile.TiffFile, path: Path) -> None:
    """Refuse a TIFF whose chain of pages runs in a circle (more pages than its bytes can hold) or is cut off."""
    try:
        file.pages.get(path.stat().st_size // _LEAST_PAGE + 1)
    except IndexError:
        pass
    else:
        raise InputError(f"{path} is damaged: its pages run in a circle")
    file.filehandle.seek(file.pages.next_page_offset or 0)  # a chain without an end is refused by its header
    following = file.filehandle.read(file.tiff.offsetsize)
    if len(following) < file.tiff.offsetsize or any(following):
        raise InputError(f"{path} is truncated or damaged: the page after its {len(file.pages)} is not there")


def companion_of(path: Path) -> Path | None:
    """The file beside an OME-TIFF that its OME-XML is in; None where it is in the TIFF, or is not here."""
    with opened(path) as file:
        description = file.ome_metadata
    return _companion(parse_xml(description), path) if description else None


def _companion(root: ElementTree.Element, path: Path) -> Path | None:
    told = root.find("{*}BinaryOnly")
    if told is None:
        return None
    beside = path.parent / Path(told.get("MetadataFile", "").replace("\\", "/")).name
    return beside if beside.is_file() else None


def scenes_of(file: tifffile.TiffFile, path: Path) -> list[TiffScene]:
    """The images in an open TIFF, by its OME-XML or else by tifffile; InputError where there is none."""
    description = file.ome_metadata
    scenes = _ome_scenes(file, path, description) if description else None
    if scenes is None:
        file.is_ome = False
        scenes = [
            _series_scene(file, path, series)
            for series in file.series
            if not series.keyframe.subfiletype & (_REDUCED | _MASK)
        ]
    if not scenes:
        raise InputError(f"{path} holds no image")
    return [replace(scene, info=replace(scene.info, scene=n)) for n, scene in enumerate(scenes)]


# --- which page holds what


def _ome_scenes(file: tifffile.TiffFile, path: Path, text: str) -> list[TiffScene] | None:
    """Scenes by the file's OME-XML; None where that is in a companion file that is not here."""
    root = parse_xml(text)
    uuid = root.get("UUID")
    if root.find("{*}BinaryOnly") is not None:
        if (beside := _companion(root, path)) is None:
            return None
        root = parse_xml(beside.read_text(encoding="utf-8"))
    if root.find("{*}Image") is None:
        return None
    images = ome_images(root, uuid, path.name, len(file.pages))
    if not images:
        raise InputError(f"{path}: its OME-XML lists no plane of this file; was it renamed?")
    listed = {ifd for image in images for ifd in image.planes.values()}
    shapes = {file.pages[ifd].shape for ifd in listed}
    others = [file.pages[n].aspage() for n in range(len(file.pages)) if n not in listed]
    if lost := [page for page in others if page.shape in shapes and not page.subfiletype & (_REDUCED | _MASK)]:
        raise InputError(
            f"{path}: its OME-XML lists {len(listed)} pages, and the file has {len(lost)} more of the kind; was it put "
            "together of several files? Save it again, with what its pages are"
        )
    return [_ome_scene(file, path, image) for image in images]


def _ome_scene(file: tifffile.TiffFile, path: Path, image: OmeImage) -> TiffScene:
    # Planes that are in no other file are this one's, also where it has lost them.
    own = {axis: sorted({plane[i] for plane in image.planes} | _nowhere(image, i)) for i, axis in enumerate("TZC")}
    keyframe = file.pages[min(image.planes.values())].aspage()
    shape = tuple(len(own[axis]) for axis in "TZC")

    def page_at(number: int) -> tifffile.TiffPage | tifffile.TiffFrame | None:
        t, z, c = np.unravel_index(number, shape)
        ifd = image.planes.get((own["T"][t], own["Z"][z], own["C"][c]))
        return None if ifd is None else file.pages[ifd]

    names = tuple(image.channels[c] for c in own["C"])
    scene = _scene(file, path, keyframe, "TZC" + keyframe.axes, shape + keyframe.shape, 3, page_at, image.name, names)
    bits = white(file, keyframe, image.bits)
    times = tuple(own["T"]) if image.sizes["T"] > 1 else ()
    apart = len({z for _, z, _ in image.elsewhere} - set(own["Z"]))
    told = replace(scene.info, pixel_size_um=image.pixel_size_um, white=bits, times=times, slices_elsewhere=apart)
    return replace(scene, info=told)


def _nowhere(image: OmeImage, axis: int) -> set[int]:
    """Places along one axis (0 T, 1 Z, 2 C) that have no plane in another file."""
    taken = {plane[axis] for plane in image.elsewhere}
    return set(range(image.sizes["TZC"[axis]])) - taken


def _series_scene(file: tifffile.TiffFile, path: Path, series: tifffile.TiffPageSeries) -> TiffScene:
    keyframe, axes, shape = series.keyframe, series.axes, tuple(series.shape)
    if series.kind == "stk" and len(axes) > len(keyframe.axes):
        axes = metamorph_axis(file, path) + axes[1:]
    planes = int(np.prod(shape, dtype=np.int64)) // max(keyframe.size, 1)
    lead = next((n for n in range(len(shape)) if np.prod(shape[:n], dtype=np.int64) == planes), None)
    # Of a stack that ImageJ wrote as one block, tifffile's series has one page, the file as many as it likes.
    pages, claimed = len(file.pages) if file.is_imagej else len(series), np.prod(shape, dtype=np.int64)
    unknown = file.is_imagej and series.kind != "imagej"  # then tifffile goes on as if ImageJ had said nothing
    if lead is None or planes * keyframe.size != claimed or pages > planes or unknown:
        told = " ".join((file.pages.first.description if file.is_imagej else str(shape)).split()[:5])
        raise InputError(
            f"{path}: its {pages} pages of {keyframe.shape} do not make up what it claims ({told}); it was cut off or "
            "changed: save it again"
        )
    virtual = series.dataoffset if len(series) < planes else None

    def page_at(number: int) -> tifffile.TiffPage | tifffile.TiffFrame | None:
        return series[number] if number < len(series) else None

    scene = _scene(file, path, keyframe, axes, shape, lead, page_at, series.name or None, ())
    if virtual is None:
        return scene
    return replace(scene, offset_at=lambda number: virtual + number * keyframe.nbytes)


def _scene(
    file: tifffile.TiffFile,
    path: Path,
    keyframe: tifffile.TiffPage,
    axes: str,
    shape: tuple[int, ...],
    lead: int,
    page_at: Callable[[int], tifffile.TiffPage | tifffile.TiffFrame | None],
    name: str | None,
    names: tuple[str, ...],
) -> TiffScene:
    axes, undeclared = _named_axes(axes, shape, path)
    sizes = dict.fromkeys("TZC", 1) | {axis: 1 for axis in "YX"}
    for axis, size in zip(axes, shape):
        if axis in sizes and size > 1:
            sizes[axis] *= size
    samples = shape[axes.index("S")] if "S" in axes else 1
    if samples > 1 and sizes["C"] > 1:
        raise InputError(f"{path} has {sizes['C']} channels of {samples} samples each; save one channel a plane")
    kind = photometric(keyframe, path)
    coloured = kind == "PALETTE" and not is_ramp(_colormap(keyframe))
    rgb = coloured or (samples >= 3 and kind in ("RGB", "YCBCR"))
    sizes["C"] = 3 if coloured else sizes["C"] * (samples - len(_alphas(keyframe, samples)))
    if keyframe.tags.valueof(ORIENTATION, default=1) > 4:
        sizes["Y"], sizes["X"] = sizes["X"], sizes["Y"]
    dtype = np.dtype(np.uint8) if keyframe.dtype == bool or coloured else np.dtype(keyframe.dtype)
    if dtype.kind not in "uif" or 0 in shape:
        raise InputError(f"{path}: an image of shape {shape} and type {keyframe.dtype} cannot be used")
    names = names if len(names) == sizes["C"] else channel_names(file, sizes["C"])
    info = ImageInfo(0, name, sizes, dtype, names, rgb, pixel_size(file, keyframe), white(file, keyframe), undeclared)

    def offset_at(number: int) -> int | None:
        page = page_at(number)
        return page.dataoffsets[0] if page is not None and page.is_memmappable else None

    return TiffScene(info, keyframe, axes, shape, lead, page_at, offset_at)


def _named_axes(axes: str, shape: tuple[int, ...], path: Path) -> tuple[str, bool]:
    """Axes with T, Z, C, S, Y and X alone (a "1" for any other of one plane), and whether C is only supposed."""
    if len(shape) == 3 and axes == "QYX" and shape[2] <= MOST_SUPPOSED < min(shape[:2]):
        return "YXC", True  # an array (Y, X, C) written without a word, row by row
    named = [axis if axis in "TZCSYX" or size > 1 else "1" for axis, size in zip(axes, shape)]
    odd = [n for n, axis in enumerate(named) if axis not in "TZCSYX1"]
    for n in odd:
        if named[n] not in "IQ" or len(odd) > 1 or "C" in named or shape[n] > MOST_SUPPOSED:
            raise InputError(
                f"{path}: {shape[n]} planes along an axis that the file does not name as channels, z or time; this "
                "looks like a z-stack or movie: give one plane a file, or save it as OME-TIFF or from ImageJ"
            )
        named[n] = "C"
    found = "".join(named)
    if not {"X", "Y"} <= set(found) or any(found.count(axis) > 1 for axis in "TZCSYX"):
        raise InputError(f"{path}: axes {axes} of shape {shape} are no image")
    return found, bool(odd)


# --- pixels


def _planes(scene: TiffScene, path: Path, t: int, z: int, mapped: bool) -> np.ndarray:
    """Pixels of one time and z, with the axes of the scene, T and Z having one plane."""
    where = {"T": t, "Z": z}
    kept = [[where[a]] if a in where else list(range(n)) for a, n in zip(scene.axes[: scene.lead], scene.shape)]
    numbers = [0] if not scene.lead else np.ravel_multi_index(np.ix_(*kept), scene.shape[: scene.lead]).ravel().tolist()
    inner = scene.shape[scene.lead :]
    pixels = _read_pages(scene, path, numbers, mapped).reshape(*(len(places) for places in kept), *inner)
    chosen = [slice(where[a], where[a] + 1) if a in where else slice(None) for a in scene.axes[scene.lead :]]
    return pixels[(slice(None),) * scene.lead + tuple(chosen)]


def _read_pages(scene: TiffScene, path: Path, numbers: Sequence[int], mapped: bool) -> np.ndarray:
    page, size = scene.keyframe, path.stat().st_size
    if len(numbers) * page.nbytes > MOST_INFLATION * size:
        raise InputError(
            f"{path} claims {len(numbers) * page.nbytes} bytes of pixels, its {size} bytes cannot hold them"
        )
    offsets = [offset for number in numbers if (offset := scene.offset_at(number)) is not None]
    if len(offsets) == len(numbers) and offsets == [offsets[0] + n * page.nbytes for n in range(len(offsets))]:
        if offsets[-1] + page.nbytes > size:
            raise InputError(f"{path} is truncated: its pixels end at byte {offsets[-1] + page.nbytes} of {size}")
        dtype = np.dtype(page.dtype).newbyteorder(page.parent.byteorder)
        raw = np.memmap(path, dtype, "r", offsets[0], (len(numbers), *page.shape))
        return raw if mapped and dtype.isnative else np.array(raw, page.dtype)
    return np.stack([_read_page(scene, path, number, size) for number in numbers])


def _read_page(scene: TiffScene, path: Path, number: int, size: int) -> np.ndarray:
    page, key = scene.page_at(number), scene.keyframe
    if page is None:
        places = np.unravel_index(number, scene.shape[: scene.lead])
        named = ", ".join(f"{axis} = {place}" for axis, place in zip(scene.axes, places))
        raise InputError(
            f"{path}: the plane at {named} is nowhere; the file is truncated, or a file of its set is lost"
        )
    if page.shape != key.shape or page.dtype != key.dtype:
        raise InputError(f"{path}: page {page.index} is {page.shape} {page.dtype}, others {key.shape} {key.dtype}")
    for offset, count in zip(page.dataoffsets, page.databytecounts):
        if not count or offset + count > size:
            raise InputError(f"{path} is truncated: a part of its pixels is at byte {offset} of {size}")
    return page.asarray()


def _to_channel_last(image: np.ndarray, axes: str) -> np.ndarray:
    """(Y, X, C or S) of an array with `axes`, in which at most one of C and S is longer than 1."""
    order = [axes.index(axis) for axis in "YX"]
    rest = [n for n in range(len(axes)) if n not in order]
    moved = image.transpose(*order, *rest)
    return moved.reshape(*moved.shape[:2], -1)


def _as_light(image: np.ndarray, scene: TiffScene, path: Path, stored: bool) -> np.ndarray:
    """Pixels as the file means them: bright is much light, upright, without alpha."""
    page = scene.keyframe
    kind, alphas = photometric(page, path), _alphas(page, image.shape[2])
    if image.dtype == bool:
        image = image.view(np.uint8)
    if alphas:
        image = image[:, :, [n for n in range(image.shape[2]) if n not in alphas]]
    # tifffile calls 0 white in any array of true and false; other programs store what is white as 0
    two = page.bitspersample == 1 and not _by_tifffile(page)
    if kind == "MINISWHITE" and not page.parent.is_imagej and (two or not stored):
        image = invert_light(image, page.bitspersample, path)
    if not stored and kind == "PALETTE" and not is_ramp(_colormap(page)):
        image = apply_palette(image[:, :, 0], _colormap(page))
    return upright(image, page.tags.valueof(ORIENTATION, default=1), path)


def _by_tifffile(page: tifffile.TiffPage) -> bool:
    """Whether tifffile wrote it, by its software, which may be the caller's name, or its description."""
    file = page.parent
    return page.software.startswith("tifffile") or file.is_shaped or 'Creator="tifffile' in (file.ome_metadata or "")


def photometric(page: tifffile.TiffPage, path: Path) -> str:
    """What a page's samples are (MINISBLACK, MINISWHITE, PALETTE, RGB); InputError for what cannot be read."""
    kind = getattr(page.photometric, "name", str(page.photometric))
    # The JPEG codecs give RGB; other packings leave luminance and chroma as they are.
    packed = getattr(page.compression, "name", "") in ("JPEG", "OJPEG", "JPEG_2000_LOSSY", "APERIO_JP2000_YCBC")
    if kind not in _PHOTOMETRICS or (kind == "YCBCR" and not packed):
        raise InputError(f"{path}: pixels are stored as {kind}; save it as grey or RGB")
    return kind


def _alphas(page: tifffile.TiffPage, samples: int) -> set[int]:
    """Which samples of a pixel are alpha: the extra ones come last."""
    extra = tuple(page.extrasamples or ())
    if samples != page.samplesperpixel:
        return set()
    return {samples - len(extra) + n for n, kind in enumerate(extra) if int(kind) in (1, 2)}


def _colormap(page: tifffile.TiffPage) -> np.ndarray:
    """Palette (N, 3) uint8."""
    return (np.asarray(page.colormap).T >> 8).astype(np.uint8)

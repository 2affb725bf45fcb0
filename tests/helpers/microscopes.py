"""A small plate of reporter cells with known puncta, in the layouts that microscopes write."""

import zlib
from pathlib import Path

import numpy as np
import tifffile
from scipy import ndimage

from cellular.data.formats.images import write_labels

PIXEL_UM = 0.3
# Yellow and red-only puncta in each of a field's cells, by well, the last cell has one more of both; on this plate the
# fed well is in row I.
WELLS = {"I02": (0, 1), "C03": (2, 2)}
TREATMENTS = {"I02": "DMSO", "C03": "EBSS"}
PLATES = {"P1": "240301", "P2": "240308", "P3": "240315"}
_CENTRES = ((32, 32), (32, 96), (96, 32), (96, 96))
_PLACES = ((-12, 0), (-4, -12), (-4, 12), (8, -8), (8, 8), (16, 0))


def labels() -> np.ndarray:
    """(128, 128) four discs of 44 px."""
    y, x = np.mgrid[:128, :128]
    result = np.zeros((128, 128), np.uint16)
    for n, (cy, cx) in enumerate(_CENTRES, 1):
        result[(y - cy) ** 2 + (x - cx) ** 2 < 22**2] = n
    return result


def planes(yellow: int, red_only: int, seed: int) -> np.ndarray:
    """(3, 128, 128) uint16: DNA, EGFP, mRFP, in the order of the files' channels."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:128, :128]
    light = 300 * np.sqrt(sum(np.clip(1 - np.hypot(y - cy, x - cx) / 22, 0, 1) for cy, cx in _CENTRES))
    dna, egfp, mrfp = np.zeros((128, 128)), light.copy(), light.copy()
    for n, (cy, cx) in enumerate(_CENTRES):
        more = n == len(_CENTRES) - 1
        dna[(y - cy) ** 2 + (x - cx) ** 2 < 36] = 2000
        for k, (dy, dx) in enumerate(_PLACES[: yellow + red_only + 2 * more]):
            spot = 2500 * np.exp(-((y - cy - dy) ** 2 + (x - cx - dx) ** 2) / (2 * 1.5**2))
            mrfp += spot
            egfp += spot if k < yellow + more else 0
    blurred = ndimage.gaussian_filter(np.stack([dna, egfp, mrfp]), (0, 1, 1))
    return (blurred + 200 + rng.normal(0, 5, (3, 128, 128))).clip(0, 65535).astype(np.uint16)


def imagexpress(out, plate, date, well, image):
    for n, plane in enumerate(image, 1):
        tifffile.imwrite(out / f"{plate}_{well}_s1_w{n}.TIF", plane)
        tifffile.imwrite(out / f"{plate}_{well}_s1_w{n}_thumb.TIF", plane[::4, ::4])


def imagexpress_tree(out, plate, date, well, image):
    folder = out / f"20{date[:2]}-{date[2:4]}-{date[4:]}" / plate[1:] / "TimePoint_1"
    folder.mkdir(parents=True, exist_ok=True)
    for n, plane in enumerate(image, 1):
        guid = f"0F2E3D4C-{n:04X}-4BBB-8CCC-{zlib.crc32((plate + well).encode()):012X}"
        tifffile.imwrite(folder / f"{plate}_{well}_s1_w{n}{guid}.tif", plane)


def phenix(out, plate, date, well, image):
    folder = out / f"{plate}__20{date[:2]}-{date[2:4]}-{date[4:]}T10_00_00-Measurement 1" / "Images"
    folder.mkdir(parents=True, exist_ok=True)
    row, column = ord(well[0]) - 64, int(well[1:])
    lines = []
    for n, (name, plane) in enumerate(zip(("HOECHST 33342", "EGFP", "mRFP1"), image), 1):
        file = f"r{row:02d}c{column:02d}f01p01-ch{n}sk1fk1fl1.tiff"
        tifffile.imwrite(folder / file, plane)
        lines.append(
            f"<Image><State>Ok</State><URL>{file}</URL><Row>{row}</Row><Col>{column}</Col><FieldID>1</FieldID>"
            f"<PlaneID>1</PlaneID><TimepointID>0</TimepointID><ChannelID>{n}</ChannelID><ChannelName>{name}</ChannelName>"
            f'<ImageResolutionX Unit="m">{PIXEL_UM}E-06</ImageResolutionX>'
            f'<ImageResolutionY Unit="m">{PIXEL_UM}E-06</ImageResolutionY></Image>'
        )
    index = folder / "Index.idx.xml"
    before = index.read_text().split("<Images>")[1].split("</Images>")[0] if index.exists() else ""
    head = (
        '<?xml version="1.0" encoding="utf-8"?><EvaluationInputData xmlns="http://www.perkinelmer.com/PEHH/HarmonyV5">'
    )
    index.write_text(f"{head}<Images>{before}{''.join(lines)}</Images></EvaluationInputData>")


def incell(out, plate, date, well, image):
    (out / plate).mkdir(exist_ok=True)
    for wave, plane in zip(("DAPI - DAPI", "FITC - FITC", "TexasRed - TexasRed"), image):
        tifffile.imwrite(out / plate / f"{well[0]} - {well[1:]}(fld 1 wv {wave}).tif", plane)


def ometiff(out, plate, date, well, image):
    about = {"axes": "CYX", "PhysicalSizeX": PIXEL_UM, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": PIXEL_UM}
    about |= {"PhysicalSizeYUnit": "µm", "Channel": {"Name": ["Hoechst", "GFP", "mRFP"]}}
    tifffile.imwrite(out / f"{plate}_{well}_s1.ome.tif", image, metadata=about)


def folders(out, plate, date, well, image):
    (out / plate / well).mkdir(parents=True, exist_ok=True)
    for name, plane in zip(("DAPI", "GFP", "mRFP"), image):
        tifffile.imwrite(out / plate / well / f"s1_{name}.tif", plane)


def gen5(out, plate, date, well, image):
    (out / plate).mkdir(exist_ok=True)
    for n, (name, plane) in enumerate(zip(("DAPI", "GFP", "RFP"), image), 1):
        tifffile.imwrite(out / plate / f"{well[0]}{int(well[1:])}_01_{n}_1_{name}_001.tif", plane)


def nikon(out, plate, date, well, image):
    for name, plane in zip(("DAPI", "GFP", "RFP"), image):
        tifffile.imwrite(out / f"{plate}_Well{well}_Point{well}_0001_Channel{name}_Seq0000.tif", plane)


def micromanager(out, plate, date, well, image):
    folder = out / plate / f"{well[0]}{int(well[1:])}-Site_1"
    folder.mkdir(parents=True)
    for name, plane in zip(("DAPI", "GFP", "mCherry"), image):
        tifffile.imwrite(folder / f"img_000000000_{name}_000.tif", plane)


_LAYOUTS = (imagexpress, imagexpress_tree, phenix, incell, ometiff, folders, gen5, nikon, micromanager)
LAYOUTS = {f.__name__: f for f in _LAYOUTS}
# Where names say nothing of the channels, the user does.
CHANNELS = ("mRFP=w3", "EGFP=w2", "DNA=w1")


def write_plate(folder: Path, layout: str) -> Path:
    """Write the plate; returns its folder. Beside it go ``labels`` and ``map.csv``."""
    out = folder / layout
    out.mkdir(parents=True)
    for p, (plate, date) in enumerate(PLATES.items()):
        for w, (well, counts) in enumerate(WELLS.items()):
            LAYOUTS[layout](out, plate, date, well, planes(*counts, seed=10 * p + w))
            write_labels(folder / "labels" / f"{plate}_{well}_s1_masks.tif", labels())
    rows = [f"{plate},{well},{TREATMENTS[well]},{date}" for plate, date in PLATES.items() for well in WELLS]
    (folder / "map.csv").write_text("plate,well,treatment,replicate\n" + "\n".join(rows) + "\n")
    return out

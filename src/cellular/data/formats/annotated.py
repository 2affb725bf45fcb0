"""Fields annotated in any lab's format, as `prepare` takes them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from dataclasses import field as dataclass_field
from functools import lru_cache
from pathlib import Path

from cellular.data.fields import possible_fields, split_channel
from cellular.data.formats.annotation import DEFAULT_CLASS, Remarks
from cellular.data.formats.coco import coco_stems, open_coco
from cellular.data.formats.endings import cellpose_rank, named_format
from cellular.data.formats.imagej import check_rois
from cellular.data.formats.read import OtherJsonError, format_of, read_annotations
from cellular.data.formats.suffixes import IMAGE_SUFFIXES, field_name, kind_of, same_name, suffix_of
from cellular.data.formats.yolo import CLASS_LISTS, class_list
from cellular.data.masks.sources import MaskCell, Sources, index_images, listing_hash, natural
from cellular.errors import InputError, MissingInputError
from cellular.files import sha256_of

_PLACES = ("labels", "masks", "annotations")  # folders of annotations beside images
_NO_FIELDS = ("images", "images-color", *_PLACES)
NOT_CELLS = (*CLASS_LISTS, "train.txt", "valid.txt", "val.txt", "test.txt", "notes.json", "labels.txt")


@dataclass(frozen=True)
class AnnotatedSources(Sources):
    """Fields with images and an annotation file each, or one for many.

    Attributes
    ----------
    files : annotation file by field; where several claim one field, a sentence that says so.
    said : what is worth knowing of the folder.
    """

    files: dict[str, Path | str] = dataclass_field(default_factory=dict)
    said: tuple[str, ...] = ()

    def listing(self, field: str) -> tuple[str, list[str]]:
        """A hash that changes with the content of the field's annotations, their class list and its list of images."""
        images = listing_hash(self.images.get(same_name(field), []))
        if isinstance(self.files[field], str):
            return images, []
        digests = [_digest(file, *_stamp(file)) for file in self._annotations_of(field)]
        return hashlib.sha256("".join([images, *digests]).encode()).hexdigest(), []

    def files_of(self, field: str) -> list[Path]:
        """The field's images, its annotations and their class list."""
        return [*(entry.path for entry in self.images.get(same_name(field), [])), *self._annotations_of(field)]

    def _annotations_of(self, field: str) -> list[Path]:
        path = self.files[field]
        if isinstance(path, str):
            return []
        names = class_list(path) if path.suffix.lower() == ".txt" else None
        return [*([path] if path.is_file() else []), *([names] if names else [])]

    def cells(self, field: str, shape: tuple[int, int], remarks: Remarks) -> Iterator[MaskCell]:
        """The field's cells; none where somebody looked and found none.

        Raises InputError where its annotations cannot be used.
        """
        path = self.files[field]
        if isinstance(path, str):
            raise InputError(path)
        annotations = read_annotations(path, shape, field=field, remarks=remarks)
        boxes = sum(not annotation.drawn for annotation in annotations)
        if boxes:
            remarks.notices.append(
                f"{field}: {boxes} cells have a box and no outline; each became the ellipse inside its box"
            )
        for annotation in annotations:
            yield _folder_name(annotation.class_name), annotation.source, annotation.cell

    def hold(self, output: Path) -> bool:
        """Whether `output` is or lies in a folder that is looked through for annotations."""
        folders = {place.resolve() for place in (self.masks, *(self.masks / name for name in _PLACES))}
        return output.resolve() in folders or bool(set(output.resolve().parents) & (folders - {self.masks.resolve()}))

    def classes(self) -> set[str] | None:
        """Not known before the files are read."""
        return None

    def notices(self) -> list[str]:
        """What is worth knowing of the folder."""
        return list(self.said)


def _folder_name(class_name: str) -> str:
    """A class as the name of a folder: QuPath's "fed: positive" can be one; a slash, a line's end, nothing cannot."""
    name = "".join("_" if c in "/\\" or not c.isprintable() else c for c in class_name).strip()
    return name or DEFAULT_CLASS


def _stamp(path: Path) -> tuple[int, int]:
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns


@lru_cache(maxsize=64)
def _digest(path: Path, size: int, modified: int) -> str:
    return sha256_of(path)


def annotated_fields(source: str | Path, images: str | Path | None = None) -> AnnotatedSources:
    """Images and annotations from a file of annotations, or a folder of them.

    Of a folder, its ``labels``, ``masks`` and ``annotations`` are searched too.

    Parameters
    ----------
    source : a COCO file for all fields, one field's file, or a folder.
    images : folder of the images; None takes the one that :func:`images_beside` finds.

    Raises MissingInputError or InputError; also where no annotation is of any image.
    """
    source = Path(source)
    folder = Path(images) if images is not None else images_beside(source)
    if not folder.is_dir():
        raise MissingInputError(f"No such folder of images: {folder}")
    if source.is_file() and source.suffix.lower() == ".zip":
        check_rois(source)
    pictures = index_images(folder)
    if not pictures:
        raise MissingInputError(f"{folder} holds no image that {source} could be of; name the folder of the images")
    spelled = {_spelling(key, entries[0].path) for key, entries in pictures.items()}
    files, said = find_annotations(source, spelled, plain=source.is_dir() and not source.samefile(folder))
    return AnnotatedSources(source, folder, tuple(sorted(files, key=natural)), pictures, files, tuple(said))


def _spelling(key: str, image: Path) -> str:
    """The field's name as its image's file has it."""
    name = split_channel(image.stem)[0]
    return name if same_name(name) == key else key


def find_annotations(
    source: str | Path, fields: set[str], *, plain: bool = False
) -> tuple[dict[str, Path | str], list[str]]:
    """Annotation file of every field in `fields` that has one, and sentences on what was found of no field.

    A field with two annotation files gets the sentence that says so; of the several that Cellpose writes of one image
    the one that its GUI corrects is taken. With `plain`, a folder without any such file holds label images under the
    fields' own names. JSON of another kind is left out of a folder that has annotations. A source without any
    annotation of `fields` raises InputError.
    """
    source = Path(source)
    if not source.exists():
        raise MissingInputError(f"No such annotations: {source}")
    keys = {same_name(field): field for field in fields}
    claims: dict[str, list[Path]] = defaultdict(list)
    said: list[str] = []
    homeless: list[str] = []
    others: list[OtherJsonError] = []
    files = [source] if source.is_file() else _files(source)
    named = [path for path in files if source.is_file() or named_format(path)]
    if plain and not named:
        named = [path for path in files if path.parent == source and kind_of(path) == "image"]
        claims |= {keys[key]: [path] for path in named if (key := same_name(field_name(path))) in keys}
        named = [] if claims else named
    for path in named:
        try:
            told = _stems(path, said, alone=source.is_file())
        except OtherJsonError as error:
            others.append(error)
            continue
        for stems in told:
            names = [name for stem in stems for name in possible_fields(stem)]
            field = next((keys[name] for name in names if name in keys), None)
            if field is None:
                homeless.append(f"{stems[0]} ({path.name})")
            elif path not in claims[field]:
                claims[field].append(path)
    if not claims:
        if others:
            raise others[0]
        if not homeless:
            raise InputError(f"{source} holds no label images or annotations: {_no_annotations(source)}")
        raise InputError(
            f"{source} holds annotations of none of the {len(fields)} fields with images, such as {min(fields)}: "
            f"the first that it holds is of {homeless[0]}"
        )
    if others:
        said.append(f"{len(others)} JSON file(s) without annotations were left out, first: {others[0]}")
    if homeless:
        said.append(f"annotations of {len(homeless)} image(s) that are not there were left out, first {homeless[0]}")
    return {field: _one_of(field, paths, said) for field, paths in claims.items()}, said


def _no_annotations(source: Path) -> str:
    """What a folder without any annotation file holds, in words."""
    names = [path.name for path in _files(source)]
    known = "<field>_masks.tif or .png, _seg.npy, _rois.zip, .geojson, .txt of YOLO, or a .json of COCO"
    return f"{names[0] + ' is' if names else 'there is'} none that is read; those are {known}"


def _files(source: Path) -> list[Path]:
    folders = [source, *(source / name for name in _PLACES)]
    files = (path for folder in folders if folder.is_dir() for path in sorted(folder.iterdir()) if path.is_file())
    return [
        path
        for path in files
        if path.name[0] != "." and path.name.lower() not in NOT_CELLS and not path.name.lower().startswith("readme")
    ]


def _stems(path: Path, said: list[str], alone: bool) -> Iterable[list[str]]:
    """For each image that a file is about the names it may have."""
    if named_format(path) is None:
        if alone:
            raise InputError(f"{path} is called like no annotation file; see docs/formats.md for the endings")
        return []
    if path.suffix.lower() != ".json" or format_of(path) != "coco":
        return [[field_name(path)]]
    content = open_coco(path)
    if content.orphans():
        said.append(f"{content.orphans()} annotation(s) of {path} belong to no image in it; left out")
    return [stems for image in content.images if (stems := coco_stems(image))]


def _one_of(field: str, paths: list[Path], said: list[str]) -> Path | str:
    if len(paths) == 1:
        return paths[0]
    ranks = {rank: path for path in paths if (rank := cellpose_rank(path)) is not None}
    if len(ranks) < len(paths):
        return f"Two annotations of field {field}: {paths[0]} and {paths[1]}; remove one"
    best = ranks[min(ranks)]
    said.append(f"{field}: Cellpose wrote {len(paths)} files of it; {best.name} was taken")
    return best


def is_published_layout(folder: str | Path, masks: str = "masks") -> bool:
    """Whether `folder`, or its folder called `masks`, holds ``<field>/<class>/`` folders of per-cell masks."""
    inside = Path(folder) / masks
    top = inside if masks and inside.is_dir() else Path(folder)
    fields = (path for path in top.iterdir() if path.is_dir() and path.name not in _NO_FIELDS) if top.is_dir() else ()
    classes = (path for field in fields for path in field.iterdir() if path.is_dir())
    return any(suffix_of(path) in IMAGE_SUFFIXES for name in classes for path in name.iterdir() if path.is_file())


def images_beside(source: str | Path) -> Path:
    """Folder of the images that go with annotations: ``images-color`` or ``images`` near `source`, else its own.

    For YOLO's ``labels/train`` it is ``images/train``, as Ultralytics has it.
    """
    folder = Path(source) if Path(source).is_dir() else Path(source).parent
    if "labels" in folder.parts:
        at = len(folder.parts) - 1 - folder.parts[::-1].index("labels")
        twin = Path(*folder.parts[:at], "images", *folder.parts[at + 1 :])
        if twin.is_dir():
            return twin
    named = (place / name for place in (folder, folder.parent) for name in ("images-color", "images"))
    return next((path for path in named if path.is_dir()), folder)

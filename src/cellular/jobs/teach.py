"""`cellular teach`: a model and corrected fields in; a fine-tuned model, and what it is worth on others, out."""

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from cellular.data.plate import FieldFiles, Plate
from cellular.files import write_json
from cellular.jobs.calibrate import calibrate
from cellular.jobs.corrections import corrected_by, open_corrections
from cellular.jobs.evaluate import evaluate
from cellular.jobs.lessons import MODEL, RESULT, shares
from cellular.jobs.measure import median_of_fields
from cellular.jobs.runner import claimed
from cellular.jobs.segment import model_record
from cellular.jobs.train import train
from cellular.segment.model.registry import save_model
from cellular.segment.segmenter import Segmenter
from cellular.segment.settings import SegmentSettings
from cellular.settings import settings_to_dict
from cellular.train.checkpoint import CHECKPOINT
from cellular.train.settings import TrainSettings

logger = logging.getLogger(__name__)

SCORES = ("instance.0.50.f1", "instance.0.50.ap", "instance.mean_ap", "panoptic.pq")


@dataclass(frozen=True)
class TeachSettings:
    """How to teach.

    Attributes
    ----------
    model : what to start from, by name or file.
    segment : how the fields are segmented before and after.
    train : how to train; its ``model_type`` is not looked at.
    """

    model: str = "starter"
    segment: SegmentSettings = field(default_factory=SegmentSettings)
    train: TrainSettings = field(
        default_factory=lambda: TrainSettings(
            optimizer="adamw",
            schedule="cosine",
            learning_rate=0.0001,
            freeze_norm=True,
            n_epochs=20,
            fields_per_epoch=16,
            validate_every=0,
            min_train_masks=1,
        )
    )


@dataclass(frozen=True)
class Lesson:
    """What came of it.

    Attributes
    ----------
    model : the fine-tuned model's file.
    learnt, settled, held_out : names of the fields that it learnt from, that its thresholds were settled on, and that
        it is judged by.
    before, after : :data:`SCORES` on the fields held out.
    """

    model: Path
    learnt: tuple[str, ...]
    settled: tuple[str, ...]
    held_out: tuple[str, ...]
    before: dict[str, float]
    after: dict[str, float]


def teach(
    plate: Plate, corrections: str | Path, out: str | Path, settings: TeachSettings | None = None, device: str = "auto"
) -> Lesson:
    """Fine-tune a model on the corrected fields of `plate`, and score it before and after on some that are held out.

    Of the corrected fields every fifth, and one at the least, is held out, the latest ones; all timepoints of a
    position go together. Ten or more fields to learn from give another fifth, on which thresholds and scores are
    settled (`calibrate`); with fewer they stay.

    Writes into `out`: ``experiments/`` of the training, ``before/`` and ``after/`` of the evaluation,
    ``model.safetensors`` and ``teach.json``, whose ``kept`` is null until somebody decides
    (:func:`cellular.jobs.lessons.decide`). The same call goes on where it was stopped.

    Raises InputError with corrected fields of fewer than two positions.
    """
    settings, out = settings or TeachSettings(), Path(out)
    found = open_corrections(corrections)
    fixed = corrected_by(plate, found)
    here = {item.name: item for item in fixed.fields}
    fields = [here[name] for name in found.fields if name in here]
    learnt, settled, held = shares(fields)
    segmenter = Segmenter.from_pretrained(settings.model, device)
    record = {**settings_to_dict(settings), **model_record(segmenter), "corrections": str(corrections)}
    record |= {"after": {item.name: found.of(item.name)[-1]["after"] for item in fields}}
    with claimed(out, "teaching", record, kept=(MODEL, RESULT)):
        tuned = _trained(replace(plate, fields=learnt), out, replace(settings.train, device=device), settings.model)
        if not (out / MODEL).is_file():
            learned = Segmenter.from_pretrained(tuned, device)
            if settled:
                calibrate(learned, replace(plate, fields=settled), settings.segment, out=out / MODEL)
            else:
                save_model(out / MODEL, learned.model.network, learned.model.info)
        held_plate = replace(plate, fields=held)
        before = evaluate(held_plate, out / "before", segmenter, settings.segment).values
        after = evaluate(
            held_plate, out / "after", Segmenter.from_pretrained(out / MODEL, device), settings.segment
        ).values
        lesson = Lesson(out / MODEL, _names(learnt), _names(settled), _names(held), _of(before), _of(after))
        write_json(out / RESULT, {**asdict(lesson), "model": MODEL, "kept": None})
    return lesson


def corrected_diameter(plate: Plate, corrections: str | Path) -> float:
    """Median over the corrected fields of the median diameter (px) of their cells.

    For a run of given outlines: no model was told how large its cells are, and the one to be taught would be scored
    before the lesson at a size that is not theirs.

    Raises InputError where no corrected field has a cell.
    """
    found = open_corrections(corrections)
    fields = [item for item in corrected_by(plate, found).fields if item.name in found.fields]
    return median_of_fields(fields, "--diameter")


def _trained(plate: Plate, out: Path, settings: TrainSettings, model: str) -> Path:
    name, place = "tuned", out / "experiments"
    begun = (place / name / CHECKPOINT).is_file()
    return train(plate, None, name, place, replace(settings, model_type=model), resume=begun).model


def _names(fields: Sequence[FieldFiles]) -> tuple[str, ...]:
    return tuple(item.name for item in fields)


def _of(values: dict[str, float]) -> dict[str, float]:
    return {name: float(values[name]) for name in SCORES}

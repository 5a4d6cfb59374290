"""What a classifier is made of, and how its data is read and divided."""

from dataclasses import dataclass

from elman.settings import changed, setting
from elman.tasks.shared.stack import StackSettings


@dataclass(frozen=True, kw_only=True)
class ClassifySettings(StackSettings):
    layers: int = changed(StackSettings, "layers", 2)
    dropout: float = changed(StackSettings, "dropout", 0.4)
    bidirectional: bool = setting(True, "read in both directions")
    pool: str = setting(
        "mean-max",
        "what of the hidden states decides: mean, max, mean-max (both), or last (the state after "
        "the last step of each direction)",
        choices=("mean", "max", "mean-max", "last"),
    )
    members: int = setting(
        1,
        "models that learn side by side from different first weights, and whose probabilities are "
        "averaged; they take N times the time and the memory of one",
        minimum=1,
        maximum=100,
    )
    level: str = setting(
        "auto",
        "text: read as char(acters), byte(s) of UTF-8, or word(s) with their n-grams of "
        "characters; auto: words if the median text of the training part has three",
        choices=("auto", "char", "byte", "word"),
    )
    max_length: int = setting(
        10_000,
        "text: characters that are read; of a longer one the beginning and the end, half of them "
        "each",
        minimum=1,
        maximum=1 << 24,
    )
    embedding_size: int = setting(
        64, "text: size of a learned vector for each character or word; 0 = one-hot", minimum=0
    )
    ngrams: int = setting(
        -1,
        "text: longest n-grams of characters or words that are weighed beside the recurrent "
        "layers; 0 = none; -1 = 2 words, or no characters",
        minimum=-1,
        maximum=8,
    )
    unknown_rate: float = setting(
        0.05,
        "text: share of characters or words replaced by the unknown one while training, so that "
        "the model learns to do without them",
        minimum=0.0,
        below=1.0,
    )
    noise: float = setting(
        0.0,
        "signals: deviation of noise added while training, in standard deviations of a channel",
        minimum=0.0,
    )
    scaling: str = setting(
        "both",
        "signals: standardised by channel, as training is; by example, which adds its mean and the "
        "logarithm of its deviation; or both side by side",
        choices=("channel", "example", "both"),
    )
    patch: int = setting(
        0,
        "signals: values that one time step stands for; 0 = so many that steps are some 100",
        minimum=0,
        maximum=1000,
    )
    convolutions: int = setting(
        2, "signals: convolutions before the recurrent layers, at least", minimum=0
    )
    augment: float = setting(
        0.3,
        "signals: share by which half of the examples are cropped and stretched while training",
        minimum=0.0,
        below=1.0,
    )
    vote: bool = setting(
        True,
        "signals: a linear model of random convolutions votes beside the network, the more the "
        "fewer the examples",
    )
    ascii: bool = setting(False, "text: plain ASCII, marks dropped (é becomes e)")
    batch_size: int = setting(
        128,
        "examples of similar length read side by side; fewer if there are few, so that an epoch "
        "has some thirty steps",
        minimum=1,
    )
    class_weights: str = setting(
        "none",
        "weight of a label's examples in the loss: none; balanced (the same sum for each label); "
        "root (square root of balanced)",
        choices=("none", "root", "balanced"),
    )
    label_smoothing: float = setting(
        0.0, "share of the target spread over all labels", minimum=0.0, below=1.0
    )
    target: str = setting(
        "auto",
        "what the model learns to say: label (one of several), number (a measured one, with an "
        "interval), ordered (labels in an order, such as 1 to 5), labels (several of an example, "
        "or none), or auto: by the data, which a note tells",
        choices=("auto", "label", "number", "ordered", "labels"),
    )
    order: str = setting(
        "", "ordered labels from low to high, commas between (default: numbers by size)"
    )
    coverage: float = setting(
        0.9, "numbers: share of the true ones that intervals shall hold", above=0.0, below=1.0
    )
    test_fraction: float = setting(
        0.15, "share of the examples that are used once, at the end", above=0.0, below=1.0
    )
    valid_fraction: float = setting(
        0.1, "share of the remaining examples that decides when to stop", above=0.0, below=1.0
    )
    test_data: str = setting(
        "", "file or folder with the test part, in place of a share of DATA", recorded=False
    )
    valid_data: str = setting(
        "", "file or folder with the validation part, in place of a share of DATA", recorded=False
    )
    split_column: str = setting(
        "", "tables: column that says train, valid or test, in place of a drawn split"
    )
    group_column: str = setting(
        "",
        "tables: column that says which rows belong together (a speaker, a patient, a thread); "
        "none of its groups stands in two parts",
    )
    time_column: str = setting(
        "",
        "tables: column with dates or numbers; the last rows by time are the test part, those "
        "before them the validation part",
    )
    folds: int = setting(
        0,
        "cross-validation: so many models, each tested on its own fold of DATA, in FOLDER/fold-1 "
        "and so on (with --time-column each learns from what lies before its fold); 0 = one model",
        minimum=0,
        maximum=1000,
    )
    fold: int = setting(0, "train that one of the --folds alone; 0 = all of them", minimum=0)
    data_format: str = setting(
        "auto",
        "folder (of LABEL.txt files, or a folder for each label or part), csv, tsv, jsonl, ts "
        "(UCR/UEA), fasttext (__label__x text), label-text or text-label (a tab or space between "
        "them); auto goes by the name, else by the look; Parquet is known by its first bytes",
        choices=(
            "auto",
            "folder",
            "csv",
            "tsv",
            "jsonl",
            "ts",
            "fasttext",
            "label-text",
            "text-label",
        ),
    )
    header: bool = setting(True, "tables: the first line names the columns (else 1, 2, ...)")
    text_column: str = setting(
        "",
        "tables: column with the text (default: one named text, name, ...); with commas between: "
        "several, read one after the other",
    )
    number_columns: str = setting(
        "", "tables: columns with numbers that are read beside the text, commas between"
    )
    category_columns: str = setting(
        "", "tables: columns with categories that are read beside the text, commas between"
    )
    label_column: str = setting(
        "", "tables: column with the label (default: one named label, class, ...)"
    )
    weight_column: str = setting(
        "",
        "tables: column with the weight of each example in the training loss, 0 or more; measures "
        "count each example once",
    )
    encoding: str = setting("utf-8", "character encoding of text files")


DIVIDING = ("split_column", "group_column", "time_column")
"""Settings that name columns by which the data of a run was divided."""


@dataclass(frozen=True, kw_only=True)
class ReadingSettings:
    """How a file is read; None: as the run's data was."""

    data_format: str | None = changed(
        ClassifySettings,
        "data_format",
        None,
        help="folder, csv, tsv, jsonl, ts, fasttext, label-text or text-label (default: by the "
        "name)",
        choices=("folder", "csv", "tsv", "jsonl", "ts", "fasttext", "label-text", "text-label"),
    )
    header: bool | None = changed(ClassifySettings, "header", None)
    text_column: str | None = changed(
        ClassifySettings,
        "text_column",
        None,
        help="tables: column with the text (default: as in training)",
    )
    encoding: str | None = changed(ClassifySettings, "encoding", None)


@dataclass(frozen=True, kw_only=True)
class LabelledReadingSettings(ReadingSettings):
    """How labelled data is read; None: as the run's data was."""

    label_column: str | None = changed(
        ClassifySettings,
        "label_column",
        None,
        help="tables: column with the label (default: as in training)",
    )


@dataclass(frozen=True, kw_only=True)
class EvaluationSettings(LabelledReadingSettings):
    """The options of `elman evaluate`."""

    suspicious: str | None = setting(
        None,
        "file to which examples are written whose label may be wrong, as CSV, the surest "
        "first; without DATA those of the validation and the test part",
        recorded=False,
    )

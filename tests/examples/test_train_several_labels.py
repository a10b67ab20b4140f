"""`train_text_classifier` and `classify_text` with several labels for each text."""

import csv
import json

import numpy as np
import pytest
from backends import default_backend_only
from run_files import OF_EVERY_RUN
from scipy.special import expit
from sklearn.metrics import f1_score, hamming_loss, precision_recall_fscore_support
from sklearn.multiclass import OneVsRestClassifier
from sklearn.svm import LinearSVC

import recipes.text_classifier.networks
from examples import classify_text, train_text_classifier
from recipes.runs.failures import UserError
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import (
    TextClassifier,
    build_text_classifier,
    evaluation,
    labelling,
    several_labels,
    several_labels_report,
)

ACTIONS = {"food": "eats hay", "rest": "sleeps well", "sport": "runs fast"}
NAMES = sorted(ACTIONS)
TEXTS = [
    (
        f"{subject} {' and '.join(ACTIONS[name] for name in names) or 'is here'} {number}",
        "|".join(names),
    )
    for number in range(8)
    for subject in ("the dog", "a cat", "our cow")
    for names in ([], *([name] for name in NAMES), ["food", "rest"], NAMES)
]


def write_csv(path, rows, header=("text", "label")):
    with open(path, "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([header, *rows])
    return path


def train(*arguments):
    train_text_classifier.main(train_text_classifier.parse(list(map(str, arguments))))


def classify(*arguments):
    classify_text.main(classify_text.parse(list(map(str, arguments))))


@pytest.fixture(scope="module", autouse=True)
def small_network():
    small = {"embedding_dim": 16, "convolution_widths": (2,), "convolution_filters": 16}

    def build(*sizes, **options):
        return build_text_classifier(*sizes, **options | small)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recipes.text_classifier.networks, "build_text_classifier", build)
        yield


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    file = write_csv(folder / "texts.csv", TEXTS)
    train(
        *("--train", file, "--label-separator", "|", "--output", folder / "run"),
        *("--epochs", 4, "--batch-size", 16, "--learning-rate", 0.01, "--class-weight", "balanced"),
    )
    return folder / "run"


def read_predictions(run):
    with open(run / "predictions.csv", newline="", encoding="utf-8-sig") as file:
        return list(csv.DictReader(file))


def as_indicators(cells):
    return np.array([[name in cell.split("|") for name in NAMES] for cell in cells])


def test_a_run_leaves_its_results(run):
    assert sorted(path.name for path in run.iterdir()) == sorted(OF_EVERY_RUN)
    rows = read_predictions(run)
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    targets = as_indicators([row["label"] for row in rows])
    predicted = as_indicators([row["predicted"] for row in rows])
    assert metrics["micro_f1"] == pytest.approx(f1_score(targets, predicted, average="micro"))
    assert metrics["macro_f1"] == pytest.approx(f1_score(targets, predicted, average="macro"))
    assert metrics["hamming"] == pytest.approx(hamming_loss(targets, predicted))
    assert metrics["micro_f1"] > 0.8
    assert {"nll", "ece", "parts", "intervals"} <= set(metrics)
    assert metrics["intervals"]["macro_f1"]["p_value"] > 0
    expected = np.transpose(precision_recall_fscore_support(targets, predicted, zero_division=0))
    for name, of_class, numbers in zip(NAMES, metrics["per_class"], expected, strict=True):
        assert of_class["label"] == name
        found = [of_class["precision"] or 0, of_class["recall"], of_class["f1"], of_class["texts"]]
        np.testing.assert_allclose(found, numbers)
        assert 0 < of_class["threshold"] < 1
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "Each label" in page
    assert "predicted from" in page


def test_the_probabilities_are_in_the_same_order(run):
    classifier = TextClassifier.load(run / "model.keras")
    rows = read_predictions(run)
    several = [row for row in rows if "|" in row["predicted"]]
    assert several
    for row, found in zip(
        several, classifier.predict_proba([row["text"] for row in several]), strict=True
    ):
        of_label = dict(zip(classifier.classes_, found, strict=True))
        probabilities = [of_label[label] for label in row["predicted"].split("|")]
        assert probabilities == sorted(probabilities, reverse=True)
        assert [f"{each:.4f}" for each in probabilities] == row["probability"].split("|")


def test_the_rival_is_one_svm_against_the_rest(run):
    """Trained anew, on the same split, with thresholds from texts that are set aside."""
    rows = read_predictions(run)
    tested = {row["text"] for row in rows}
    training = [pair for pair in TEXTS if pair[0] not in tested]
    labelled = LabelledTexts([text for text, _ in training], [(cell,) for _, cell in training])
    aside = {*labelled.split(0.1, "validation")[1].texts}
    features = evaluation.features_of_linear_svm("words").fit(labelled.texts)

    def decisions(learned, texts):
        machine = OneVsRestClassifier(LinearSVC(class_weight="balanced", random_state=0))
        machine.fit(features.transform([text for text, _ in learned]), indicators(learned))
        return machine.decision_function(features.transform(texts))

    def indicators(pairs):
        return as_indicators([cell for _, cell in pairs])

    unseen = [pair for pair in training if pair[0] in aside]
    others = [pair for pair in training if pair[0] not in aside]
    of_unseen = decisions(others, [text for text, _ in unseen])
    thresholds = several_labels.best_thresholds(of_unseen, indicators(unseen).astype(int))
    predicted = expit(decisions(training, [row["text"] for row in rows])) >= thresholds
    targets = as_indicators([row["label"] for row in rows])
    metrics = json.loads((run / "metrics.json").read_text(encoding="utf-8"))
    expected = {"macro_f1": f1_score(targets, predicted, average="macro")}
    expected["hamming"] = hamming_loss(targets, predicted)
    assert {name: metrics["baseline"][name] for name in expected} == pytest.approx(expected)
    assert "from a threshold of its own on" in metrics["baseline"]["model"]
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "The linear SVM has thresholds found likewise." in page
    assert "are cut at 0.5" in page


def test_the_rival_knows_labels_of_every_text():
    training = LabelledTexts([f"text {number}" for number in range(20)], [(0,)] * 20)
    targets = np.column_stack([np.ones(20, int), np.arange(20) % 2])
    _, predicted = several_labels_report.score_one_against_the_rest(
        training, training, (targets, targets), tokens="words", class_weight=None
    )
    assert predicted[:, 0].all()


@pytest.mark.parametrize("shares", [[0.4, 0.3, 0.2, 0.1, 0.0], [0.0] * 5])
def test_intervals_count_as_scikit_learn_does(shares):
    random = np.random.default_rng(0)
    targets, predicted, rival = random.random((3, 40, 5)) < shares
    found = several_labels_report.outcomes(random.random((40, 5)), predicted, targets, rival)
    macro = f1_score(targets, predicted, average="macro", zero_division=np.nan)
    for name, of_scikit_learn in (
        ("micro_f1", f1_score(targets, predicted, average="micro", zero_division=0)),
        ("macro_f1", np.nan_to_num(macro)),
        ("hamming", hamming_loss(targets, predicted)),
    ):
        measure, of_model, _ = found[name]
        assert measure(of_model) == pytest.approx(of_scikit_learn)


def test_classify_text_gives_the_labels_that_it_predicts(run, tmp_path, capsys):
    texts = ["the cow eats hay and sleeps well", "a horse", ""]
    file = write_csv(tmp_path / "new.csv", [(text,) for text in texts], header=["text"])
    classify(run, "--input", file)
    first, second, empty = capsys.readouterr().out.splitlines()
    words = first.split()
    assert {words[0], words[2]} == {"food", "rest"}
    assert 0 < float(words[3]) <= float(words[1]) <= 1
    assert words[4:] == texts[0].split()
    assert second.split() == ["-", "a", "horse"]
    assert empty.split() == ["-", "(no", "text)"]
    classify(run, "--input", file, "--json")
    found = [json.loads(line)["best"] for line in capsys.readouterr().out.splitlines()]
    assert [len(best) for best in found] == [2, 0, 0]
    assert set(found[0][0]) == {"predicted", "probability"}
    output = tmp_path / "out.csv"
    classify(run, "--input", file, "--label-separator", "; ", "--output", output)
    with open(output, newline="", encoding="utf-8-sig") as table:
        rows = list(csv.DictReader(table))
    labels = [each["predicted"] for each in found[0]]
    assert [row["predicted"] for row in rows] == ["; ".join(labels), "", ""]
    assert float(rows[0]["probability"].split("; ")[1]) == found[0][1]["probability"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--top=2"], "--top is for one label for each text; this classifier gives several, those"),
        (["--at-least=0.9"], "--at-least is for one label for each text; this classifier gives"),
        (["--label-separator=s"], "the label 'rest' has 's' in it, which is to stand between the"),
        (
            ["--label-separator="],
            "--label-separator is empty; give what stands between labels, suc",
        ),
    ],
)
def test_what_does_not_fit_is_one_line(run, tmp_path, options, message):
    file = write_csv(tmp_path / "new.csv", [("a horse",)], header=["text"])
    with pytest.raises(UserError, match=message) as raised:
        classify(run, "--input", file, "--output", tmp_path / "out.csv", *options)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("separator", ["", "|", ";"])
def test_a_separator_of_no_use_is_one_line(run, tmp_path, separator):
    message = "--label-separator needs --output, and a classifier of several labels for each text:"
    option = f"--label-separator={separator}"
    with pytest.raises(UserError, match=message):
        classify(run, "a horse", option)
    with pytest.raises(UserError, match=message):
        classify(run, "a horse", option, "--json")
    one = build_text_classifier(
        *(3, 2),
        vocabulary=["", "[unknown]", "horse"],
        class_names=["x", "y"],
        token_kind="words",
    )
    one.update_legend(loss="softmax")
    one.save(tmp_path / "one.keras")
    with pytest.raises(UserError, match=message):
        classify(tmp_path / "one.keras", "a horse", option, "--output", tmp_path / "out.csv")


def bad_training(folder, case):
    """Arguments with one mistake, and what the one line has to say."""
    good = write_csv(folder / "good.csv", TEXTS[:40])
    if case == "another separator":
        return [good, "--label-separator=;"], r"no label of .*good\.csv has the separator ';' in it"
    if case == "no label":
        file = write_csv(folder / "none.csv", [(text, "") for text, _ in TEXTS[:40]])
        return [file, "--label-separator=|"], "has the separator '|' in it; give the one that"
    if case == "one class":
        rows = [(text, "x|x" if label else "") for text, label in TEXTS[:40]]
        file = folder / "one.jsonl"
        lines = [json.dumps({"text": text, "label": ["x"] * bool(label)}) for text, label in rows]
        file.write_text("\n".join(lines), encoding="utf-8")
        return [file], r"one\.jsonl has one class only \('x'\)"
    if case == "empty lists":
        lines = [json.dumps({"text": text, "label": []}) for text, _ in TEXTS[:40]]
        (folder / "empty.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return [folder / "empty.jsonl"], r"empty\.jsonl has no label at all"
    if case == "another form":
        file = write_csv(folder / "test.csv", [("hello", "food")])
        lines = [json.dumps({"text": text, "label": [label]}) for text, label in TEXTS if label]
        (folder / "lists.jsonl").write_text("\n".join(lines), encoding="utf-8")
        message = r"--test has one label for each text, and .*lists\.jsonl has not; give both in"
        return [folder / "lists.jsonl", "--test", file], message
    if case == "unseen label":
        file = write_csv(folder / "test.csv", [("hello", "food|politics")])
        return [good, "--label-separator=|", "--test", file], "labels that no .* has: politics"
    if case == "separator inside":
        lines = [json.dumps({"text": text, "label": [label]}) for text, label in TEXTS if label]
        (folder / "bars.jsonl").write_text("\n".join(lines), encoding="utf-8")
        return [folder / "bars.jsonl"], r"the label 'food\|rest' has '\|' in it, which is to stand"
    raise AssertionError(case)


@default_backend_only
@pytest.mark.parametrize(
    "case",
    [
        "another separator",
        "no label",
        "one class",
        "empty lists",
        "another form",
        "unseen label",
        "separator inside",
    ],
)
def test_bad_input_is_one_line(tmp_path, case):
    (file, *options), message = bad_training(tmp_path, case)
    with pytest.raises(UserError, match=message) as raised:
        train("--train", file, *options, "--output", tmp_path / "run")
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


@default_backend_only
def test_lists_in_json_lines_with_numbers(tmp_path):
    file = tmp_path / "texts.jsonl"
    number_of = {"food": 2, "rest": 10, "sport": 7}
    lines = [
        {"text": text, "label": [number_of[name] for name in cell.split("|") if name]}
        for text, cell in TEXTS
    ]
    file.write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
    output = tmp_path / "run"
    train("--train", file, "--output", output, "--epochs=1", "--loss=multi-label-softmax")
    assert TextClassifier.load(output / "model.keras").classes_.tolist() == [2, 7, 10]
    assert {cell for row in read_predictions(output) for cell in row["label"].split("|")} <= {
        *("", "2", "7", "10")
    }


def test_cells_hold_what_best_classes_says():
    assert labelling.in_one_cell([("a", 0.9), (2, 0.5)], "|") == [("a|2", "0.9000|0.5000")]
    assert labelling.in_one_cell([], "|") == [("", "")]

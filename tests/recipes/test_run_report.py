"""`report.html`: its numbers, its pictures, and that it is one file that any browser reads."""

import html.parser
import io
import json
import sys
import types

import keras
import matplotlib
import numpy as np
import pytest
import scipy.stats
from matplotlib.figure import Figure
from scipy.special import softmax
from sklearn.metrics import confusion_matrix, precision_recall_fscore_support

import keras_ce
from recipes.answer_ranker import evaluation as ranking
from recipes.runs import confusion, report_page, training_run
from recipes.runs.failures import UserError
from recipes.runs.intervals import Outcomes, mean, with_intervals
from recipes.runs.report_page import Code, Picture, Section, Table
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import evaluation
from recipes.text_classifier.explanation import Explanation

CHINESE = "\u9000\u6b3e\u7533\u8bf7"
NAMES = ["plain", "costs $5 to $7", "\\frac{1}", "long name " * 60, CHINESE, "two\nlines", "<b>&"]


class Page(html.parser.HTMLParser):
    """What a browser makes of a page: it counts what is open, and keeps what stands there."""

    def __init__(self, text):
        super().__init__()
        self.open, self.texts, self.sources, self.tables = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in ("meta", "img"):
            self.open.append(tag)
        self.sources += [value for name, value in attrs if name in ("src", "href")]
        if tag == "table":
            self.tables.append([])
        if tag == "tr":
            self.tables[-1].append([])
        if tag in ("td", "th"):
            self.tables[-1][-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("td", "th"):
            self.tables[-1][-1][-1] += data
        elif self.open and self.open[-1] != "style":
            self.texts.append(data)


def test_intervals_and_p_values_are_those_of_the_textbook():
    random = np.random.default_rng(1)
    model, baseline = random.random(400) < 0.8, random.random(400) < 0.74
    found = with_intervals({"accuracy": Outcomes(mean, model, baseline)})["accuracy"]
    share = model.mean()
    width = 1.96 * np.sqrt(share * (1 - share) / 400)
    np.testing.assert_allclose(found["interval"], [share - width, share + width], atol=0.008)
    better, worse = (model & ~baseline).sum(), (baseline & ~model).sum()
    # McNemar's test.
    exact = scipy.stats.binomtest(int(better), int(better + worse)).pvalue
    assert found["p_value"] == pytest.approx(exact, abs=0.03)
    assert found["difference"] == pytest.approx((better - worse) / 400)
    low, high = found["difference_interval"]
    assert low < found["difference"] < high
    same = with_intervals({"accuracy": Outcomes(mean, model, model)})["accuracy"]
    assert (same["difference"], same["p_value"]) == (0, 1)
    alone = with_intervals({"accuracy": Outcomes(mean, model)})["accuracy"]
    assert list(alone) == ["interval"]


def test_large_outcomes_are_drawn_less_often():
    def draws(*shape):
        zeros = np.zeros(shape, bool)
        found = with_intervals({"whole": Outcomes(np.mean, zeros, zeros)})["whole"]
        return round(1 / found["least_p_value"]) - 1

    assert draws(100) == 1000
    assert draws(1000, 2, 100) == 500
    assert draws(2000, 2, 200) == 200


def test_outcomes_of_texts_give_the_measures_of_evaluate():
    random = np.random.default_rng(2)
    labels = random.integers(0, 5, 300)
    labels[labels == 3] = 1  # a class without test texts
    logits = random.normal(size=(300, 5)) * 2
    logits[np.arange(300), labels] += 1
    measures = evaluation.score_logits(logits, labels)
    outcomes = evaluation.outcomes(softmax(logits, axis=1), labels, random.integers(0, 5, 300))
    for name, (measure, of_model, _) in outcomes.items():
        assert measure(of_model) == pytest.approx(measures[name], abs=1e-6), name
    # Chance makes a calibration error larger: no interval around it holds the true one.
    found = with_intervals(outcomes)
    assert {*measures} - {*found} == {"ece"}
    for name, value in {name: measures[name] for name in found}.items():
        low, high = found[name]["interval"]
        assert low < value < high
    counts = confusion_matrix(labels, logits.argmax(axis=1), labels=range(5))
    of_classes = evaluation.scores_of_classes(counts, "abcde")
    expected = precision_recall_fscore_support(
        labels, logits.argmax(axis=1), labels=range(5), zero_division=np.nan
    )
    for number, name in enumerate(("precision", "recall", "f1", "texts")):
        shown = [np.nan if each[name] is None else each[name] for each in of_classes]
        np.testing.assert_allclose(shown, expected[number], err_msg=name)
    assert of_classes[3]["recall"] is None


def test_outcomes_of_questions_give_the_measures_of_a_ranking():
    random = np.random.default_rng(3)
    sizes = random.integers(2, 30, 40)
    scores = [random.normal(size=size) for size in sizes]
    labels = [(random.permutation(size) < 2).astype(int).tolist() for size in sizes]
    labels[7] = [0] * sizes[7]  # nothing is right
    outcomes = ranking.outcomes(scores, [-each for each in scores], labels)
    for name, value in ranking.score_ranking(scores, labels).items():
        assert mean(outcomes[name].of_model) == pytest.approx(value, abs=1e-6), name
        assert (outcomes[name].of_model != outcomes[name].of_baseline).any()


def test_a_page_is_one_file_in_which_names_are_no_markup(tmp_path):
    picture = tmp_path / "dot.png"
    Figure(figsize=(1, 1)).savefig(picture)
    rows = [[name, "0.5 (0.4 to 0.6)", number] for number, name in enumerate(NAMES)]
    text = report_page.page(
        "run <1>",
        [
            Section("a & b", ["half \ud83d of a pair", Code("python -m 'a b'")]),
            Section("more", [Table(["class", "F1", "#"], rows), Picture(picture, 'a "dot"')]),
        ],
    )
    text.encode("utf-8")
    page = Page(text)
    assert page.tables == [[["class", "F1", "#"], *[[*row[:2], str(row[2])] for row in rows]]]
    assert {"run <1>", "a & b", "half \ufffd of a pair", "python -m 'a b'"} <= set(page.texts)
    # All that a browser would fetch is inside.
    (source,) = page.sources
    assert source.startswith("data:image/png;base64,iVBOR")
    assert "url(" not in text
    assert "@import" not in text
    assert '<td class="number">0.5 (0.4 to 0.6)</td>' in text
    assert f"<td>{CHINESE}</td>" in text


def test_names_on_a_confusion_matrix_are_drawn_as_they_are(monkeypatch):
    counts = np.diag([5, 0, 7, 9, 3, 2, 0]) + 3 * np.eye(7, k=1, dtype=int)
    monkeypatch.setattr(confusion, "fonts_for", confusion.fonts_for.__wrapped__)
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", list)
    figure = Figure(layout="constrained")
    panel = figure.subplots()
    assert confusion.draw_matrix(panel, counts, NAMES) == [4]
    # A character without a picture would be a warning, which fails here; "$5 to $7" a formula.
    figure.savefig(io.BytesIO(), dpi=50)
    shown = [label.get_text() for label in panel.get_yticklabels()]
    assert shown == ["plain", "costs $5 to $7", "\\frac{1}", shown[3], "#5", "two lines", "<b>&"]
    assert shown[3] == "long name long name long na…"
    assert not any(label.get_parse_math() for label in panel.get_xticklabels())
    drawn = {text.get_position(): text.get_text() for text in panel.texts}
    assert drawn == {(c, r): str(counts[r, c]) for r, c in np.argwhere(counts)}
    # By row: 7 of 10 is as dark as 700 of 1,000 would be.
    assert panel.images[0].get_array()[2, 2] == pytest.approx(0.7)
    assert panel.images[0].get_clim() == (0, 1)
    (note,) = confusion.note_on_fonts([4], NAMES)
    assert f"#5 is {CHINESE}," in note
    assert note.endswith("(apt install fonts-noto-cjk).")
    assert "fonts-noto-core" in confusion.note_on_fonts([0], ["\u1200"])[0]  # Ethiopic
    assert confusion.note_on_fonts([], NAMES) == []


def test_a_font_is_found_among_those_that_are_installed(monkeypatch):
    folder = f"{matplotlib.get_data_path()}/fonts/ttf"
    fonts = [f"{folder}/{name}.ttf" for name in ("cmr10", "DejaVuSerif")]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: fonts)
    find = confusion.fonts_for.__wrapped__
    assert find("abc") == ("DejaVu Sans",)
    monkeypatch.setattr(confusion, "_FONT", "cmr10")
    assert find("\u0416") == ("cmr10", "DejaVu Serif")  # Cyrillic, which cmr10 has not
    assert find(CHINESE) is None


def test_a_hundred_classes_are_named_and_more_are_counted():
    for size, ticks in ((100, 100), (230, 46)):
        panel = Figure().subplots()
        assert confusion.draw_matrix(panel, np.eye(size, dtype=int), range(size)) == []
        assert len(panel.get_yticklabels()) == ticks
        assert panel.get_xticklabels()[0].get_rotation() == (0 if size == 100 else 90)
        assert confusion.side_of_matrix(size) * 150 <= 2400


def test_legends_cover_no_curve():
    figure = keras_ce.plots.training_history({"loss": [1.0, 0.9], "val_loss": [1.0, 1.0]})
    figure.draw_without_rendering()
    (panel,) = figure.axes
    assert panel.get_legend().get_window_extent().y0 >= panel.get_window_extent().y1 - 1


def test_the_command_makes_it_again_in_a_new_folder(monkeypatch):
    start = ["/usr/bin/python3", "-u", "-m", "examples.train_text_classifier"]
    for output in (["--output", "my run"], ["--output=my run"], ["--out", "my run"], []):
        monkeypatch.setattr(sys, "orig_argv", [*start, "--train", "a b.csv", *output, "--seed=3"])
        assert training_run.command() == (
            f"KERAS_BACKEND={keras.backend.backend()} "
            "python -m examples.train_text_classifier --train 'a b.csv' --seed=3"
        )
    for other in (["python", "script.py"], ["python", "-m"], ["python", "-m", "pytest"]):
        monkeypatch.setattr(sys, "orig_argv", other)
        assert training_run.command() is None


class Fitted:
    """A task that has learned two texts by heart, and takes the rest for the first class."""

    classes_ = np.array(["a", CHINESE])
    tokens, class_weight, seed = "characters", None, 0
    loss, epochs = "smoothed", 3

    def __init__(self):
        self.history_ = {"loss": [1.0, 0.5], "accuracy": [0.5, 0.9], "val_loss": [0.6, 0.7]}
        self.best_epochs_ = [1]

    def check_settings(self):
        pass

    def get_params(self):
        return {"tokens": self.tokens, "seed": self.seed}

    def predict_proba(self, texts):
        sure = np.array([0.01 if text.startswith("y") else 0.9 for text in texts])
        return np.stack([sure, 1 - sure], axis=1)

    def evaluate(self, texts, labels):
        ids = [self.classes_.tolist().index(label) for label in labels]
        return evaluation.score_logits(np.log(self.predict_proba(texts)), ids)

    def explain(self, text, label):
        return Explanation(label, [text], np.array([2.0]), 2.0, 0.0, 0.0)

    def evaluate_parts(self, texts, labels):
        return {"network": {"accuracy": 0.25, "macro_f1": 0.125}}


@pytest.mark.parametrize("output", [None, "one", "deep/er/one", "there/one", "there"])
def test_an_error_leaves_no_new_folder(tmp_path, monkeypatch, output):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there").mkdir()

    def fail():
        with training_run.TrainingRun("text_classifier", output, Fitted()) as run:
            run.create_folder(texts={"test": 4})
            assert run.folder.is_dir()
            raise UserError("a mistake")

    with pytest.raises(UserError, match="a mistake"):
        fail()
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_an_error_leaves_the_runs_of_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def fail():
        with training_run.TrainingRun("text_classifier", None, Fitted()) as run:
            run.create_folder(texts={"test": 4})
            (tmp_path / "runs" / "other-1").mkdir()
            raise UserError("a mistake")

    with pytest.raises(UserError, match="a mistake"):
        fail()
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["other-1"]


def test_what_is_no_number_is_not_written(tmp_path):
    run = training_run.TrainingRun("text_classifier", str(tmp_path / "run"), Fitted())
    run.create_folder(texts={"test": 4})
    outcomes = {"nll": Outcomes(mean, np.ones(4))}
    with pytest.raises(UserError, match="the training has diverged"):
        run.report({"nll": float("nan")}, {}, outcomes)
    with pytest.raises(ValueError, match="JSON compliant"):
        run.report({"nll": 1.0}, {"nll": float("inf")}, outcomes)
    assert not any((tmp_path / "run").iterdir())


def test_promises_of_a_classifier():
    sure = np.linspace(0.99, 0.6, 400)
    labels = np.where(np.arange(400) < 200, 0, 1)  # the surer half is right
    found = evaluation.promises(np.stack([sure, 1 - sure], axis=1), labels)
    assert [each["accuracy"] for each in found] == [0.9, 0.95, 0.99]
    assert {each["confidence"] for each in found} == {0.95}
    for each in found[:2]:
        is_answered = sure >= each["threshold"]
        assert 0.45 < each["coverage"] == is_answered.mean() < 0.6
        assert each["accuracy"] < each["right"] == (labels[is_answered] == 0).mean()
    assert found[0]["threshold"] <= found[1]["threshold"]
    assert [found[2][name] for name in ("threshold", "coverage", "right")] == [None] * 3


def test_the_report_of_a_classifier_says_what_a_reader_asks(tmp_path, capsys):
    training = LabelledTexts(["xa", "yb", "xc", "yd"], ["a", CHINESE] * 2)
    test = LabelledTexts(["xa", "ye", "xf <i>", "xg"], ["a", CHINESE, CHINESE, "a"])
    run = training_run.TrainingRun("text_classifier", str(tmp_path / "run"), Fitted(), "mine.csv")
    run.create_folder(texts={"training": 4, "test": 4})
    metrics, columns = evaluation.write_report(run, training, test)
    assert json.loads((tmp_path / "run" / "metrics.json").read_text("utf-8")) == metrics
    assert metrics["test_texts_in_training"] == 1
    said = "1 of the 4 test texts are training texts, word for word; on the others the accuracy is"
    assert said in capsys.readouterr().out
    part = {"accuracy": 0.25, "macro_f1": 0.125}
    assert metrics["parts"] == {"network": part}
    assert columns == {"both": metrics, "linear SVM": metrics["baseline"], "network": part}
    page = Page((tmp_path / "run" / "report.html").read_text("utf-8"))
    sizes, numbers, of_classes, promised, mistakes, settings = page.tables
    assert sizes == [["", "training", "test"], ["texts", "4", "4"]]
    low, high = metrics["intervals"]["accuracy"]["interval"]
    assert numbers[1][:2] == ["accuracy", f"0.7500 ({low:.4f} to {high:.4f})"]
    assert numbers[1][3] == "0.2500"
    assert of_classes[1:] == [
        ["1", "a", "2", "2", "0.667", "1.000", "0.800", ""],
        ["2", CHINESE, "2", "2", "1.000", "0.500", "0.667", "a (1)"],
    ]
    assert promised[1:] == [[promise, "-", "-", "-"] for promise in ("0.90", "0.95", "0.99")]
    assert mistakes[1:] == [["0.900", "a", CHINESE, "0.100", "xf <i>"]]
    # The surest right answer is "ye", the only wrong one "xf <i>".
    words = [text for text in page.texts if text in ("ye", "xf <i>")]
    assert words == ["ye", "xf <i>"]
    assert f"The surest right answer: {CHINESE}, at 0.990." in page.texts
    wrong = f"Among the surest wrong answers: a, at 0.900; the label is {CHINESE}."
    assert wrong in page.texts
    assert f"{CHINESE}: logit 2.00, 0.00 without words; the words add +2.00" in page.texts
    assert (tmp_path / "run" / "suspicious.csv").read_text("utf-8-sig").startswith("row,text,label")
    assert ["tokens", "'characters'"] in settings
    assert len(page.sources) == 3
    assert any(text.startswith(said) for text in page.texts)
    assert "Source: mine.csv." in page.texts


def test_font_warnings_of_graphviz_are_held_back(capfd):
    def draw(**_):
        print("Fontconfig warning: unknown element", file=sys.__stderr__, flush=True)
        print("something else", file=sys.__stderr__, flush=True)
        return b"picture"

    graph = types.SimpleNamespace(AGraph=lambda string: types.SimpleNamespace(draw=draw))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "pygraphviz", graph)
        picture, _ = keras_ce.diagrams._graphviz._draw_with_pygraphviz("digraph {}", "png")
    assert picture == b"picture"
    assert capfd.readouterr().err == "something else\n"

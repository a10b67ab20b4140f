"""The text classifier as a scikit-learn estimator: texts and labels in, labels out."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy
from scipy.special import expit, softmax
from sklearn.base import ClassifierMixin
from sklearn.metrics import accuracy_score
from sklearn.utils import Tags

from recipes._arguments import (
    require_choice,
    require_flag,
    require_integer,
    require_non_negative,
    require_positive,
    require_positive_fraction,
    require_proper_fraction,
    require_share,
)
from recipes.estimators import Task, plain_copy
from recipes.runs.abstention import find_threshold
from recipes.runs.after_training import require_finite
from recipes.runs.failures import UserError
from recipes.runs.temperature import best_factors, divide_logits
from recipes.tables.labelled_texts import LabelledTexts
from recipes.text_classifier import losses, several_labels
from recipes.text_classifier.data import VALIDATION_SHARE, checked_labels, known_ids
from recipes.text_classifier.evaluation import score_logits
from recipes.text_classifier.explanation import Explanation, explain
from recipes.text_classifier.members import average_networks
from recipes.text_classifier.model import POOLINGS, TextClassifierModel
from recipes.text_classifier.networks import Networks, targets_of
from recipes.text_classifier.ngrams import LinearModel, fit_linear_model, with_linear_model
from recipes.text_classifier.saved_model import read_classifier
from recipes.text_classifier.training import predict_logits
from recipes.tokens.texts import checked_texts
from recipes.tokens.vector_files import initial_vectors, require_source
from recipes.tokens.vocabulary import TOKEN_KINDS, build_vocabulary

_VECTOR_SCALE = 0.05
"""The root of the mean square of the numbers in `vectors`: of 0.05 and 0.2 the one with the higher
likelihood of validation texts (TREC-6's training questions, wordllama)."""


class TextClassifier(ClassifierMixin, Task):
    """Learns to tell texts apart, and says how sure it is.

    A network and a linear model, whose logits are added up. The network: convolutions, and vectors
    that words share through their beginnings and endings; with `units`, a bidirectional LSTM on
    top. The linear model: two linear SVMs, fitted in seconds, on TF-IDF of one and two words, their
    English stems, and one to five characters in a row; with `tokens="characters"` of one and two
    characters. One of the two is an NBSVM, which trusts an n-gram more the more its classes differ
    in it. A text counts up to its 200th token.

    The network is trained until the loss of validation texts stops falling; then these texts
    decide how much each of the two counts and how sure their sum is. Where `fit` is given none, it
    sets a tenth of the texts aside (by a hash, the same every time), and afterwards trains on all
    of them: the network for two more epochs, the linear model anew. With `distill` only the one
    that is kept sees that tenth: the members that it learns from have not seen it.
    `recipes.text_classifier.build_text_classifier` is the network alone.

    A text may also have several labels, or none: see `fit`. Then each label is predicted from a
    probability on that is its own, for the highest F1 of the validation texts; of a label that few
    of them have it is near the one that is best for all labels together. These are the texts that
    decide how long to train, too: predictions out of folds would take a training for each. Such
    thresholds raise macro F1, and may cost micro F1 and Hamming, below those of a linear model
    without any; `predict_proba` at 0.5 does without.

    A scikit-learn classifier of texts: `clone`, `cross_val_score`, `GridSearchCV`, pickle and
    joblib work.

    Args:
        tokens: `"words"` (in lower case, a punctuation mark is a word), `"stems"` (without their
            English endings) or `"characters"` (for languages without spaces, such as Chinese).
        epochs: The largest number of passes over the texts.
        batch_size: Texts in a batch.
        label_smoothing: Share of each label that is given to all classes alike, in the loss
            `"smoothed"`.
        class_weight: `None`; `"balanced"`: rare classes count more, so that all count alike; a dict
            from label to weight, where a missing one is 1; or a weight for each class, in the
            order of `classes_`. With several labels for each text it is what the presence of a
            label weighs against its absence, and `"balanced"` is absent over present ones.
        seed: Decides everything that is left to chance.
        loss: What the network is trained with. `"auto"` is `"smoothed"` with one label for each
            text, and `"sigmoid"` with several. For one: `"smoothed"` (`LabelSmoothedCrossentropy`);
            `"focal"` (`FocalCrossentropy`), for many easy texts that drown a few hard ones;
            `"logit-adjusted"` (`LogitAdjustedCrossentropy`), where rare classes shall be found as
            often as frequent ones, with the frequencies of the training texts; `"generalized"`
            (`GeneralizedCrossentropy`), for wrong labels. For several: `"sigmoid"`
            (`WeightedSigmoidCrossentropy`), each label by itself; `"multi-label-softmax"`
            (`MultiLabelSoftmaxCrossentropy`), those that a text has against those that it has not.
            The linear model has a loss of its own. Only `"smoothed"`, `"focal"` and `"sigmoid"`
            take `class_weight`. A setting of another loss than the one that is trained with must
            be what it is by default.
        gamma: How much the loss `"focal"` looks away from what is already probable.
        strength: How far `"logit-adjusted"` goes; 1 aims at the mean of the classes' recalls.
        q: Of the loss `"generalized"`, above 0 (like cross-entropy) and up to 1 (absolute error).
        vocabulary_size: Number of different tokens, the most frequent, two others included.
        embedding_dim: Length of a token's vector.
        affix_buckets: Number of vectors for beginnings and endings; 0 for none. Characters have
            none.
        convolution_widths: Tokens that each kind of convolution sees; none where empty.
        convolution_filters: Number of filters of each width.
        units: Units of an LSTM above the convolutions, in each direction; 0 for none.
        bidirectional: Whether that LSTM reads in both directions.
        pooling: What becomes of its outputs: `"last"`, `"mean"` or `"max"`.
        embedding_dropout: Share of the entries of vectors dropped in training.
        dropout: Share of the features before the last layer dropped in training.
        ngrams: Number of n-grams, words and characters in a row, that a linear model beside the
            network looks at, those of the most texts; 0 for the network alone.
        members: Number of networks that differ by their seeds, `seed` and those after it; their
            logits are averaged inside the one model. As many times the size and the time.
        distill: Whether one network then learns from the averaged logits of the `members`, at least
            2, as well as from the labels; it alone is kept, and is as small and fast as any.
        vectors: A text file of word vectors that the network's vectors start from: fastText's .vec,
            GloVe's .txt, also gzipped; `recipes.tokens.vector_files.read_vectors` says what a token
            gets. `embedding_dim` is then what the file has. Or `"wordllama"`, those of the package
            (the extra `vectors`), which cuts a token into parts of its own: a word for `"words"`,
            the stem, such as "happi", for `"stems"`. Only `fit` reads them.
        learning_rate: Of Adam.
        patience: Epochs without a lower validation loss before the training stops.
        classes: The labels that the columns of an indicator array stand for; `None` for labels of
            another form.
        diagnosis: Whether `keras_ce.diagnose` looks at network, loss and texts before training.
        verbose: `"auto"`: a progress bar on a terminal, one line per epoch elsewhere; 0 nothing,
            1 a bar, 2 lines.

    Attributes:
        classes_: The labels, sorted, or as `classes` names them, (classes,).
        history_: Loss and accuracy, with several labels micro F1, of each epoch, those on
            validation texts under `val_...`; of several networks those of the first, and with
            `distill` those of the one that is kept.
        best_epochs_: For each network, with `distill` the members first, the epoch with the lowest
            loss on validation texts, from 1.
        threshold_: The probability below which `predict` answers `None`, or `None` where it always
            answers: as `abstain_below` has set it, and `fit` takes it back.
        thresholds_: With several labels for each text the probability from which on each is
            predicted, (classes,); else `None`.
        model_: The Keras model: from token ids (batch, time) and ids of n-grams (batch, blocks,
            n-grams), if `ngrams` is not 0, to logits (batch, classes). It carries vocabulary and
            class names, and so do its clones and its file.

    Example:
        >>> texts = ["the dog barks", "a cat purrs", "the dog runs", "one cat sleeps"] * 5
        >>> labels = ["dog", "cat", "dog", "cat"] * 5
        >>> classifier = TextClassifier(epochs=8, batch_size=4, verbose=0).fit(texts, labels)
        >>> [str(label) for label in classifier.predict(["my cat", "your dog"])]
        ['cat', 'dog']
    """

    model_class = TextClassifierModel
    checks: ClassVar = {
        "tokens": lambda name, value: require_choice(name, value, TOKEN_KINDS),
        "epochs": lambda name, value: require_integer(name, value, 1),
        "batch_size": lambda name, value: require_integer(name, value, 1),
        "label_smoothing": require_share,
        "loss": lambda name, value: require_choice(name, value, losses.LOSSES),
        "gamma": require_non_negative,
        "strength": require_non_negative,
        "q": require_positive_fraction,
        "vocabulary_size": lambda name, value: require_integer(name, value, 3),
        "units": lambda name, value: require_integer(name, value, 0),
        "pooling": lambda name, value: require_choice(name, value, POOLINGS),
        "ngrams": lambda name, value: require_integer(name, value, 0),
        "members": lambda name, value: require_integer(name, value, 1),
        "distill": require_flag,
        "vectors": require_source,
        "learning_rate": require_positive,
        "patience": lambda name, value: require_integer(name, value, 0),
        "diagnosis": require_flag,
    }

    def __init__(
        self,
        tokens: str = "words",
        epochs: int = 20,
        batch_size: int = 64,
        label_smoothing: float = 0.1,
        class_weight: str | Mapping[Any, float] | Sequence[float] | None = None,
        seed: int = 0,
        *,
        loss: str = "auto",
        gamma: float = 2.0,
        strength: float = 1.0,
        q: float = 0.7,
        vocabulary_size: int = 20_000,
        embedding_dim: int = 64,
        affix_buckets: int = 10_000,
        convolution_widths: Sequence[int] = (2, 3, 5),
        convolution_filters: int = 100,
        units: int = 0,
        bidirectional: bool = True,
        pooling: str = "max",
        embedding_dropout: float = 0.3,
        dropout: float = 0.5,
        ngrams: int = 200_000,
        members: int = 1,
        distill: bool = False,
        vectors: str | os.PathLike[str] | None = None,
        learning_rate: float = 2e-3,
        patience: int = 3,
        classes: Sequence[Any] | None = None,
        diagnosis: bool = True,
        verbose: int | str = "auto",
    ) -> None:
        self.tokens = tokens
        self.epochs = epochs
        self.batch_size = batch_size
        self.label_smoothing = label_smoothing
        self.class_weight = class_weight
        self.seed = seed
        self.loss = loss
        self.gamma = gamma
        self.strength = strength
        self.q = q
        self.vocabulary_size = vocabulary_size
        self.embedding_dim = embedding_dim
        self.affix_buckets = affix_buckets
        self.convolution_widths = convolution_widths
        self.convolution_filters = convolution_filters
        self.units = units
        self.bidirectional = bidirectional
        self.pooling = pooling
        self.embedding_dropout = embedding_dropout
        self.dropout = dropout
        self.ngrams = ngrams
        self.members = members
        self.distill = distill
        self.vectors = vectors
        self.learning_rate = learning_rate
        self.patience = patience
        self.classes = classes
        self.diagnosis = diagnosis
        self.verbose = verbose

    def check_settings(self) -> None:
        """As every task does; and `distill` needs `members`."""
        super().check_settings()
        if self.distill and self.members == 1:
            raise UserError(
                "`distill` makes one network of several: give `members` of at least 2. "
                "Received: members=1."
            )

    def fit(
        self,
        texts: Sequence[str],
        labels: Any,
        validation_data: tuple[Sequence[str], Any] | None = None,
        *,
        checkpoint: str | os.PathLike[str] | None = None,
    ) -> Self:
        """Learns from texts and their labels.

        Args:
            texts: Strings: a list, an array, a column of pandas.
            labels: One for each text: strings, or numbers. Or several: for each text a list, tuple
                or set of any length; or an indicator array (texts, classes) of 1 where a text has a
                label and 0 elsewhere, whose columns the setting `classes` names: the form for
                scikit-learn's model selection. It may be sparse. A label that all texts have, or
                none, gets one probability for all texts, and a warning.
            validation_data: Texts and labels that decide how long to train and how sure to be, and
                from which nothing else is learned.
            checkpoint: A folder from which a later `fit` with the same settings and data goes on
                where this one was interrupted, and ends with the same model. It is created where it
                is missing, and may be deleted afterwards.

        Raises:
            ValueError: If a setting, a text or a label is no good, or the training diverges.
        """
        self.check_settings()
        texts = checked_texts(texts)
        has_several = several_labels.are_several(labels)
        classes, ids = self._classes_and_ids(labels, len(texts))
        loss = losses.chosen(self.loss, has_several)
        losses.require_own_settings(self, loss)
        if self.distill and has_several:
            raise UserError("`distill` is for one label for each text; leave it out for several")
        if len(classes) < 2:
            found = f"one class only ({classes[0].item()!r})" if len(classes) else "no class"
            raise UserError(f"the texts have {found}; give texts of at least two classes")
        training = LabelledTexts(texts, ids)
        if validation_data is None:
            training, validation = training.split(VALIDATION_SHARE, "validation")
            if not len(validation):
                raise UserError(
                    "there are too few texts to set some aside; give more, or name others in "
                    "validation_data"
                )
        else:
            if len(validation_data) != 2:
                raise UserError(
                    "`validation_data` must be (texts, labels). "
                    f"Received: {len(validation_data)} parts."
                )
            validation = _labelled(*validation_data, classes, has_several)
        weights = losses.class_weights(self.class_weight, loss, classes, training.labels)
        # Of all texts to learn from: what only some of them have is learned in the end.
        known = training + validation if validation_data is None else training
        vocabulary = build_vocabulary(known.texts, self.tokens, size=self.vocabulary_size)
        vectors = self._vectors(vocabulary)
        kept = self.checkpoints(checkpoint, training, validation, classes, vectors)
        makers = Networks(self, classes, vocabulary, vectors, weights, kept)
        networks, histories = makers.train(training, validation)
        best_epochs = list(map(_best_epoch, histories))
        teacher = None
        if self.distill:
            teacher = average_networks(networks)
            networks, histories = makers.train(training, validation, teacher)
            best_epochs += map(_best_epoch, histories)
        linear = self._fit_linear_model(training, len(classes), weights)
        several = [predict_logits(average_networks(networks), validation.texts)]
        require_finite(several[0])
        if linear is not None:
            several.append(linear.logits(validation.texts))
        targets = makers.targets(validation)
        factors = best_factors(several, targets)
        if validation_data is None:
            # Validation has told how long to train and how sure to be: now it is there to learn
            # from.
            training = known
            makers.train_further(networks, training, teacher)
            require_finite(predict_logits(average_networks(networks), validation.texts))
            linear = self._fit_linear_model(training, len(classes), weights)
        constant: dict[int, float] = {}
        if has_several:
            constant = several_labels.constant_logits(targets_of(training, len(classes)))
            several_labels.warn_of_constant(constant, classes)
        for network in networks:
            divide_logits(network, 1 / factors[0], ["logits"])
            several_labels.set_constant_logits(network, constant)
        model = average_networks(networks)
        model.update_legend(history=histories[0], best_epochs=best_epochs)
        if has_several:
            thresholds = several_labels.best_thresholds(
                numpy.tensordot(factors, several, 1), targets
            )
            for number in constant:
                thresholds[number] = 0.5
            model.update_legend(
                thresholds=thresholds,
                is_indicator=several_labels.is_indicator(labels),
            )
        with self.seeded():
            if linear is not None:
                model = with_linear_model(model, linear, factors[1])
            self.model_ = plain_copy(model)
        self.restore(self.model_.legend)
        return self

    def _classes_and_ids(self, labels: Any, count: int) -> tuple[numpy.ndarray, list[Any]]:
        """The classes, and the id of the class of each text, or a tuple of several."""
        if several_labels.are_several(labels):
            return several_labels.classes_and_ids(labels, count, self.classes)
        if self.classes is not None:
            raise UserError(
                "`classes` names the columns of an indicator array, and `labels` is none; leave it "
                "out"
            )
        classes, ids = numpy.unique(checked_labels(labels, count), return_inverse=True)
        return classes, ids.tolist()

    def _vectors(self, vocabulary: Sequence[str]) -> numpy.ndarray | None:
        """What each token starts from, (tokens, dimensions), where a source is given."""
        if self.vectors is None:
            return None
        if self.keras_verbose():
            print(f"reads the vectors of {os.fspath(self.vectors)}", flush=True)
        return initial_vectors(self.vectors, vocabulary, self.tokens, _VECTOR_SCALE)

    def _fit_linear_model(
        self, training: LabelledTexts, num_classes: int, class_weight: list[float] | None
    ) -> LinearModel | None:
        """The linear model that stands beside the network; `None` where there is to be none."""
        if not self.ngrams:
            return None
        return fit_linear_model(
            training.texts,
            targets_of(training, num_classes),
            token_kind=self.tokens,
            size=self.ngrams,
            class_weight=class_weight,
            seed=self.seed,
        )

    def restore(self, legend: dict[str, Any]) -> None:
        """Sets what else `fit` learned; a model that Keras alone has trained has names only."""
        self.tokens = legend["token_kind"]
        self.classes_ = numpy.array(legend.get("classes", legend["class_names"]))
        self.history_ = legend.get("history", {})
        self.best_epochs_ = legend.get("best_epochs", [])
        self.threshold_ = legend.get("threshold")
        thresholds = legend.get("thresholds")
        self.thresholds_ = None if thresholds is None else numpy.array(thresholds)
        self._gives_indicators = legend.get("is_indicator", False)

    def predict(self, texts: Sequence[str]) -> Any:
        """The most probable label of each text, (texts,).

        After `abstain_below` an array of objects: `None` where that label is less probable than
        `threshold_`. With several labels for each text those that are at least as probable as
        `thresholds_`, in the form that `fit` got: a list for each text, in the order of `classes_`,
        or an indicator array (texts, classes).
        """
        if self.thresholds_ is not None:
            predicted = self._are_predicted(texts)
            return several_labels.labels_of(predicted, self.classes_, self._gives_indicators)
        if self.threshold_ is None:
            return self._most_probable(texts)
        probabilities = self.predict_proba(texts)
        labels = self.classes_[probabilities.argmax(axis=1)].astype(object)
        labels[probabilities.max(axis=1) < self.threshold_] = None
        return labels

    def predict_proba(self, texts: Sequence[str]) -> numpy.ndarray:
        """The probability of each label, (texts, classes), in the order of `classes_`.

        With several labels for each text a row does not add up to 1: each is a probability of its
        own.
        """
        logits = self._logits(texts).astype("float64")
        probabilities: numpy.ndarray
        probabilities = softmax(logits, axis=1) if self.thresholds_ is None else expit(logits)
        return probabilities

    def abstain_below(
        self,
        texts: Sequence[str],
        labels: Sequence[Any],
        accuracy: float = 0.95,
        confidence: float = 0.95,
    ) -> float:
        """From now on `predict` says `None` where it is not sure enough to keep a promise.

        Of the texts that it answers at least the promised share is right: new texts, drawn as these
        were. `recipes.runs.abstention.find_threshold` says how the threshold is found, and under
        which conditions the promise holds.

        Args:
            texts: Texts that `fit` has not seen, validation texts included. Some hundreds, at
                least: a promise of 0.95 at a confidence of 0.95 takes 59, if all are right.
            labels: One for each text.
            accuracy: The promised share, from 0 to 1, both excluded.
            confidence: How often such promises are to be kept, over draws of `texts`; likewise.
                Each promise is one draw: of several on the same texts, each is kept as often, and
                all of them together may be kept less often.

        Returns:
            The threshold, which is `threshold_` from now on; `save` keeps it.

        Raises:
            ValueError: If no threshold keeps the promise, or the texts are too few to tell; then
                `threshold_` stays as it was. Or if the texts have several labels.
        """
        if self.thresholds_ is not None:
            raise UserError(
                "abstain_below is for one label for each text; of several, `thresholds_` says from "
                "which probability on each is predicted"
            )
        require_proper_fraction("accuracy", accuracy)
        require_proper_fraction("confidence", confidence)
        labelled = self._known(texts, labels)
        probabilities = self.predict_proba(labelled.texts)
        is_right = probabilities.argmax(axis=1) == labelled.labels
        threshold = find_threshold(probabilities.max(axis=1), is_right, accuracy, confidence)
        self.model_.update_legend(threshold=threshold)
        self.threshold_ = threshold
        return threshold

    def score(self, texts: Sequence[str], labels: Any, sample_weight: Any = None) -> float:
        """The accuracy of the most probable labels, also of those that `predict` holds back.

        With several labels the share of the texts all of whose labels are right.
        """
        if self.thresholds_ is not None:
            labelled = self._known(texts, labels)
            targets = targets_of(labelled, len(self.classes_))
            predicted = self._are_predicted(labelled.texts)
            return float(accuracy_score(targets, predicted, sample_weight=sample_weight))
        predicted = self._most_probable(texts)
        return float(accuracy_score(labels, predicted, sample_weight=sample_weight))

    def evaluate(self, texts: Sequence[str], labels: Any) -> dict[str, float]:
        """Measures on texts that `fit` has not seen, of the most probable label of every text.

        Returns:
            `accuracy`; `macro_f1`, over the classes that occur or are predicted; `nll`, the mean
            negative logarithm of the probability of the right label, in nats; `ece`, the expected
            calibration error.

            With several labels `micro_f1`; `macro_f1`, likewise; `hamming`, the share of the pairs
            of text and class that are wrong; `nll` and `ece`, of these pairs.
        """
        labelled = self._known(texts, labels)
        logits, targets = self._logits(labelled.texts), targets_of(labelled, len(self.classes_))
        if self.thresholds_ is not None:
            return several_labels.scores(logits, targets, self.thresholds_)
        return score_logits(logits, targets)

    def evaluate_parts(self, texts: Sequence[str], labels: Any) -> dict[str, dict[str, float]]:
        """`accuracy` and `macro_f1` of the `network` and of the `n-grams`, each by itself.

        With several labels `micro_f1`, `macro_f1` and `hamming`, of what each gives more than 0.5.

        How sure they are is measured of their sum, for which alone they are calibrated. Empty where
        the network is alone.
        """
        if self.model_.ngram_layer() is None:
            return {}
        labelled = self._known(texts, labels)
        targets = targets_of(labelled, len(self.classes_))
        of_network = predict_logits(self.model_.network(), labelled.texts)
        parts = {"network": of_network, "n-grams": self._logits(labelled.texts) - of_network}
        if self.thresholds_ is not None:
            return {
                name: several_labels.scores_of_predictions(each > 0, targets)
                for name, each in parts.items()
            }
        measures = {name: score_logits(each, targets) for name, each in parts.items()}
        return {
            name: {measure: found[measure] for measure in ("accuracy", "macro_f1")}
            for name, found in measures.items()
        }

    def explain(self, text: str, label: Any = None) -> Explanation:
        """Why a text gets its class: the share of each word in the logit of a class.

        Of the network by integrated gradients along the embeddings, from zero embeddings under the
        same mask; of the n-grams, which add up, exactly, each divided equally among its words.

        Args:
            text: Any text.
            label: The class, one of `classes_`; `None` for the most probable one.

        Returns:
            `words` and their `shares`, which with `rest` add up to `logit` less `baseline`.
            `rich.print` shows it in colour, a notebook and `html()` as HTML.

        Raises:
            ValueError: If `text` is no text, or `label` no class.
        """
        (text,) = checked_texts([text])
        classes = self.classes_.tolist()
        if label is None:
            label = classes[int(self._logits([text])[0].argmax())]
        if label not in classes:
            raise UserError(f"{label!r} is no class; expected one of {classes[:10]}")
        return explain(self.model_, text, classes.index(label), label)

    def _known(self, texts: Sequence[str], labels: Any) -> LabelledTexts:
        """Texts and the class id of each, or a tuple of them, checked."""
        return _labelled(texts, labels, self.classes_, self.thresholds_ is not None)

    def _are_predicted(self, texts: Sequence[str]) -> numpy.ndarray:
        """Whether a text has each of several labels, (texts, classes)."""
        predicted: numpy.ndarray = self.predict_proba(texts) >= self.thresholds_
        return predicted

    def _most_probable(self, texts: Sequence[str]) -> numpy.ndarray:
        labels: numpy.ndarray = self.classes_[self._logits(texts).argmax(axis=1)]
        return labels

    def _logits(self, texts: Sequence[str]) -> numpy.ndarray:
        return predict_logits(self.model_, checked_texts(texts))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """Reads a file, in Keras's safe mode: nothing in it is executed.

        Args:
            path: What `save` has written; or a `TextClassifierModel` with vocabulary, class names
                and token kind, saved by Keras: trained with a loss of exclusive classes, or of
                independent ones where its legend has `thresholds`.

        Raises:
            UserError: If there is no such file, or it is damaged, or holds another model.
        """
        return cls.of_model(read_classifier(path), path)

    def __sklearn_tags__(self) -> Tags:
        """Texts, in one dimension."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.classifier_tags.multi_label = True
        return tags


def _labelled(
    texts: Sequence[str], labels: Any, classes: numpy.ndarray, has_several: bool
) -> LabelledTexts:
    """Texts and the class id of each, or a tuple of them, checked."""
    texts = checked_texts(texts)
    if has_several:
        return LabelledTexts(texts, several_labels.ids_of(labels, len(texts), classes))
    found = checked_labels(labels, len(texts)).tolist()
    return LabelledTexts(texts, known_ids(found, classes.tolist()))


def _best_epoch(history: Mapping[str, Sequence[float]]) -> int:
    """The epoch with the lowest loss on validation texts, from 1."""
    losses_of_validation = history["val_loss"]
    return losses_of_validation.index(min(losses_of_validation)) + 1

"""Where the questions of a training come from: files of the command line, or Python itself."""

import argparse

from recipes.answer_ranker import questions as ranking_questions
from recipes.answer_ranker.questions import Columns, RankingQuestion
from recipes.corpora import standard_library
from recipes.runs.failures import UserError

TEST_SHARE = 0.2
VALIDATION_SHARE = 0.1
CANDIDATES = 10

Questions = list[RankingQuestion]


def read_sources(options: argparse.Namespace) -> tuple[Questions, Questions, Questions]:
    """The questions to learn from, to stop by and to test with."""
    columns = Columns(
        options.question_column,
        options.answer_column,
        options.label_column,
        options.right_column,
        options.wrong_column,
    )
    if options.train is None:
        if options.test or options.validation:
            raise UserError("--test and --validation need --train: give all the files, or none")
        pairs = standard_library.name_and_docstring_pairs()
        training = ranking_questions.from_pairs(pairs)
    else:
        training = ranking_questions.read_questions(options.train, columns)
    source = options.train or "the standard library"
    if options.test is None:
        training, test = ranking_questions.split_questions(training, TEST_SHARE, "test")
    else:
        test = ranking_questions.read_questions(options.test, columns)
    if options.validation is None:
        training, validation = ranking_questions.split_questions(
            training, VALIDATION_SHARE, "validation"
        )
    else:
        validation = ranking_questions.read_questions(options.validation, columns)
    if not any(question.right for question in training):
        raise UserError(
            f"{source} has no question with a right answer to learn from; give more questions, "
            "with the label 1 for right answers"
        )
    return (
        training,
        _rankable(validation, options.validation or source, "to stop by", options),
        _rankable(test, options.test or source, "to test with", options),
    )


def _rankable(
    questions: Questions, source: str, purpose: str, options: argparse.Namespace
) -> Questions:
    """The questions that can be ranked, each with as many candidates as were asked for."""
    size = options.candidates
    if size is None:
        # Nothing but pairs that belong together: each answer among others, drawn by chance.
        size = 0 if any(question.wrong for question in questions) else CANDIDATES
    answers = [answer for question in questions for answer in question.candidates]
    filled = ranking_questions.fill_candidates(questions, size, answers, seed=0)
    rankable = ranking_questions.answerable(filled)
    if not rankable:
        raise UserError(
            f"{source} has no question {purpose} with both a right and a wrong answer; give more "
            "questions, or wrong answers drawn by chance with --candidates 10"
        )
    return rankable

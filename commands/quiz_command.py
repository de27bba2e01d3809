"""`aliens quiz`: whether restyled photos are recognised, by matching and by people."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from commands import options
from commands.options import ENGINES, LIBRARY, completing, ids_of, opened, print_notes, print_records

if TYPE_CHECKING:
    from restyle.quiz.playing import CountedAnswers, Game, Played

METHODS = {"embedding": "what they show", "hog": "outlines"}


def quiz(
    results: Annotated[
        str | None, typer.Option("--results", metavar="ID,ID", help="Only these results (default: all).")
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(autocompletion=completing(known=ENGINES), help="Only results of this engine, such as regrade."),
    ] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="QUIZ.html", help="Write the quiz as a page that people play.")
    ] = None,
    choices: Annotated[
        int | None,
        typer.Option(help="Photos to choose from in the page, 2 to 9. Default: all of up to 8, else the 6 most alike."),
    ] = None,
    seed: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=(1 << 32) - 1,
            help="The number that chance begins with: it orders questions and choices.",
        ),
    ] = 0,
    answers: Annotated[
        Path | None, typer.Option(metavar="ANSWERS.json", help="Count and keep what a person answered in the page.")
    ] = None,
    games: Annotated[bool, typer.Option("--games", help="List the games that people have played.")] = False,
    explain: options.FiguresOption = False,
    json: options.JsonOption = False,
    library: options.LibraryOption = LIBRARY,
    device: options.DeviceOption = "auto",
) -> None:
    """Ask whether restyled photos are recognised.

    They are matched with their originals, or people do it. The newest result of each photo counts.

    Examples:
        aliens quiz
        aliens quiz --html quiz.html
        aliens quiz --answers answers.json
    """
    from embedding.html_pages import check_page
    from restyle.quiz.playing import record_of

    check_page(html)
    with opened(library, device, aloud=not games and answers is None) as photos:
        if games:
            return print_games(photos.quiz_games(), json, library)
        if answers is not None:
            return print_counted(photos.count_quiz_answers(answers), json)
        played = photos.quiz(ids_of("--results", results), engine=engine, seed=seed, choices=choices)
        if json:
            print_records([record_of(played)])
        else:
            print_matchings(played, explain or not console.on_terminal())
        for reason in played.left_out:
            console.note(f"left out: {reason}")
        if html is not None:
            name = photos.write_quiz(played, html)
            counting = "count what people answer with `aliens quiz --answers FILE.json`"
            print_notes([(f"quiz {name}: ", console.FilePath(str(html)), f"; {counting}")], library)
        elif played.quiz is None:
            console.note("there is one photo to choose from: restyle more for the quiz to say anything")


def print_matchings(played: "Played", figures: bool) -> None:
    """Print how every method did, then what it confused; with figures: how sure it was."""
    names = {pair.source_id: Path(pair.original.name).name for pair in played.pairs}
    rows = [
        (METHODS[m.method], f"{m.right} of {m.n}", f"{m.accuracy:.3f}", f"{m.top1:.3f}", f"{1 / m.n:.3f}")
        for m in played.matchings
    ]
    heads = ("matched by", "recognised", "accuracy", "top-1", "chance")
    console.print_rows(heads if figures else heads[:2], rows if figures else [row[:2] for row in rows])
    confused = [
        (
            METHODS[matching.method],
            confusion.result_id,
            f"{confusion.source_id} {names[confusion.source_id]}",
            f"{confusion.taken_for_id} {names[confusion.taken_for_id]}",
            f"{confusion.similarity:.3f}",
            f"{confusion.own_similarity:.3f}",
        )
        for matching in played.matchings
        for confusion in matching.confusions
    ]
    if confused:
        columns = ("matched by", "result", "made of photo", "taken for photo", "cosine", "cosine with its own")
        console.print_rows(columns if figures else columns[:4], confused if figures else [row[:4] for row in confused])
    if not figures and played.matchings:
        console.note(f"guessing would recognise 1 of {played.matchings[0].n}")


def print_counted(counted: "CountedAnswers", json: bool) -> None:
    """Print how a person did."""
    if json:
        print_records([counted])
    else:
        console.say(counted)
        rows = [(m.result_id, m.source_id, m.taken_for_id) for m in counted.outcome.mistakes]
        if rows:
            console.print_rows(("result", "made of photo", "taken for photo"), rows)
    if not counted.new:
        console.note("the same answers were counted before: they are kept once")


def print_games(played: "Sequence[Game]", json: bool, library: Path) -> None:
    """Print the games that people have played."""
    if json:
        print_records(played)
    elif played:
        rows = [
            (g.game, f"{g.played_at:%Y-%m-%d %H:%M}", g.player, f"{g.right} of {g.n}", f"{g.accuracy:.3f}", g.quiz)
            for g in played
        ]
        console.print_rows(("game", "counted (UTC)", "player", "right", "accuracy", "quiz"), rows)
    if not played:
        print_notes(["nobody has played yet: write the quiz with `aliens quiz --html quiz.html`"], library)

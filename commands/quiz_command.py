"""`aliens quiz`: whether restyled photos are recognised, by matching and by people."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from base import console
from base.errors import QueryError
from base.settings import LibraryFolder
from commands.models import library_session, load_encoder
from commands.options import LIBRARY, DeviceOption, JsonOption, LibraryOption
from commands.restyle_commands import check_page
from commands.search_commands import ids_of

if TYPE_CHECKING:
    from restyle.quiz.playing import Played

METHODS = {"embedding": "the library's embedding", "hog": "outlines (HOG)"}


def quiz(
    results: Annotated[
        str | None, typer.Option("--results", metavar="ID,ID", help="Only these results (default: all).")
    ] = None,
    engine: Annotated[str | None, typer.Option(help="Only results of this engine, such as regrade.")] = None,
    html: Annotated[
        Path | None, typer.Option(metavar="QUIZ.html", help="Write the quiz as a page that people play.")
    ] = None,
    choices: Annotated[
        int | None,
        typer.Option(help="Photos to choose from in the page, 2 to 9. Default: all of up to 8, else the 6 most alike."),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, max=(1 << 32) - 1, help="Of the order of questions and choices.")] = 0,
    answers: Annotated[
        Path | None, typer.Option(metavar="ANSWERS.json", help="Count and keep what a person answered in the page.")
    ] = None,
    games: Annotated[bool, typer.Option("--games", help="List the games that people have played.")] = False,
    json: JsonOption = False,
    library: LibraryOption = LIBRARY,
    device: DeviceOption = "auto",
) -> None:
    """Play the recognition quiz: match restyled photos with their originals, or let people do it.

    The newest result of each photo counts. Accuracy is the share that the best assignment gives to its own original.

    Top-1 is the share whose own original is the most similar of all.
    """
    from restyle.pages import write_page
    from restyle.quiz.game import quiz_page
    from restyle.quiz.playing import choose_results, play
    from restyle.restyled import RestyledPhotos

    folder = LibraryFolder(library)
    if games:
        return list_games(folder, json)
    if answers is not None:
        return count_sheet(folder, answers, json)
    from db.vector_rows import current_model

    check_page(html)
    with library_session(folder) as session, console.ProgressBars() as bars:
        chosen = choose_results(RestyledPhotos(folder, session), ids_of("--results", results), engine)
        model = current_model(session)
        encoder = load_encoder(model.name, device, key=model.key)
        played = play(
            session,
            chosen,
            encoder,
            seed=seed,
            choices=choices,
            progress=lambda done, total: bars.update("comparing", done, total),
        )
    if json:
        print_record(played)
    else:
        print_matchings(played)
    for reason in played.left_out:
        console.note(f"left out: {reason}")
    if played.quiz is None:
        few = "there is one photo to choose from: restyle more for the quiz to say anything"
        if html is not None:
            raise QueryError(f"{html} was not written: {few}")
        console.note(few)
    elif html is not None:
        write_page(quiz_page(played.quiz, played.pairs), html)
        console.note(f"quiz {played.quiz.id}: {html}; count what people answer with `aliens quiz --answers FILE.json`")


def print_record(played: "Played") -> None:
    """Print one object: accuracy and n of the embedding first, then everything of every method."""
    from restyle.quiz.playing import matching_record

    first = played.matchings[0]
    console.print_json(
        {
            "accuracy": first.accuracy,
            "n": first.n,
            "chance": 1 / first.n,
            "methods": {matching.method: matching_record(matching) for matching in played.matchings},
            "confusions": {m.method: [asdict(confusion) for confusion in m.confusions] for m in played.matchings},
            "quiz": None if played.quiz is None else played.quiz.id,
            "left_out": played.left_out,
        }
    )


def print_matchings(played: "Played") -> None:
    """Print how every method did, then what it confused."""
    names = {pair.source_id: Path(pair.original.name).name for pair in played.pairs}
    rows = [
        (METHODS[m.method], f"{m.right} of {m.n}", f"{m.accuracy:.3f}", f"{m.top1:.3f}", f"{1 / m.n:.3f}")
        for m in played.matchings
    ]
    console.print_rows(("matched by", "right", "accuracy", "top-1", "chance"), rows)
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
        console.print_rows(columns, confused)


def count_sheet(folder: LibraryFolder, path: Path, json: bool) -> None:
    """Count and keep what a person answered."""
    from restyle.quiz.playing import count_answers

    with library_session(folder) as session:
        sheet, counted, new = count_answers(folder, session, path)
    if json:
        console.print_json({"quiz": sheet.quiz_id, "player": sheet.player, "new": new} | asdict(counted))
    else:
        typer.echo(
            f"{sheet.player}: {counted.right} of {counted.n} recognised, accuracy {counted.accuracy:.3f} "
            f"(95 % interval {counted.low:.3f} to {counted.high:.3f}; guessing gives {counted.chance:.3f})"
        )
        rows = [(m.result_id, m.source_id, m.taken_for_id) for m in counted.mistakes]
        if rows:
            console.print_rows(("result", "made of photo", "taken for photo"), rows)
    if not new:
        console.note("the same answers were counted before: they are kept once")


def list_games(folder: LibraryFolder, json: bool) -> None:
    """List the games that people have played."""
    from db.restyling_rows import games

    with library_session(folder) as session:
        played = games(session)
    rows = []
    for game in played:
        quizzes = ", ".join(sorted({str(answer.get("quiz", "")) for answer in game.answers}))
        share = game.right / game.n
        if json:
            facts = {"game": game.id, "played_at": game.played_at, "player": game.player, "method": game.method}
            console.print_json(facts | {"right": game.right, "n": game.n, "accuracy": share, "quiz": quizzes})
        rows.append(
            (
                game.id,
                f"{game.played_at:%Y-%m-%d %H:%M}",
                game.player,
                f"{game.right} of {game.n}",
                f"{share:.3f}",
                quizzes,
            )
        )
    if rows and not json:
        console.print_rows(("game", "counted (UTC)", "player", "right", "accuracy", "quiz"), rows)
    if not rows:
        console.note("nobody has played yet: write the quiz with `aliens quiz --html quiz.html`")

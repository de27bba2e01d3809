import os
import signal
import threading

import pytest

from indexer.interrupts import stop_on_interrupt

pytestmark = pytest.mark.usefixtures("ctrl_c")


def test_first_interrupt_is_a_wish_and_the_second_stops_at_once() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), stop_on_interrupt() as stop:
        assert not stop.is_set()
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.wait(10)
        os.kill(os.getpid(), signal.SIGINT)
        threading.Event().wait(10)
    assert signal.getsignal(signal.SIGINT) is before


def test_handler_is_put_back_when_nothing_was_interrupted() -> None:
    before = signal.getsignal(signal.SIGINT)
    with stop_on_interrupt() as stop:
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before
    assert not stop.is_set()


@pytest.mark.parametrize("others", [signal.SIG_IGN, None])
def test_an_ignored_interrupt_is_left_so(others: signal.Handlers | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if others is None:  # as of a handler installed from C, which none could put back
        monkeypatch.setattr(signal, "getsignal", lambda number: None)
    else:
        signal.signal(signal.SIGINT, others)  # the fixture puts back what was
    before = signal.getsignal(signal.SIGINT)
    installed: list[object] = []
    monkeypatch.setattr(signal, "signal", lambda *arguments: installed.append(arguments))
    with stop_on_interrupt() as stop:
        assert not stop.is_set()
    monkeypatch.undo()
    assert installed == []
    assert others is None or signal.getsignal(signal.SIGINT) is before


def test_another_thread_does_not_listen_for_interrupts() -> None:
    handlers = []

    def work() -> None:
        with stop_on_interrupt() as stop:
            handlers.append((signal.getsignal(signal.SIGINT), stop.is_set()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert handlers == [(signal.getsignal(signal.SIGINT), False)]

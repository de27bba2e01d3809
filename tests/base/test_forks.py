"""What a forked child finds: locks that nobody holds, and no call cut in two. In processes of their own: forks warn."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
HEAD = """
import functools, os, sys, threading, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork beside threads, which is what is tried
from base import forks

def answer_of_child(act):
    reading, writing = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.write(writing, repr(act()).encode())
        os._exit(0)
    os.close(writing)
    with open(reading) as file:
        said = file.read()
    os.waitpid(pid, 0)
    return said

def beside(act):
    begun, done = threading.Event(), threading.Event()
    thread = threading.Thread(target=act, args=(begun, done), daemon=True)
    thread.start()
    begun.wait()
    return done
"""


def said(script: str) -> str:
    done = subprocess.run([sys.executable, "-c", HEAD + script], capture_output=True, text=True, cwd=ROOT, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_lock_that_another_thread_holds_is_free_in_a_child_and_held_in_the_parent() -> None:
    script = """
lock = forks.fork_lock()

def hold(begun, done):
    with lock:
        begun.set()
        done.wait()

done = beside(hold)
print(answer_of_child(lambda: lock.acquire(timeout=60)), lock.acquire(blocking=False))
done.set()
"""
    assert said(script) == "True False"


def test_a_property_that_another_thread_computes_can_be_computed_in_a_child() -> None:
    """Python 3.11 has one lock for all objects of a class."""
    script = """
class Slow:
    @functools.cached_property
    def value(self):
        self.begun.set()
        self.done.wait()
        return 1

def compute(begun, done):
    slow = Slow()
    slow.begun, slow.done = begun, done
    slow.value

def in_child():
    slow = Slow()
    slow.begun = slow.done = threading.Event()
    slow.done.set()
    return slow.value

forks.Slow = Slow  # as if it were ours
beside(compute)
print(answer_of_child(in_child))
"""
    assert said(script) == "1"


def test_a_fork_waits_for_the_calls_in_hand_and_the_next_wait_for_it() -> None:
    script = """
uncut, order = forks.UncutByForks(), []
forking = threading.Event()

def call(begun, done):
    with uncut:
        begun.set()
        forking.wait()
        order.append("left")
    with uncut:
        order.append("next")
        done.set()

os.register_at_fork(before=forking.set)  # before what was registered earlier
done = beside(call)
in_child = answer_of_child(lambda: (order, uncut.__enter__()))
done.wait()
print(in_child, order)
"""
    assert said(script) == "(['left'], None) ['left', 'next']"


def test_a_call_that_takes_very_long_holds_up_no_fork_for_ever() -> None:
    script = """
forks.LONGEST_WAIT_S = 0
uncut = forks.UncutByForks()

def call(begun, done):
    with uncut:
        begun.set()
        done.wait()

done = beside(call)
print(answer_of_child(lambda: uncut.__enter__()), forks.is_forked(), answer_of_child(forks.is_forked))
done.set()
"""
    assert said(script) == "None False True"

"""The threads that send: each job once, the oldest first, and whoever gives them is called in time."""

import threading
import time

from deliveries.workers import CALL_AT, Workers


def test_every_job_is_done_once_and_handed_back():
    done = []
    with Workers(lambda job: None) as workers:
        for job in range(200):
            workers.give(job)
        workers.at_least(4)
        until = time.monotonic() + 10
        while len(done) < 200 and time.monotonic() < until:
            done += workers.done(timeout=1)
    assert sorted(done) == list(range(200))


def test_a_single_job_is_handed_back_at_once():
    with Workers(lambda job: None) as workers:
        workers.at_least(1)
        began = time.monotonic()
        workers.give("only")
        assert workers.done(timeout=5) == ["only"]
        assert time.monotonic() - began < 1


def test_who_gives_jobs_is_called_when_few_wait_ready_and_not_before():
    go = threading.Semaphore(0)
    with Workers(lambda job: go.acquire(timeout=10)) as workers:
        for job in range(CALL_AT + 2):
            workers.give(job)
        workers.at_least(1)
        go.release()  # one is done, one begun: one more than CALL_AT wait
        began = time.monotonic()
        assert workers.done(timeout=0.3) == [0]
        assert time.monotonic() - began >= 0.3  # nobody called
        go.release()
        began = time.monotonic()
        assert workers.done(timeout=5) == [1]
        assert time.monotonic() - began < 4
        for _job in range(CALL_AT + 1):
            go.release()


def test_what_no_thread_has_taken_up_can_be_taken_back():
    go = threading.Event()
    with Workers(lambda job: go.wait(10)) as workers:
        workers.at_least(1)
        for job in range(3):
            workers.give(job)
        until = time.monotonic() + 5
        while workers.waiting() > 2 and time.monotonic() < until:
            time.sleep(0.01)
        assert workers.take_back() == [1, 2]
        assert workers.waiting() == 0
        go.set()
        assert workers.done(timeout=5) == [0]


def test_leaving_waits_for_what_was_begun_and_forgets_the_rest():
    begun, ended = [], []

    def slow(job):
        begun.append(job)
        time.sleep(0.2)
        ended.append(job)

    with Workers(slow) as workers:
        workers.at_least(1)
        for job in range(3):
            workers.give(job)
        while not begun:
            time.sleep(0.01)
    assert begun == ended == [0]

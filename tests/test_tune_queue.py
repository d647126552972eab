"""The queue of trials that are left to train."""

from tune.sweep.queue import Queue


def queue_of(*trial_ids):
    queue = Queue()
    for trial_id in trial_ids:
        queue.join(trial_id)
    return queue


def test_trials_wait_in_the_order_in_which_they_joined_until_a_worker_takes_them():
    queue = queue_of("a", "b", "c")
    assert queue.waiting == ["a", "b", "c"]
    queue.take("b")
    queue.take("b")
    assert (queue.waiting, queue.unfinished) == (["a", "c"], {"a", "b", "c"})
    queue.end("a")
    queue.end("a")
    assert (queue.waiting, queue.unfinished) == (["c"], {"b", "c"})


def test_a_trial_that_lost_its_worker_is_next_and_waits_once():
    queue = queue_of("a", "b", "c")
    queue.take("b")
    queue.return_to_front("b")
    queue.return_to_front("b")
    assert queue.waiting == ["b", "a", "c"]
    queue.return_to_front("c")
    assert queue.waiting == ["b", "a", "c"], "it still waits"
    queue.end("b")
    queue.return_to_front("b")
    assert queue.waiting == ["a", "c"], "an ended trial does not wait again"


def test_files_that_are_lost_are_left_to_make_again_after_the_others():
    queue = queue_of("a", "b")
    queue.end("a")
    queue.lose_files("a")
    assert (queue.waiting, queue.lost, queue.left) == (["b", "a"], {"a"}, True)
    queue.take("a")
    queue.return_to_front("a")
    assert queue.waiting == ["a", "b"]
    queue.end("b")
    assert queue.left, "files are still lost"
    queue.lost.clear()
    assert not queue.left


def test_a_refill_has_the_given_order_and_only_trials_that_are_left():
    queue = queue_of("a", "b", "c", "d")
    queue.end("a")
    queue.end("b")
    queue.reopen("b")
    assert queue.waiting == ["c", "d"], "it waits after the refill"
    queue.lose_files("a")
    queue.end("d")
    queue.refill(["d", "c", "b", "a"])
    assert queue.waiting == ["c", "b", "a"]


def test_a_paused_trial_waits_for_no_worker_until_it_is_taken_up():
    queue = queue_of("a", "b", "c")
    queue.take("a")
    queue.pause("a")
    queue.return_to_front("a")
    queue.refill(["a", "b", "c"])
    assert (queue.paused, queue.waiting) == (["a"], ["b", "c"])
    assert "a" in queue.unfinished
    queue.take_up("a")
    assert (queue.paused, queue.waiting) == ([], ["b", "c", "a"])
    queue.pause("a")
    queue.end("a")
    assert (queue.paused, queue.waiting, queue.unfinished) == ([], ["b", "c"], {"b", "c"})

"""kill -9 of any process of the demo at random moments; then the demo again: the same dataset."""

import os
import random
import signal
import subprocess
import time

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("demo")]

N_KILLS = int(os.environ.get("CURATOR_DEMO_KILLS", "1"))
"""Demos that are killed; the campaign of ``make kills`` has more."""


def kill_at(demo, session_processes, delay_s, rng):
    """Start the demo, kill one of its processes after a while, and wait until all are gone."""
    running = subprocess.Popen(
        demo.command,
        cwd=demo.folder,
        env=demo.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        running.wait(timeout=delay_s)
    except subprocess.TimeoutExpired:
        victim = rng.choice(session_processes(running.pid) or [running.pid])
        os.kill(victim, signal.SIGKILL)
    running.wait(timeout=100)
    deadline = time.monotonic() + 60
    while session_processes(running.pid):
        assert time.monotonic() < deadline, "a process of the killed demo works on"
        time.sleep(0.02)


@pytest.mark.parametrize("seed", range(N_KILLS))
def test_the_demo_survives_a_kill_at_a_random_moment(finished_demo, session_processes, tmp_path, seed):
    """The dataset is that of an undisturbed demo, and what was recorded complete is not done again."""
    rng = random.Random(seed)
    demo = type(finished_demo)(tmp_path)
    demo.input.mkdir(parents=True)
    for path in finished_demo.input.iterdir():
        os.link(path, demo.input / path.name)
    kill_at(demo, session_processes, rng.uniform(1.0, 10.0), rng)
    complete = demo.completed_at() if demo.database.exists() else {}
    done = demo.run()
    assert done.returncode == 0, done.stdout + done.stderr
    now = demo.completed_at()
    assert {key for key, at in complete.items() if now.get(key) != at} == set()
    assert demo.files() == finished_demo.files()

#!/usr/bin/python3
"""hh_sim - a simulator of HH.ru's API for tests, benchmarks and the demo. README.md says how to use it.

This file reads the options, builds the one Simulator that all handlers share, and runs the server. Each group of
methods is a file with add_routes(app), listed in ROUTES below; a new group is a new file there.
"""
import argparse
import asyncio
import ctypes
import gc
import os
import signal
import sys
import time

PR_SET_PDEATHSIG = 1


def die_with_parent(parent):
    """Asks the kernel for SIGTERM when the parent ends, and notices a parent that ended before we asked."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent:
        sys.exit(0)


if __name__ == "__main__":
    # Before the slow imports: from here on a stop is a clean one, and an orphan does not live.
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, lambda *_: os._exit(0))
    if "--die-with-parent" in sys.argv[1:]:
        die_with_parent(os.getppid())

from aiohttp import web  # noqa: E402

import applicants  # noqa: E402
import captcha  # noqa: E402
import control  # noqa: E402
import control_applicants  # noqa: E402
import errors  # noqa: E402
import faults  # noqa: E402
import me  # noqa: E402
import negotiation_routes  # noqa: E402
import negotiations  # noqa: E402
import oauth  # noqa: E402
import reference  # noqa: E402
import resume_routes  # noqa: E402
import resumes  # noqa: E402
import traffic  # noqa: E402
import vacancies  # noqa: E402
import vacancy_routes  # noqa: E402
from index import Index  # noqa: E402

ROUTES = (vacancy_routes, reference, me, resume_routes, negotiation_routes, oauth, captcha, control,
          control_applicants)
# Outermost first. Faults come after the pacing: a broken answer has used up the client's share as well.
MIDDLEWARES = (traffic.record, errors.translate, traffic.pace, faults.inject, errors.translate,
               traffic.require_user_agent, oauth.authenticate)


class Simulator:
    """The world behind the API: vacancies, users with their resumes and applications, faults, traffic and the clock."""

    def __init__(self, options):
        self.options = options
        self.clock_ahead_s = 0.0
        self.traffic = traffic.Traffic()
        self.faults = faults.Faults(options.seed)
        for text in options.fault:
            self.faults.add(faults.rule_from_text(text))
        self.captcha = captcha.Captcha()
        self.tokens = oauth.Tokens(options, self.user_clock)
        self.forget_applicants()
        self.factory = vacancies.Factory(options.seed, self.now())
        self.index = Index()
        self.index.add_all(self.factory.first(options.vacancies))
        self._appearing = None

    def now(self):
        return time.time()

    def user_clock(self):
        """What tokens, codes, resumes and applications go by; tests may advance it."""
        return time.time() + self.clock_ahead_s

    def advance_clock(self, seconds):
        self.clock_ahead_s += seconds

    def forget_applicants(self):
        """No resumes, no applications, and the settings as the options have them."""
        self.settings = applicants.settings_from(self.options)
        self.resumes = resumes.Resumes(self.settings, self.user_clock)
        self.negotiations = negotiations.Negotiations(self.settings, self.user_clock)

    def publish(self, **decided):
        """A new vacancy, in the results from now on; `decided` are fields of vacancy.Draft."""
        vacancy = self.factory.one(self.now(), **{"archived": False, **decided})
        self.index.add(vacancy)
        return vacancy

    def appear_every(self, seconds, prefix=None):
        """From now on a vacancy appears each so many seconds; 0 ends it."""
        if self._appearing is not None:
            self._appearing.cancel()
            self._appearing = None
        if seconds:
            self._appearing = asyncio.get_running_loop().create_task(self._appear(seconds, prefix))

    async def _appear(self, seconds, prefix):
        decided = {"name": lambda draft: f"{prefix} {draft.name}"} if prefix else {}
        while True:
            await asyncio.sleep(seconds)
            self.publish(**decided)


def build_app(sim):
    app = web.Application(middlewares=MIDDLEWARES)
    app["sim"] = sim
    for module in ROUTES:
        module.add_routes(app)
    return app


def read_options(arguments):
    parser = argparse.ArgumentParser(prog="hh_sim.py", description="Simulates the API of HH.ru.")
    add = parser.add_argument
    add("--host", default="127.0.0.1")
    add("--port", type=int, default=4010, help="0 takes a free one, which is printed")
    add("--seed", type=int, default=1, help="the same seed makes the same vacancies")
    add("--vacancies", type=int, default=5000, help="how many there are at the start")
    add("--appear-every", type=float, default=0, metavar="SECONDS", help="a new vacancy each so often; 0: none")
    add("--max-rps", type=int, default=10, metavar="N", help="429 above N requests a second per client IP; 0: no limit")
    add("--client-id", default="demo")
    add("--client-secret", default="demo-secret")
    add("--redirect-uri", metavar="URI", help="the registered one; without it any is accepted")
    add("--token-ttl", type=float, default=1_209_600, metavar="SECONDS", help="lifetime of a user's access token")
    add("--resume-readable-after", type=float, default=1, metavar="SECONDS", help="how long a new resume is not there")
    add("--resume-indexed-after", type=float, default=2, metavar="SECONDS",
        help="how long after its publication nobody can apply with a resume")
    add("--negotiation-limit", type=int, default=200, metavar="N", help="applications of a user in 24 hours")
    add("--access-token", action="append", default=[], metavar="TOKEN",
        help="a token that never expires: the application's if it starts with APPL, else the first user's; repeatable")
    add("--anonymous", choices=("captcha", "forbidden", "open"), default="captcha",
        help="what callers without a token meet after their first request (forbidden: at once)")
    add("--fault", action="append", default=[], metavar="RULE", help="a kind, or a rule as JSON; repeatable")
    add("--round-date-from", choices=("down", "nearest"), default="down", help="how date_from goes to 5 minutes")
    add("--uncapped-pages", action="store_true", help="let `pages` count beyond the depth limit of 2000 items")
    add("--ready-fd", type=int, metavar="FD", help="write the line that says we listen here too, and close it")
    add("--die-with-parent", action="store_true", help="end when the process that started us ends")
    return parser.parse_args(arguments)


def say_ready(options, port):
    line = f"hh_sim listening on http://{options.host}:{port}"
    print(line, flush=True)
    if options.ready_fd is not None:
        with os.fdopen(options.ready_fd, "w") as ready:
            ready.write(line + "\n")


async def serve(options):
    gc.disable()  # all that the start makes stays: looking for garbage in it costs a sixth of the start
    sim = Simulator(options)
    gc.freeze()
    gc.enable()
    runner = web.AppRunner(build_app(sim), access_log=None, handle_signals=False)
    await runner.setup()
    await web.TCPSite(runner, options.host, options.port, backlog=1024).start()
    sim.appear_every(options.appear_every)
    say_ready(options, runner.addresses[0][1])
    await asyncio.Event().wait()


def main():
    options = read_options(sys.argv[1:])
    try:
        asyncio.run(serve(options))
    except (OSError, ValueError) as error:
        sys.exit(f"hh_sim: {error}")


if __name__ == "__main__":
    main()

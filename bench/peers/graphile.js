// graphile.js - graphile-worker at the same work: adds jobs one by one, then runs them with a task that
// does nothing. bench/applications.py starts it.
//
//     node graphile.js add URL CALLERS JOBS      CALLERS add, each the next job when its last is committed
//     node graphile.js work URL CONCURRENCY JOBS [LOCAL_QUEUE]
//
// LOCAL_QUEUE: how many jobs it fetches at once; then it also ends them in batches. Prints a line of
// JSON: jobs, seconds.
import { Logger, makeWorkerUtils, run } from "graphile-worker";
import pg from "pg";

const [what, connectionString, many, jobs, localQueue] = process.argv.slice(2);
const count = Number(jobs);
const logger = new Logger(() => () => {});
const payload = {
  user_id: "", job_external_id: "1", cover_letter: "Good day",
  customized_cv: { title: "C developer", firstName: "Anna", email: "a@b.cd" },
};

function report(began) {
  console.log(JSON.stringify({ jobs: count, seconds: (performance.now() - began) / 1000 }));
}

async function add() {
  const pool = new pg.Pool({ connectionString, max: 10 });
  const utils = await makeWorkerUtils({ pgPool: pool, logger });
  let added = 0;
  const caller = async () => {
    while (added < count) {
      const number = added++;
      await utils.addJob("apply", { ...payload, user_id: crypto.randomUUID() },
        { jobKey: `${jobs}:${number}:${Math.random()}` });
    }
  };
  await utils.migrate();
  const began = performance.now();
  await Promise.all(Array.from({ length: Number(many) }, caller));
  report(began);
  await utils.release();
  await pool.end();
}

async function work() {
  const pool = new pg.Pool({ connectionString, max: 10 });
  const left = async () => Number((await pool.query("select count(*) from graphile_worker.jobs")).rows[0].count);
  let done = 0;
  let finished;
  const all = new Promise((resolve) => { finished = resolve; });
  const tuned = localQueue ? {
    preset: { worker: {
      concurrentJobs: Number(many), localQueue: { size: Number(localQueue) },
      completeJobBatchDelay: 0, failJobBatchDelay: 0,
    } },
  } : { concurrency: Number(many) };
  const began = performance.now();
  const runner = await run({
    ...tuned, pgPool: pool, logger, noHandleSignals: true, pollInterval: 100,
    taskList: { apply: async () => { if (++done === count) finished(); } },
  });
  await all;
  while (await left() > 0) await new Promise((resolve) => setTimeout(resolve, 1));
  report(began);
  await runner.stop();
  await pool.end();
}

await (what === "add" ? add() : work());

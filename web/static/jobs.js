// Follows jobs: one stream of events a tab, only while a job waits or runs, and none while the tab is hidden.
// Whoever shows a job listens for job-NUMBER on the body, and for job-ended.

const told = new Map();
let stream = null;

function close() {
  stream?.close();
  stream = null;
}

function tell(name) {
  document.body.dispatchEvent(new CustomEvent(name));
}

function hear(event) {
  for (const job of JSON.parse(event.data)) {
    const line = document.getElementById(`job-${job.id}`);
    const state = JSON.stringify(job);
    if (told.get(job.id) === state) continue;
    told.set(job.id, state);
    if (!line || (line.dataset.active === undefined && line.dataset.state === job.state)) continue;
    tell(`job-${job.id}`);
    if (line.dataset.active !== undefined && job.state !== "queued" && job.state !== "running") tell("job-ended");
  }
}

function follow() {
  if (document.hidden || !document.querySelector("[data-active]")) return close();
  if (stream) return;
  told.clear();
  stream = new EventSource("/api/v1/jobs/events");
  stream.addEventListener("jobs", hear);
  stream.addEventListener("idle", close);
}

document.addEventListener("visibilitychange", follow);
document.addEventListener("htmx:after:swap", follow); // which may have brought a job
addEventListener("pagehide", close);
addEventListener("pageshow", follow);
follow();

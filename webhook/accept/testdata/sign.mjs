// Octokit as GitHub: it signs the published examples of all events with
// Octokit's own code, posts them to an address, and then all of them once more.
// It prints a line of JSON for each request.
import { createRequire } from "node:module";
import { Webhooks } from "@octokit/webhooks";

const events = createRequire(process.cwd() + "/")("@octokit/webhooks-examples/api.github.com/index.json");
const webhooks = new Webhooks({ secret: process.env.SECRET });

async function post({ guid, event, body }) {
  const answer = await fetch(process.env.ADDRESS, {
    method: "POST",
    headers: {
      "Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd", "X-GitHub-Delivery": guid, "X-GitHub-Event": event,
      "X-GitHub-Hook-ID": "1", "X-Hub-Signature-256": await webhooks.sign(body),
    },
    body,
  });
  await answer.text();
  console.log(JSON.stringify({ guid, event, status: answer.status, body: Buffer.from(body).toString("base64") }));
}

const deliveries = events.flatMap(({ name, examples }) =>
  examples.map((payload) => ({ guid: crypto.randomUUID(), event: name, body: JSON.stringify(payload) })));
await Promise.all(deliveries.map(post));
await Promise.all(deliveries.map(post));

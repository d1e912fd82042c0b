// A webhook by Octokit: it prints its address, and then a line for every
// delivery whose signature it has verified. It ends with its input.
import { createServer } from "node:http";
import { Webhooks, createNodeMiddleware } from "@octokit/webhooks";

const log = { debug() {}, info() {}, warn() {}, error() {} }; // the answers say it
const webhooks = new Webhooks({ secret: process.env.SECRET, log });
webhooks.onAny(({ id, name }) => console.log(id, name));
const server = createServer(createNodeMiddleware(webhooks, { path: "/", log }));
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit()).resume();

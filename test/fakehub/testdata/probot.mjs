// A GitHub App by Probot: it prints its address, and puts a check run and a
// comment on every pull request, with octokit's own clients. It ends with its
// input.
import { createServer } from "node:http";
import { Probot, createNodeMiddleware } from "probot";

const app = (probot) => {
  probot.on("pull_request.opened", async (context) => {
    const { head, number } = context.payload.pull_request;
    const { data: config } = await context.octokit.rest.repos.getContent(context.repo({ path: "main.go", ref: head.sha }));
    const text = Buffer.from(config.content, "base64").toString();
    await context.octokit.rest.checks.create(context.repo({ name: "probot", head_sha: head.sha, status: "completed", conclusion: "success", output: { title: "main.go", summary: text } }));
    await context.octokit.rest.issues.createComment(context.issue({ body: `checked ${number}` }));
    const runs = await context.octokit.paginate(context.octokit.rest.checks.listForRef, context.repo({ ref: head.sha, per_page: 1, filter: "all" }));
    console.log("checked", runs.length);
  });
};
const probot = new Probot({
  appId: process.env.APP_ID, privateKey: process.env.PRIVATE_KEY, secret: process.env.SECRET, baseUrl: process.env.API_URL, logLevel: "fatal",
});
const middleware = await createNodeMiddleware(app, { probot, webhooksPath: "/" });
const server = createServer(middleware);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.stdin.on("end", () => process.exit()).resume();

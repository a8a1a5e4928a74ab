#!/usr/bin/env node
// A receiver for the posts of webhookhub, in one file. Needs Node 18 or newer and nothing else.
//
//     HOTTOK=your-token WEBHOOK_SECRET=whsec_... node receiver.mjs 8080
//
// It checks token and signature, keeps the post as a file, answers 200 and only then works on it. A post that
// comes twice has the same webhook-id, so its file is there already and nothing is done twice. What was kept but
// not finished, because the program stopped or work() failed, is taken up again at the next start.
//
// Change work(). Put a web server with TLS (nginx, Caddy) in front of it.

import { createHmac, randomUUID, timingSafeEqual } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, statSync } from "node:fs";
import { link, open, readFile, unlink, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import { join } from "node:path";

const TOKENS = process.env.HOTTOK.split(","); // while you rotate the token: both, with a comma
const SECRET = Buffer.from(process.env.WEBHOOK_SECRET.replace("whsec_", ""), "base64");
const INBOX = process.env.INBOX || "inbox"; // may be emptied of what is older than a month
const TOLERANCE = 5 * 60; // seconds by which our clocks may differ
const MOST = 1024 * 1024; // bytes of a post

// What you do with a post. Throw an error and it is tried again at the next start.
async function work(post) {
  if (post.version === "2.0.0") console.log(post.event, post.data.purchase?.transaction ?? "");
  else console.log(post.status ?? "json", post.transaction ?? ""); // 1.0.0
}

const equal = (a, b) => {
  const [x, y] = [Buffer.from(a), Buffer.from(b)];
  return x.length === y.length && timingSafeEqual(x, y);
};

// Why the post is not to be believed; empty if it is.
function problem(headers, body) {
  const token = headers["x-hotmart-hottok"] ?? "";
  if (!TOKENS.some((known) => equal(token, known))) return "The token is wrong.";
  const id = headers["webhook-id"] ?? "";
  const timestamp = headers["webhook-timestamp"] ?? "";
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) return "The webhook-id is missing.";
  if (!/^[0-9]{1,12}$/.test(timestamp) || Math.abs(Date.now() / 1000 - Number(timestamp)) > TOLERANCE)
    return "The webhook-timestamp is too old or too new: is the clock right?";
  const right = "v1," + createHmac("sha256", SECRET).update(`${id}.${timestamp}.`).update(body).digest("base64");
  const given = (headers["webhook-signature"] ?? "").split(" "); // two for a day after a rotation
  return given.some((one) => equal(right, one)) ? "" : "The signature is wrong.";
}

// Write the post to the disk, whole or not at all. False if it is there already.
async function keep(id, body) {
  const name = join(INBOX, randomUUID());
  const file = await open(name, "wx");
  try {
    await file.writeFile(body);
    await file.sync();
    await link(name, join(INBOX, `${id}.post`)); // fails where there is one: of two at once, one wins
    return true;
  } catch (error) {
    if (error.code === "EEXIST") return false;
    throw error;
  } finally {
    await file.close();
    await unlink(name);
  }
}

// The post as an object: JSON, or the form of version 1.0.0.
const read = (text) => (text.startsWith("{") ? JSON.parse(text) : Object.fromEntries(new URLSearchParams(text)));

// One after the other, in the order in which they came.
let line = Promise.resolve();
const later = (id) => {
  line = line.then(async () => {
    try {
      await work(read(await readFile(join(INBOX, `${id}.post`), "utf8")));
      await writeFile(join(INBOX, `${id}.done`), "");
    } catch (error) {
      console.error(error);
    }
  });
};

async function receive(request, answer) {
  if (request.method !== "POST") return answer(405, "POST only.");
  const chunks = [];
  let length = 0;
  for await (const chunk of request) {
    length += chunk.length;
    if (length > MOST) return answer(413, "The post is too long.");
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks);
  const wrong = problem(request.headers, body);
  if (wrong) return answer(401, wrong);
  const id = request.headers["webhook-id"];
  const isNew = await keep(id, body);
  answer(200, isNew ? "ok" : "ok, I have it already");
  if (isNew) later(id);
}

const server = createServer((request, response) => {
  const answer = (status, text) => {
    if (status === 413) response.setHeader("Connection", "close");
    response.writeHead(status, { "Content-Type": "text/plain; charset=utf-8" }).end(text);
  };
  receive(request, answer).catch((error) => {
    console.error(error);
    if (!response.headersSent) answer(500, "The receiver failed.");
  });
});
server.requestTimeout = 30_000;

mkdirSync(INBOX, { recursive: true });
readdirSync(INBOX)
  .filter((name) => name.endsWith(".post") && !existsSync(join(INBOX, name.replace(/post$/, "done"))))
  .sort((a, b) => statSync(join(INBOX, a)).mtimeMs - statSync(join(INBOX, b)).mtimeMs)
  .forEach((name) => later(name.slice(0, -".post".length)));
server.listen(Number(process.argv[2] ?? 8080), "127.0.0.1", () => {
  console.log(`Listening on http://127.0.0.1:${server.address().port}`);
});
